//! The way back: an answer is read, sanitised and handed on as it comes, and recorded when it has ended.

mod streamed;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Response, StatusCode, response};
use http_body::Body as HttpBody;
use hudson_proxy::{Body, BodyError, Gathered};
use sallyport_audit::MAX_CONTENT;
use sallyport_wire::coding::{self, Bounds, Coding, StreamDecoder};
use sallyport_wire::sse::Framing;
use sallyport_wire::{Family, Limits, ReadError, Role, read_response, splice};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::guard::{Guard, Hearing, Whole};
use crate::quotas::{Ending, Loan};
use crate::record::{Parties, ReceivedFacts};
use crate::respond::Refusal;
use crate::rewriter::{Lens, Rewriter, Summary};
use crate::trail_words::in_the_trail;
use streamed::{Streamed, Work};

/// What the way back needs to know of its exchange.
pub(crate) struct Return {
    pub(crate) engine: Arc<Engine>,
    pub(crate) parties: Parties,
    pub(crate) family: Family,
    pub(crate) lens: Lens,
    pub(crate) guard: Arc<Guard>,
    pub(crate) started: Instant,
    /// The most that is read whole.
    pub(crate) limits: Limits,
    /// The request asked for a stream.
    pub(crate) streaming: bool,
    /// What its quota has lent it.
    pub(crate) loan: Option<Loan>,
    /// Policy keeps what is said in this exchange.
    pub(crate) keeps: bool,
    pub(crate) status: StatusCode,
}

/// Sanitises an answer. Streams are passed on event by event; JSON is read whole; what can't be read is
/// passed on and counted.
pub(crate) async fn sanitise(ret: Return, response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Response::from_parts(parts, body);
    }
    let Ok(codings) = codings(&parts.headers) else {
        return pass(ret, parts, body);
    };
    let content_type = content_type(&parts.headers);
    let kind = Kind::of(content_type.as_deref(), ret.streaming);
    // Who asked for no stream reads the answer as a whole, whatever its label.
    let told = matches!(kind, Kind::Stream(_)) && ret.streaming || kind == Kind::Unnamed;
    let (kind, body) = match kind {
        _ if codings.is_empty() && !told => match body.peek().await {
            Ok((start, body)) => (kind.corrected(&start), body),
            Err(error) => return broken(ret, &error),
        },
        _ => (kind, body),
    };
    match kind {
        Kind::Stream(framing) => stream(ret, parts, body, &codings, framing),
        Kind::Whole => whole(ret, parts, body, &codings, content_type.as_deref()).await,
        Kind::Binary => pass(ret, parts, body),
        Kind::Unnamed => {
            // SSE is known to come without a content type; its first bytes tell.
            parts.headers.remove(header::CONTENT_LENGTH);
            stream(ret, parts, body, &codings, Framing::Events)
        }
    }
}

/// Records an answer that has no body by its nature and hands it on as it is.
pub(crate) fn without_body(ret: Return, response: Response<Body>) -> Response<Body> {
    Closing::new(ret).finish(Summary::default());
    response
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream(Framing),
    /// JSON and text: read whole.
    Whole,
    /// Images, audio, archives.
    Binary,
    /// No content type, and a stream was asked for.
    Unnamed,
}

impl Kind {
    fn of(content_type: Option<&str>, streaming: bool) -> Kind {
        if let Some(framing) = Framing::sniff(content_type, b"") {
            return Kind::Stream(framing);
        }
        let Some(content_type) = content_type else {
            return if streaming { Kind::Unnamed } else { Kind::Whole };
        };
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let textual = essence.starts_with("text/")
            || essence.ends_with("json")
            || essence.ends_with("xml")
            || essence == "application/x-www-form-urlencoded";
        if textual { Kind::Whole } else { Kind::Binary }
    }

    /// What its first bytes say, whatever its label: some gateways call a stream of events JSON or plain text, and JSON
    /// an octet stream.
    fn corrected(self, start: &[u8]) -> Kind {
        match (Framing::sniff(None, start), self) {
            (Some(framing), _) => Kind::Stream(framing),
            (None, Kind::Binary | Kind::Stream(Framing::Events))
                if start.trim_ascii_start().starts_with(b"{") =>
            {
                Kind::Whole
            }
            (None, kind) => kind,
        }
    }
}

fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, sallyport_wire::CodingError> {
    let mut all = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        all.extend(coding::parse(value.to_str().unwrap_or("unreadable"))?);
    }
    Ok(all)
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Headers that speak of the bytes as they came.
fn forget_encoding(headers: &mut HeaderMap) {
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::ETAG, header::ACCEPT_RANGES] {
        headers.remove(name);
    }
    forget_digests(headers);
}

/// Digests of a body that is no longer the same.
pub(crate) fn forget_digests(headers: &mut HeaderMap) {
    for name in ["content-md5", "digest", "content-digest", "repr-digest"] {
        headers.remove(HeaderName::from_static(name));
    }
}

fn stream(
    ret: Return,
    mut parts: response::Parts,
    body: Body,
    codings: &[Coding],
    framing: Framing,
) -> Response<Body> {
    let decoder = match codings {
        [] => None,
        codings => match StreamDecoder::new(codings, Bounds::streaming()) {
            Ok(decoder) => Some(decoder),
            Err(_) => return pass(ret, parts, body),
        },
    };
    // Lengths and digests are of the answer as it came; whether it changes is known only at its end.
    parts.headers.remove(header::CONTENT_LENGTH);
    forget_digests(&mut parts.headers);
    if decoder.is_some() {
        forget_encoding(&mut parts.headers);
    }
    let rewriter = Rewriter::new(ret.family, framing, &ret.limits, ret.lens.clone(), ret.guard.clone());
    let body = Streamed::new(body, decoder, Work::Rewrite(Box::new(rewriter)), Closing::new(ret));
    Response::from_parts(parts, Body::new(body))
}

async fn whole(
    ret: Return,
    mut parts: response::Parts,
    body: Body,
    codings: &[Coding],
    content_type: Option<&str>,
) -> Response<Body> {
    let (data, trailers) = match body.gather(ret.limits.max_bytes).await {
        Ok(Gathered::Whole { data, trailers }) => (data, trailers),
        Ok(Gathered::TooLong(body)) => return pass(ret, parts, body),
        Err(error) => return broken(ret, &error),
    };
    let plain = match codings {
        [] => data.clone(),
        codings => {
            let bounds = Bounds { max_out: ret.limits.max_bytes, ..Bounds::default() };
            match coding::decode(codings, &data, &bounds) {
                Ok(plain) => plain.into(),
                Err(_) => return pass(ret, parts, Body::from(data)),
            }
        }
    };
    // What readers put in the place of bytes that are no UTF-8: otherwise a call among them would be read by them alone.
    let spelled = match String::from_utf8_lossy(&plain) {
        Cow::Owned(text) if text.trim_start().starts_with(['{', '[']) => Some(Bytes::from(text)),
        _ => None,
    };
    let plain = spelled.clone().unwrap_or(plain);
    let Some(Looked { summary, changed, calls }) = look(&ret, content_type, &plain) else {
        return unread(ret);
    };
    let changed = changed.or_else(|| spelled.map(|text| text.to_vec()));
    let mut closing = Closing::new(ret);
    let changed = if calls {
        // Should the client go away while a person is asked.
        closing.so_far = summary.clone();
        let clean = changed.as_deref().unwrap_or(&plain);
        judge(&closing.ret, content_type, clean).await.or(changed)
    } else {
        changed
    };
    if !codings.is_empty() && changed.is_none() {
        // A coding that stays on is no text.
        closing.said = None;
    }
    let delivered: Bytes = match changed {
        Some(changed) => {
            forget_encoding(&mut parts.headers);
            parcel(changed, closing.ret.guard.has_restored())
        }
        None => data,
    };
    closing.deliver(&delivered);
    closing.finish(summary);
    let body = match trailers {
        Some(trailers) => Body::with_trailers(delivered, trailers),
        None => Body::from(delivered),
    };
    Response::from_parts(parts, body)
}

/// Records an answer that broke off before anything of it was handed on, and says so to the client.
fn broken(ret: Return, error: &BodyError) -> Response<Body> {
    tracing::info!(%error, "an answer broke off");
    let family = ret.family;
    let mut closing = Closing::new(ret);
    closing.finish(Summary { finish_reason: Some("upstream_broke".into()), ..Summary::default() });
    let refusal = Refusal {
        code: "upstream_broke",
        message: "The provider's answer broke off before its end; try again.".into(),
        status: StatusCode::BAD_GATEWAY,
    };
    refusal.response(family)
}

/// Judges the calls of an answer that came whole, and waits where a person is asked; its new body if any is denied.
async fn judge(ret: &Return, content_type: Option<&str>, body: &[u8]) -> Option<Vec<u8>> {
    let mut hearing = Hearing::new(false);
    loop {
        let placeholders = &ret.lens.placeholders;
        match ret.guard.whole(ret.family, content_type, body, &ret.limits, placeholders, &mut hearing) {
            Whole::AsItIs => return None,
            Whole::Changed(body) => return Some(body),
            Whole::Held => hearing.wait().await,
        }
    }
}

/// Refuses an answer that nests deeper, or holds more, than is read here: its client may read it.
fn unread(ret: Return) -> Response<Body> {
    let family = ret.family;
    let mut closing = Closing::new(ret);
    closing.finish(Summary { finish_reason: Some("upstream_unread".into()), ..Summary::default() });
    let refusal = Refusal {
        code: "upstream_unread",
        message:
            "The provider's answer nests deeper, or holds more, than Sallyport reads; it was not handed on."
                .into(),
        status: StatusCode::BAD_GATEWAY,
    };
    refusal.response(family)
}

/// What an answer that came whole was found to be.
struct Looked {
    summary: Summary,
    /// Its new body, if something was taken out.
    changed: Option<Vec<u8>>,
    /// It may hold calls of tools, which are to be judged.
    calls: bool,
}

/// Reads an answer that came whole. None if it goes beyond what is read.
fn look(ret: &Return, content_type: Option<&str>, body: &[u8]) -> Option<Looked> {
    let document = match read_response(ret.family, content_type, body, &ret.limits) {
        Ok(document) => document,
        Err(ReadError::TooDeep { .. } | ReadError::TooManyStrings { .. }) => return None,
        Err(_) => return Some(look_at_text(ret, body)),
    };
    let mut summary = Summary {
        model: document.model.clone(),
        usage: document.usage,
        finish_reason: document.finish_reason.clone(),
        said: document.completion_chars as u64,
        ..Summary::default()
    };
    let mut edits = Vec::new();
    for segment in document.segments.iter().filter(|segment| !segment.locked) {
        if let Some((findings, replaced)) = ret.lens.edits(segment, body) {
            edits.extend(replaced);
            summary.redactions.extend(findings);
        }
        if matches!(segment.role, Role::Assistant | Role::ToolCall) && !segment.key {
            summary.dangerous.extend(ret.lens.output.rules(&segment.text(body)));
        }
    }
    let changed = (!edits.is_empty()).then(|| splice(body, edits).ok()).flatten();
    Some(Looked { summary, changed, calls: !document.tool_calls.is_empty() })
}

fn look_at_text(ret: &Return, body: &[u8]) -> Looked {
    let Ok(text) = std::str::from_utf8(body) else {
        return Looked { summary: Summary::default(), changed: None, calls: false };
    };
    let findings = ret.lens.scanner.scan(text, &ret.lens.options);
    let changed = (!findings.is_empty())
        .then(|| sallyport_detect::redact(text, &findings, &mut ret.lens.placeholders.lock()).into_bytes());
    let mut summary = Summary::default();
    summary.redactions.extend(findings);
    Looked { summary, changed, calls: true }
}

/// Hands an answer on unread.
fn pass(ret: Return, parts: response::Parts, body: Body) -> Response<Body> {
    if !HttpBody::is_end_stream(&body) {
        ret.engine.counters.opaque();
    }
    let exact = HttpBody::size_hint(&body).exact();
    // What nobody read is nothing to keep.
    let ret = Return { keeps: false, ..ret };
    let body = Streamed::new(body, None, Work::Pass { exact }, Closing::new(ret));
    Response::from_parts(parts, Body::new(body))
}

/// Bytes for the client; wiped once they are sent where a value was put back in them.
fn parcel(bytes: Vec<u8>, restored: bool) -> Bytes {
    if restored { Bytes::from_owner(Zeroizing::new(bytes)) } else { bytes.into() }
}

/// The record of an answer, written when it has ended, however it ends.
struct Closing {
    ret: Return,
    hash: Sha256,
    length: u64,
    /// What was handed on; none where it is not kept, or no longer since it is too long.
    said: Option<Vec<u8>>,
    /// What is known should it end here.
    so_far: Summary,
    closed: bool,
}

impl Closing {
    fn new(ret: Return) -> Closing {
        let said = ret.keeps.then(Vec::new);
        Closing { ret, hash: Sha256::new(), length: 0, said, so_far: Summary::default(), closed: false }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        if self.ret.guard.has_restored() {
            self.said = None;
        }
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        match &mut self.said {
            Some(said) if said.len() + bytes.len() <= MAX_CONTENT => said.extend_from_slice(bytes),
            said => *said = None,
        }
    }

    fn finish(&mut self, summary: Summary) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let usage = summary.usage;
        if let Some(loan) = self.ret.loan.take() {
            loan.ended(&Ending {
                status: self.ret.status.as_u16(),
                usage,
                said: summary.said,
                cut: matches!(summary.finish_reason.as_deref(), Some("aborted" | "upstream_broke")),
                model: summary.model.as_deref(),
            });
        }
        let tokens = [usage.input, usage.output, usage.cache_read, usage.cache_write];
        let known = tokens.iter().any(Option::is_some);
        let redactions = summary.redactions;
        self.ret.engine.counters.redacted(redactions.all());
        let received = ReceivedFacts {
            // Over a value that was put back it would be a way to try guesses.
            hash: (!self.ret.guard.has_restored())
                .then(|| data_encoding::HEXLOWER.encode(&self.hash.clone().finalize())),
            length: self.length,
            latency_ms: u64::try_from(self.ret.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            tokens: known.then(|| tokens.iter().flatten().sum()),
            finish_reason: summary.finish_reason.unwrap_or_else(|| "none".into()),
            redactions,
            dangerous: summary.dangerous.into_iter().collect(),
        };
        let mut parties = self.ret.parties.clone();
        if parties.provider.model.is_none() {
            let lens = &self.ret.lens;
            parties.provider.model =
                summary.model.map(|model| in_the_trail(&model, &lens.scanner, &lens.options));
        }
        self.ret.engine.record_completion(&parties, &received, self.said.take().map(Bytes::from));
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let so_far = std::mem::take(&mut self.so_far);
        self.finish(Summary { finish_reason: Some("aborted".into()), ..so_far });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_count_over_a_wrong_label() {
        let kind =
            |content_type: &str, start: &str| Kind::of(Some(content_type), true).corrected(start.as_bytes());
        let events = "event: message_start\ndata: {}";
        for label in ["text/plain", "application/json", "application/octet-stream", "text/event-stream"] {
            assert_eq!(kind(label, events), Kind::Stream(Framing::Events), "{label}");
        }
        assert_eq!(kind("application/octet-stream", " {\"a\":1}"), Kind::Whole);
        assert_eq!(kind("application/json", "{\"a\":1}"), Kind::Whole);
        assert_eq!(kind("text/plain", "dates: today"), Kind::Whole);
        assert_eq!(kind("application/json", "\r\n\nfoo: 1\ndata: {}"), Kind::Stream(Framing::Events));
        assert_eq!(kind("application/json", "{\n\"a\":1,\ndata: 1"), Kind::Whole);
        assert_eq!(kind("text/event-stream", "{\"choices\":[]}"), Kind::Whole);
        assert_eq!(kind("image/png", "\u{89}PNG"), Kind::Binary);
        assert_eq!(kind("audio/mpeg", ""), Kind::Binary);
    }
}
