//! The stage for whole-product tests: an isolated home with the real `sallyport` binary in it, real clients on one
//! side, and on the other a TLS front that stands under the providers' names and keeps every byte it receives.
//!
//! Nothing here knows how the product works inside. It is driven through its CLI, its configuration file and its
//! sockets, as a user would; only the tests that tamper with the trail open a file of the engine's.

pub mod aimock;
pub mod browser;
pub mod clients;
pub mod encodings;
pub mod expect;
pub mod front;
pub mod keychain;
pub mod managed;
pub mod memory;
pub mod polkit;
pub mod process;
pub mod raw;
pub mod relay;
pub mod roots;
pub mod secrets;
pub mod stage;
pub mod tools;
pub mod trace;
pub mod vault;
pub mod wait;

pub use front::{Answer, Front, Recorded};
pub use roots::TestRoot;
pub use stage::Stage;
