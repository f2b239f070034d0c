//! What providers sign or encrypt and want back unchanged, and what is base64 of a media type.
//! Marked in every family, since compatible hosts pass each other's fields on; never inside a
//! tool's own arguments.

use super::{Encoded, Marks};
use crate::body::sniff;
use crate::json::{Dom, Kind};
use crate::segment::Role;

const SEALED: [&str; 4] = ["thoughtSignature", "thought_signature", "encrypted_content", "encrypted_index"];
const SEALED_BLOCKS: [&str; 3] = ["thinking", "redacted_thinking", "reasoning.encrypted"];
const SEALED_BLOCK_MEMBERS: [&str; 3] = ["thinking", "signature", "data"];
const MEDIA_TYPES: [&str; 3] = ["media_type", "mimeType", "mime_type"];

/// Looks at each member once, so that an object of a million equal keys costs no more than others.
pub(super) fn apply(dom: &Dom<'_>, marks: &mut Marks) {
    for (object, node) in dom.tape.nodes.iter().enumerate() {
        if node.kind == Kind::Object && !marks.is_free(object) {
            self::object(dom, object, marks);
        }
    }
}

fn object(dom: &Dom<'_>, object: usize, marks: &mut Marks) {
    let (mut sealed_type, mut sealed_member, mut media_type) = (false, false, None);
    let mut encoded = Vec::new();
    for (key, value) in dom.members(object) {
        let Some(node) = dom.node(key) else { continue };
        // The length rules out nearly every key before a comparison; escapes make keys longer.
        let length = if node.escaped { 0 } else { node.raw().len() };
        if matches!(length, 0 | 4) && dom.is(key, "type") {
            sealed_type |= dom.is_any(value, &SEALED_BLOCKS);
        }
        if matches!(length, 0 | 4 | 8 | 9) && dom.is_any(key, &SEALED_BLOCK_MEMBERS) {
            sealed_member = true;
            if dom.is(key, "data") && dom.kind(value) == Some(Kind::String) {
                encoded.push(value);
            }
        }
        if matches!(length, 0 | 8..=10) && dom.is_any(key, &MEDIA_TYPES) {
            media_type = dom.text(value);
        }
        if matches!(length, 0 | 15..=17) && dom.is_any(key, &SEALED) && !marks.is_free(value) {
            marks.lock(dom, value);
        }
    }
    if sealed_type && sealed_member {
        marks.lock(dom, object);
    }
    let Some(media_type) = media_type else { return };
    let named = if sniff::is_text_type(&media_type) { Encoded::Text } else { Encoded::Unknown };
    for value in encoded {
        marks.encode(value, named);
        if marks.role(value) == Role::Other {
            marks.paint(dom, value, Role::Attachment);
        }
    }
}
