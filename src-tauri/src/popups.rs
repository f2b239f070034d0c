//! Popups: what is worth telling is decided in `news`, which popups there are and how often in `model`, both pure; `show` hands
//! them to the desktop.

mod model;
mod news;
mod show;

pub(crate) use model::{Popup, Popups, refused};
pub(crate) use news::{limit_words, news_of};
pub(crate) use show::{icon, listening, nothing_waits, show};
