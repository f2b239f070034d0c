//! Exact secrets: values that a source holds, found in every dress without keeping them.
//!
//! A loading process builds a [`SecretSet`] of fingerprints per source; the engine merges the sets
//! into a [`SecretIndex`]. The cost per byte of text does not grow with the number of values.

mod contexts;
mod escapes;
mod grid;
mod index;
mod key;
mod marks;
mod opening;
mod set;
#[cfg(test)]
mod tests;
mod variants;
pub(crate) mod views;
mod zones;

pub use index::{SecretHit, SecretIndex, Variant};
pub(crate) use key::MaskedHash;
pub use key::{HeldKey, IndexKey, KeyMemory, OrdinaryMemory};
pub use set::{MAX_VALUE, SecretEntry, SecretSet, SetError};
