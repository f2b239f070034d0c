//! Popups: which there are and how often is decided in `model`, which is pure; `show` hands them to the desktop.

mod model;
mod show;

pub(crate) use model::{Popup, Popups, limit_words, news_of, refused};
pub(crate) use show::{icon, show};
