//! The audit trail: every exchange as a row of a hash chain, durable before anything leaves, with signed
//! checkpoints and a head outside the file so that tampering shows.
//!
//! It stores what it is given and proves that it is still there. It must not decide what goes upstream, know
//! providers, or judge what may be kept of a request.

mod activity;
mod canonical;
mod checkpoint;
mod content;
mod error;
mod event;
mod facet;
mod files;
mod head;
mod health;
mod keys;
mod opening;
mod purge;
mod query;
mod queue;
mod reader;
mod rows;
mod scan;
mod schema;
mod segment;
mod tail;
mod trail;
mod verify;
mod writer;

pub use activity::{Activity, Counts};
pub use content::{CONTENT_KEY, Entry, MAX_CONTENT};
pub use error::{AppendError, AuditError, Trouble};
pub use event::{Action, Actor, AiProvider, Compliance, Event, EventType, Request, Response, action_types};
pub use files::TrailPaths;
pub use health::TrailHealth;
pub use keys::{HeldKey, KeyStore, KeyStoreError, PublicKey, SIGNING_KEY};
pub use opening::{Discontinuity, OpenReport};
pub use purge::PurgeReport;
pub use query::{Filter, Order};
pub use queue::{Receipt, Recorded};
pub use reader::{Reader, Row};
pub use tail::Tail;
pub use trail::{Trail, TrailOptions};
pub use verify::{Fault, FaultKind, RecordedDiscontinuity, VerifyError, VerifyReport, verify};
