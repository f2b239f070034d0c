//! Composition: the street that every exchange walks, and the tasks around it.
//!
//! Owns tasks and time. What it decides with lies in `policy`, what it sees with in `detect` and `wire`; it holds no
//! secret from a source, ever.

mod accounts;
mod agents;
mod allow;
mod answer;
mod assessments;
mod broker;
mod bundles;
mod classify;
mod conduct;
mod control;
mod counters;
pub mod daemon;
mod destination;
mod elevation;
mod engine;
mod environments;
mod exchange;
mod flow;
mod foyer;
mod guard;
mod handler;
mod handover;
mod head;
mod health;
mod hold;
mod injections;
mod inspect;
mod keys;
pub mod loader;
mod local;
mod output;
mod own_rules;
mod plain_file;
mod policy;
mod ports;
mod presence;
mod quotas;
mod record;
mod redactions;
mod refresh;
mod reload;
mod reroute;
mod respond;
mod rest;
mod rewriter;
mod rotation;
mod scan_memory;
mod self_test;
mod shadow;
mod sources;
mod switch;
mod threads;
mod trail_views;
mod trail_words;
mod undo_ca;
mod waiting;
mod watching;
mod way_out;
mod words;

pub use bundles::{FetchError, acceptable, fetch_bundle};
pub use daemon::{DaemonError, run};
pub use policy::{Counts, OnDisk};
