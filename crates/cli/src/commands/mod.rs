//! One file for each command: its arguments and help, and what it does.

pub(crate) mod allow;
pub(crate) mod assess;
pub(crate) mod audit;
pub(crate) mod ca;
pub(crate) mod completions;
pub(crate) mod daemon;
pub(crate) mod doctor;
pub(crate) mod elevate;
pub(crate) mod env;
pub(crate) mod exec;
pub(crate) mod flows;
pub(crate) mod man;
pub(crate) mod policy;
pub(crate) mod quota;
pub(crate) mod rules;
pub(crate) mod scan;
pub(crate) mod secrets;
pub(crate) mod self_test;
pub(crate) mod status;
pub(crate) mod switch;
pub(crate) mod trust;
