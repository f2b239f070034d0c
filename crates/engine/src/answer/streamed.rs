//! An answer that is handed on while it comes. While calls of it wait for a person it shows signs of life, and reads on
//! into a bounded backlog; beyond that the provider is simply not read from.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use hudson_proxy::{Body, BoxError};
use sallyport_wire::coding::StreamDecoder;

use super::{Closing, parcel};
use crate::guard::BACKLOG;
use crate::hold::{Hold, Step};
use crate::rewriter::{Rewriter, Summary};

pub(super) enum Work {
    Rewrite(Box<Rewriter>),
    Pass { exact: Option<u64> },
}

/// What comes from the provider.
enum Arrival {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// It broke off. What came before is the client's all the same.
    Broke(BoxError),
}

type Waiting = Pin<Box<dyn Future<Output = (Hold, Step)> + Send>>;

pub(super) struct Streamed {
    inner: Body,
    decoder: Option<StreamDecoder>,
    work: Work,
    closing: Option<Closing>,
    /// A person is asked.
    waiting: Option<Waiting>,
    /// What has come meanwhile.
    backlog: VecDeque<Arrival>,
    backlog_bytes: usize,
    /// The provider has said everything.
    complete: bool,
    trailers: Option<HeaderMap>,
    /// Everything is taken in, but its end was held.
    ending: bool,
    over: bool,
}

impl Streamed {
    pub(super) fn new(inner: Body, decoder: Option<StreamDecoder>, work: Work, closing: Closing) -> Streamed {
        Streamed {
            inner,
            decoder,
            work,
            closing: Some(closing),
            waiting: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            complete: false,
            trailers: None,
            ending: false,
            over: false,
        }
    }

    fn take(&mut self, data: Bytes) -> Result<Bytes, BoxError> {
        let Work::Rewrite(rewriter) = &mut self.work else {
            self.count(&data);
            self.close_if_complete();
            return Ok(data);
        };
        let mut out = Vec::with_capacity(data.len() + 64);
        match &mut self.decoder {
            Some(decoder) => {
                let mut plain = Vec::new();
                decoder.push(&data, &mut plain)?;
                rewriter.push(&plain, &mut out)?;
            }
            None => rewriter.push(&data, &mut out)?,
        }
        Ok(self.given(out))
    }

    fn end(&mut self) -> Result<Bytes, BoxError> {
        let mut out = Vec::new();
        let summary = match &mut self.work {
            Work::Rewrite(rewriter) => {
                if !self.ending
                    && let Some(decoder) = &mut self.decoder
                {
                    let mut plain = Vec::new();
                    decoder.finish(&mut plain)?;
                    rewriter.push(&plain, &mut out)?;
                }
                self.ending = true;
                if rewriter.is_held() { None } else { rewriter.finish(&mut out) }
            }
            Work::Pass { .. } => Some(Summary::default()),
        };
        let out = self.given(out);
        if let Some(summary) = summary {
            self.over = true;
            if let Some(mut closing) = self.closing.take() {
                closing.finish(summary);
            }
        }
        Ok(out)
    }

    /// Counts what goes to the client, and begins to wait where a call in it has to.
    fn given(&mut self, out: Vec<u8>) -> Bytes {
        let restored = self.closing.as_ref().is_some_and(|closing| closing.ret.guard.has_restored());
        let out = parcel(out, restored);
        self.count(&out);
        if let Work::Rewrite(rewriter) = &mut self.work
            && let Some(hold) = rewriter.take_hold()
        {
            self.waiting = Some(wait(hold));
        }
        out
    }

    /// Records an answer that did not come to its end, with what is known of it.
    fn break_off(&mut self, how: &str) {
        let Some(mut closing) = self.closing.take() else { return };
        let so_far = match &self.work {
            Work::Rewrite(rewriter) => rewriter.so_far(),
            Work::Pass { .. } => Summary::default(),
        };
        closing.finish(Summary { finish_reason: Some(how.to_owned()), ..so_far });
    }

    /// A body of known length is not polled again once it is complete.
    fn close_if_complete(&mut self) {
        if let (Work::Pass { exact: Some(exact) }, Some(closing)) = (&self.work, &mut self.closing)
            && closing.length >= *exact
        {
            closing.finish(Summary::default());
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        if let Some(closing) = &mut self.closing {
            closing.deliver(bytes);
        }
    }

    /// What comes next from the provider.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Arrival> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let arrival = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => Arrival::Data(data),
            Some(Ok(Err(frame))) => Arrival::Trailers(frame.into_trailers().unwrap_or_default()),
            Some(Err(error)) => Arrival::Broke(error.into()),
            None => Arrival::End,
        };
        self.complete = !matches!(arrival, Arrival::Data(_));
        Poll::Ready(arrival)
    }

    /// Waits for the person, and reads on as far as there is room. Ready: something goes to the client.
    fn poll_waiting(&mut self, mut waiting: Waiting, cx: &mut Context<'_>) -> Poll<Result<Bytes, BoxError>> {
        if let Poll::Ready((hold, step)) = waiting.as_mut().poll(cx) {
            let Work::Rewrite(rewriter) = &mut self.work else { return Poll::Ready(Ok(Bytes::new())) };
            let mut out = Vec::new();
            if step == Step::Alive {
                out.extend_from_slice(rewriter.alive());
                self.waiting = Some(wait(hold));
            } else {
                rewriter.resume(hold, step, &mut out)?;
            }
            return Poll::Ready(Ok(self.given(out)));
        }
        self.waiting = Some(waiting);
        while !self.complete && self.backlog_bytes < BACKLOG {
            let arrival = ready!(self.poll_arrival(cx));
            if let Arrival::Data(data) = &arrival {
                self.backlog_bytes += data.len();
            }
            self.backlog.push_back(arrival);
        }
        Poll::Pending
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BoxError>> {
        if let Some(waiting) = self.waiting.take() {
            return self.poll_waiting(waiting, cx);
        }
        if self.ending {
            return Poll::Ready(self.end());
        }
        let arrival = match self.backlog.pop_front() {
            Some(arrival) => arrival,
            None => ready!(self.poll_arrival(cx)),
        };
        Poll::Ready(match arrival {
            Arrival::Data(data) => {
                self.backlog_bytes = self.backlog_bytes.saturating_sub(data.len());
                self.take(data)
            }
            Arrival::Trailers(trailers) => {
                self.trailers = Some(trailers);
                self.end()
            }
            Arrival::End => self.end(),
            Arrival::Broke(error) => Err(error),
        })
    }
}

fn wait(mut hold: Hold) -> Waiting {
    Box::pin(async move {
        let step = hold.step().await;
        (hold, step)
    })
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.break_off("aborted");
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if this.over {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match ready!(this.poll_next(cx)) {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(error) => {
                    this.over = true;
                    this.break_off("upstream_broke");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // The record is written at the end, so the end must be polled for.
        self.over && self.trailers.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self.work {
            Work::Pass { exact: Some(exact) } => http_body::SizeHint::with_exact(exact),
            _ => http_body::SizeHint::default(),
        }
    }
}
