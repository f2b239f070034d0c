//! The body of a request: taken in whole where that can be, and as it goes on. Must not look at what it says.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use hudson_proxy::{Body, Gathered};
use sallyport_policy::verdict::BodyNature;
use sallyport_wire::coding::{self, Bounds, Coding};
use tokio::task::JoinHandle;

use crate::answer::forget_digests;
use crate::head;
use crate::record::BodyFacts;
use crate::respond::Refusal;

/// A request body in memory, and what stands behind it.
pub(super) struct Held {
    /// As the client sent it.
    pub(super) wire: Bytes,
    /// After content decoding.
    pub(super) plain: Bytes,
    codings: Vec<Coding>,
    trailers: Option<HeaderMap>,
}

/// How the body came in.
pub(super) enum Taken {
    Held(Held),
    /// Too long: it can only be streamed on unread.
    Unread(Body, BodyNature),
}

/// A smaller body is hashed sooner than another thread begins.
const LARGE: usize = 128 * 1024;

/// What the trail has to know of a body.
pub(super) enum Facts {
    Known(BodyFacts),
    Coming(JoinHandle<BodyFacts>, Bytes),
}

impl Facts {
    pub(super) async fn known(self) -> BodyFacts {
        match self {
            Facts::Known(facts) => facts,
            // That thread is only ever cancelled when the engine ends.
            Facts::Coming(facts, plain) => facts.await.unwrap_or_else(|_| BodyFacts::of(&plain)),
        }
    }
}

impl Taken {
    /// Reads the body whole, up to the limit, and undoes its content coding.
    pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Taken, Refusal> {
        let (wire, trailers) = match body.gather(limit).await {
            Ok(Gathered::Whole { data, trailers }) => (data, trailers),
            Ok(Gathered::TooLong(body)) => return Ok(Taken::Unread(body, BodyNature::TooLarge)),
            Err(error) => {
                tracing::info!(%error, "a request broke off");
                return Err(Refusal::new("request_broke", "The request broke off before its end."));
            }
        };
        let codings = head::codings(headers).unwrap_or_default();
        if codings.is_empty() || wire.is_empty() {
            return Ok(Taken::Held(Held { plain: wire.clone(), wire, codings: Vec::new(), trailers }));
        }
        let bounds = Bounds { max_out: limit, ..Bounds::default() };
        match coding::decode(&codings, &wire, &bounds) {
            Ok(plain) => Ok(Taken::Held(Held { wire, plain: plain.into(), codings, trailers })),
            Err(error) => Err(Refusal::new(
                "content_coding",
                format!(
                    "Sallyport stopped this request: {error}. Send the body without compression, or smaller."
                ),
            )),
        }
    }

    /// Facts of the body as it came. Those of a large one are found out on another thread while the body is looked at,
    /// which takes about as long.
    pub(super) fn facts(&self) -> Facts {
        match self {
            Taken::Unread(..) => Facts::Known(BodyFacts::unread()),
            Taken::Held(held) if held.plain.len() < LARGE => Facts::Known(BodyFacts::of(&held.plain)),
            Taken::Held(held) => {
                let plain = held.plain.clone();
                Facts::Coming(tokio::task::spawn_blocking(move || BodyFacts::of(&plain)), held.plain.clone())
            }
        }
    }

    /// What can be looked at.
    pub(super) fn plain(&self) -> Bytes {
        match self {
            Taken::Held(held) => held.plain.clone(),
            Taken::Unread(..) => Bytes::new(),
        }
    }

    /// What follows the body.
    pub(super) fn trailers(&mut self) -> Option<&mut HeaderMap> {
        match self {
            Taken::Held(held) => held.trailers.as_mut(),
            Taken::Unread(..) => None,
        }
    }

    /// The body as it goes on. Untouched bodies keep every byte that the client sent.
    pub(super) fn outgoing(self, headers: &mut HeaderMap, new_plain: Option<Bytes>) -> Result<Body, Refusal> {
        let held = match self {
            Taken::Unread(body, nature) => {
                tracing::info!(?nature, "a body passes unread");
                return Ok(body);
            }
            Taken::Held(held) => held,
        };
        let changed = new_plain.is_some();
        let wire = match new_plain {
            None => held.wire,
            Some(plain) if held.codings.is_empty() => plain,
            Some(plain) => coding::encode(&held.codings, &plain)
                .map_err(|_| {
                    Refusal::new("content_coding", "The redacted body could not be compressed again.")
                })?
                .into(),
        };
        if changed {
            forget_digests(headers);
        }
        if headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(wire.len()));
        }
        Ok(rebuilt(wire, held.trailers))
    }
}

fn rebuilt(wire: Bytes, trailers: Option<HeaderMap>) -> Body {
    match trailers {
        Some(trailers) => Body::with_trailers(wire, trailers),
        None => Body::from(wire),
    }
}
