//! Our own JSON span walker: where each key, string and number stands, without a copy of any.

mod dom;
mod lex;
pub(crate) mod remove;
mod tape;
pub(crate) mod text;

#[cfg(test)]
mod tests;

pub(crate) use dom::{Dom, Place};
pub(crate) use tape::{Kind, Node, Tape, parse};
