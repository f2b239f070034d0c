//! Text that travels as base64: documents and data URLs. It becomes a segment whose text is the
//! decoded one, so that detectors see words and an edit encodes them again.

use super::Encoded;
use crate::body::{base64, sniff};
use crate::json::{Dom, text};
use crate::segment::{Container, Segment};

/// Adds the segments of a string that holds base64 of text; says whether that replaces the string's
/// own segment.
pub(super) fn push(
    segments: &mut Vec<Segment>,
    dom: &Dom<'_>,
    at: usize,
    whole: &Segment,
    encoded: Encoded,
) -> bool {
    let Container::Json { escaped } = whole.container else { return false };
    let raw = dom.raw(at);
    if encoded == Encoded::No && !raw.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"data:")) {
        return false;
    }
    let text = text::unescape(raw);
    let (named_text, payload) = match data_url(&text) {
        Some((media_type, payload)) => (sniff::is_text_type(media_type), payload),
        None if encoded == Encoded::No => return false,
        None => (encoded == Encoded::Text, 0),
    };
    let body = text.get(payload..).unwrap_or_default().as_bytes();
    if !named_text && !base64::peek(body).is_some_and(|start| starts_like_text(&start)) {
        return false;
    }
    let Some(decoded) = base64::decode(body) else { return false };
    let clean = sniff::reads_like_text(&decoded, false);
    if !named_text && !clean {
        return false;
    }
    let (url, padded) = base64::dialect(body);
    let view = Segment {
        raw: whole.raw_span(dom.bytes, payload..text.len()),
        container: Container::Base64 { url, padded },
        ..whole.clone()
    };
    // Where the base64 is clean text, its letters cannot spell a secret of their own, and only what
    // stands before them is left to see. Otherwise both views are given; if both need an edit,
    // splicing reports the overlap rather than losing one.
    if clean && payload > 0 {
        let raw = whole.raw.start..view.raw.start;
        segments.push(Segment { raw, container: Container::Json { escaped }, ..whole.clone() });
    } else if !clean {
        segments.push(whole.clone());
    }
    segments.push(view);
    true
}

/// The media type of a base64 data URL and where its payload starts.
fn data_url(text: &str) -> Option<(&str, usize)> {
    let comma = text.find(',').filter(|comma| *comma < 256)?;
    let head = text.get(..comma)?;
    let (scheme, head) = head.split_at_checked(5)?;
    let base64 = head.rsplit(';').next()?.trim().eq_ignore_ascii_case("base64");
    (scheme.eq_ignore_ascii_case("data:") && base64)
        .then(|| (head.split(';').next().unwrap_or_default(), comma + 1))
}

/// A peek may end in the middle of a character.
fn starts_like_text(start: &[u8]) -> bool {
    let whole = match std::str::from_utf8(start) {
        Ok(_) => start,
        Err(broken) if broken.error_len().is_none() => start.get(..broken.valid_up_to()).unwrap_or_default(),
        Err(_) => return false,
    };
    !whole.is_empty() && sniff::reads_like_text(whole, true)
}
