//! The icon in the panel: what it says is decided in `model`, which is pure; `show` only draws it.

mod model;
mod show;

pub(crate) use model::{Act, Seen};
pub(crate) use show::Tray;
