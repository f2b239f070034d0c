//! The one body type of requests and responses: bytes in frames, trailers at the end, backpressure by not being
//! polled. Must not buffer more than it is asked to.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::handler::BoxError;
use crate::lane::Driven;
use crate::room::Pieces;

/// How much of a request that nobody reads is still taken in.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_BYTES: usize = 256 << 20;

/// A body that broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection it came over broke, or its framing was wrong.
    #[error("the connection broke in the middle of the body")]
    Broken(#[source] hyper::Error),
    /// Nothing came for the idle limit.
    #[error("nothing came for {} s in the middle of the body", after.as_secs())]
    Idle {
        /// The limit.
        after: Duration,
    },
    /// A body made by the handler failed.
    #[error("the body's source failed")]
    Source(#[source] BoxError),
}

/// Request and response body.
pub struct Body(Kind);

enum Kind {
    Empty,
    Whole {
        data: Option<Bytes>,
        trailers: Option<Box<HeaderMap>>,
    },
    /// Claims a length and sends nothing: the answer to a conditional request keeps its `Content-Length`.
    Phantom(u64),
    Arriving(Arriving),
    Driven(Box<Driven>),
    Replayed {
        head: Option<Bytes>,
        rest: Box<Body>,
    },
    /// The mutex is never locked; it makes the body `Sync` so that requests can be borrowed across an await.
    Boxed(Mutex<UnsyncBoxBody<Bytes, BodyError>>),
}

/// What [`Body::gather`] read.
#[derive(Debug)]
pub enum Gathered {
    /// All of it.
    Whole {
        /// The bytes.
        data: Bytes,
        /// The trailers, if there were any.
        trailers: Option<HeaderMap>,
    },
    /// More than the limit. The body starts from its beginning again and streams what was not read yet.
    TooLong(Body),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Bytes that are followed by trailers. Their names must stand in the `Trailer` header to be sent over HTTP/1.
    pub fn with_trailers(data: impl Into<Bytes>, trailers: HeaderMap) -> Self {
        let data = data.into();
        Self(Kind::Whole {
            data: (!data.is_empty()).then_some(data),
            trailers: (!trailers.is_empty()).then(|| Box::new(trailers)),
        })
    }

    /// Any other body.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let boxed = body.map_err(|error| BodyError::Source(error.into())).boxed_unsync();
        Self(Kind::Boxed(Mutex::new(boxed)))
    }

    /// Reads the body to its end, but no more than `limit` bytes.
    pub async fn gather(mut self, limit: usize) -> Result<Gathered, BodyError> {
        if let Kind::Empty = self.0 {
            return Ok(Gathered::Whole { data: Bytes::new(), trailers: None });
        }
        let expected = self.size_hint().exact().and_then(|n| usize::try_from(n).ok());
        if expected.is_some_and(|n| n > limit) {
            return Ok(Gathered::TooLong(self));
        }
        let mut first: Option<Bytes> = None;
        let mut more = Pieces::default();
        let mut trailers = None;
        while let Some(frame) = self.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    let have = first.as_ref().map_or(more.len(), Bytes::len);
                    let too_long = have + data.len() > limit;
                    match first.take() {
                        // A body of one frame is passed on without a copy.
                        None if have == 0 => first = Some(data),
                        None => more.push(&data),
                        Some(start) => {
                            more = Pieces::of(expected.unwrap_or(0).max(start.len() + data.len()));
                            more.push(&start);
                            more.push(&data);
                        }
                    }
                    if too_long {
                        let head = first.take().unwrap_or_else(|| more.freeze());
                        return Ok(Gathered::TooLong(Self(Kind::Replayed {
                            head: Some(head),
                            rest: Box::new(self),
                        })));
                    }
                }
                Err(frame) => {
                    if let Ok(fields) = frame.into_trailers() {
                        trailers = Some(fields);
                    }
                }
            }
        }
        Ok(Gathered::Whole { data: first.unwrap_or_else(|| more.freeze()), trailers })
    }

    /// The first bytes of the body, and the body from its beginning. Waits until there are some.
    pub async fn peek(mut self) -> Result<(Bytes, Body), BodyError> {
        while let Some(frame) = self.frame().await {
            match frame?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    let head = Some(data.clone());
                    return Ok((data, Self(Kind::Replayed { head, rest: Box::new(self) })));
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Ok((Bytes::new(), Self::with_trailers(Bytes::new(), trailers)));
                }
            }
        }
        Ok((Bytes::new(), Self::empty()))
    }

    /// A body that comes over a connection that another task drives.
    pub(crate) fn incoming(body: Incoming, idle: Duration) -> Self {
        if body.is_end_stream() {
            return Self(Kind::Empty);
        }
        Self(Kind::Arriving(Arriving { body: Some(body), idle: Idle::new(idle), lingers: false }))
    }

    /// The same for a request over HTTP/1: what a handler leaves unread is read and thrown away, for a while. A client
    /// that is still sending when the connection is closed often never reads the answer.
    pub(crate) fn lingering(body: Incoming, idle: Duration) -> Self {
        if body.is_end_stream() {
            return Self(Kind::Empty);
        }
        Self(Kind::Arriving(Arriving { body: Some(body), idle: Idle::new(idle), lingers: true }))
    }

    pub(crate) fn driven(driven: Box<Driven>) -> Self {
        Self(Kind::Driven(driven))
    }

    pub(crate) fn phantom(length: u64) -> Self {
        Self(Kind::Phantom(length))
    }

    /// Whether a single poll gives all of it.
    pub(crate) fn is_at_hand(&self) -> bool {
        matches!(self.0, Kind::Empty | Kind::Whole { .. } | Kind::Phantom(_))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty | Kind::Phantom(_) => Poll::Ready(None),
            Kind::Whole { data, trailers } => Poll::Ready(
                data.take()
                    .map(Frame::data)
                    .or_else(|| trailers.take().map(|fields| Frame::trailers(*fields)))
                    .map(Ok),
            ),
            Kind::Arriving(arriving) => arriving.poll_frame(cx),
            Kind::Driven(driven) => driven.poll_frame(cx),
            Kind::Replayed { head, rest } => match head.take() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => Pin::new(&mut **rest).poll_frame(cx),
            },
            Kind::Boxed(body) => {
                Pin::new(body.get_mut().unwrap_or_else(PoisonError::into_inner)).poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            Kind::Phantom(_) => false,
            Kind::Arriving(arriving) => arriving.body.as_ref().is_none_or(HttpBody::is_end_stream),
            Kind::Driven(driven) => driven.is_end_stream(),
            Kind::Replayed { head, rest } => head.is_none() && rest.is_end_stream(),
            Kind::Boxed(body) => body.try_lock().is_ok_and(|body| body.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole { data, trailers: None } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            // Trailers need chunks, so no length is claimed.
            Kind::Whole { trailers: Some(_), .. } => SizeHint::default(),
            Kind::Phantom(length) => SizeHint::with_exact(*length),
            Kind::Arriving(arriving) => arriving.body.as_ref().map(HttpBody::size_hint).unwrap_or_default(),
            Kind::Driven(driven) => driven.size_hint(),
            Kind::Replayed { head, rest } => {
                match (rest.size_hint().exact(), head.as_ref().map_or(0, |head| head.len() as u64)) {
                    (Some(rest), head) => SizeHint::with_exact(rest + head),
                    (None, _) => SizeHint::default(),
                }
            }
            Kind::Boxed(body) => body.try_lock().map(|body| body.size_hint()).unwrap_or_default(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the bytes.
        f.write_str("Body")
    }
}

impl From<Bytes> for Body {
    fn from(data: Bytes) -> Self {
        if data.is_empty() { Self::empty() } else { Self(Kind::Whole { data: Some(data), trailers: None }) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(data: Vec<u8>) -> Self {
        Bytes::from(data).into()
    }
}

impl From<String> for Body {
    fn from(data: String) -> Self {
        Bytes::from(data).into()
    }
}

impl From<&'static str> for Body {
    fn from(data: &'static str) -> Self {
        Bytes::from_static(data.as_bytes()).into()
    }
}

/// A body from a connection that another part of this crate drives.
struct Arriving {
    body: Option<Incoming>,
    idle: Idle,
    lingers: bool,
}

impl Arriving {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { body, idle, .. } = self;
        let Some(body) = body else { return Poll::Ready(None) };
        let polled = idle.watch(cx, |cx| Pin::new(&mut *body).poll_frame(cx));
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.body = None;
        }
        polled
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| self.lingers && !body.is_end_stream()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(LINGER, async move {
                let mut left = LINGER_BYTES;
                while let Some(Ok(frame)) = body.frame().await {
                    left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                    if left == 0 {
                        break;
                    }
                }
            }));
        }
    }
}

/// A limit on pauses. The timer exists only once there was a pause.
pub(crate) struct Idle {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Idle {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, timer: None, running: false }
    }

    pub(crate) fn watch(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(item) = poll(cx) {
            self.running = false;
            return Poll::Ready(item.map(|result| result.map_err(BodyError::Broken)));
        }
        let timer = match &mut self.timer {
            Some(timer) => {
                if !self.running {
                    timer.as_mut().reset(Instant::now() + self.limit);
                }
                timer
            }
            None => self.timer.insert(Box::pin(tokio::time::sleep(self.limit))),
        };
        self.running = true;
        if timer.as_mut().poll(cx).is_ready() {
            self.running = false;
            return Poll::Ready(Some(Err(BodyError::Idle { after: self.limit })));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;

    fn in_frames(parts: &[&'static str]) -> Body {
        let frames: Vec<_> = parts
            .iter()
            .map(|part| Ok::<_, BoxError>(Frame::data(Bytes::from_static(part.as_bytes()))))
            .collect();
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[tokio::test]
    async fn gather_joins_frames_and_keeps_trailers() {
        let Gathered::Whole { data, trailers } = in_frames(&["ab", "cd", "e"]).gather(5).await.unwrap()
        else {
            panic!("within the limit")
        };
        assert_eq!((data.as_ref(), trailers), (b"abcde".as_ref(), None));
        let mut fields = HeaderMap::new();
        fields.insert("x-sum", "1".parse().unwrap());
        let body = Body::with_trailers("abc", fields.clone());
        assert_eq!(body.size_hint().exact(), None);
        let Gathered::Whole { data, trailers } = body.gather(5).await.unwrap() else {
            panic!("within the limit")
        };
        assert_eq!((data.as_ref(), trailers), (b"abc".as_ref(), Some(fields)));
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_can_be_read_from_its_start() {
        let Gathered::TooLong(body) = in_frames(&["ab", "cd", "ef", "gh"]).gather(3).await.unwrap() else {
            panic!("over the limit")
        };
        let Gathered::Whole { data, .. } = body.gather(100).await.unwrap() else {
            panic!("within the limit")
        };
        assert_eq!(data.as_ref(), b"abcdefgh");
        let Gathered::TooLong(body) = Body::from("abcd").gather(3).await.unwrap() else {
            panic!("over the limit")
        };
        assert_eq!(body.size_hint().exact(), Some(4));
    }

    #[tokio::test]
    async fn large_bodies_are_put_together_whether_or_not_their_length_was_announced() {
        let piece: &'static str = Box::leak("abcdefg".repeat(50_000).into_boxed_str());
        let rest = Body::from([piece, piece].concat());
        let announced = Body(Kind::Replayed { head: Some(piece.into()), rest: Box::new(rest) });
        for body in [announced, in_frames(&[piece, piece, piece])] {
            let Gathered::Whole { data, .. } = body.gather(2 << 20).await.unwrap() else {
                panic!("within the limit")
            };
            assert!(
                data.len() > crate::room::LARGE
                    && data.chunks(piece.len()).all(|part| part == piece.as_bytes())
            );
        }
    }

    #[tokio::test]
    async fn a_look_at_the_start_takes_nothing_away() {
        let (start, body) = in_frames(&["", "ab", "cd"]).peek().await.unwrap();
        assert_eq!(start.as_ref(), b"ab");
        let Gathered::Whole { data, .. } = body.gather(9).await.unwrap() else { panic!("within the limit") };
        assert_eq!(data.as_ref(), b"abcd");
        let (start, body) = Body::from("whole").peek().await.unwrap();
        assert_eq!((start.as_ref(), body.size_hint().exact()), (b"whole".as_ref(), Some(5)));
        let mut fields = HeaderMap::new();
        fields.insert("x-sum", "1".parse().unwrap());
        for (body, expected) in
            [(Body::empty(), None), (Body::with_trailers("", fields.clone()), Some(fields))]
        {
            let (start, body) = body.peek().await.unwrap();
            assert!(start.is_empty());
            let Gathered::Whole { trailers, .. } = body.gather(9).await.unwrap() else { panic!("empty") };
            assert_eq!(trailers, expected);
        }
    }

    #[test]
    fn a_body_can_be_shared_and_says_nothing_of_its_bytes() {
        fn shared<T: Send + Sync + Unpin>(_: &T) {}
        let body = Body::from("secret");
        shared(&body);
        assert_eq!(format!("{body:?}"), "Body");
    }
}
