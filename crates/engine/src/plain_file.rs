//! The text of a file that somebody else may have laid there: a policy or a bundle. Must not wait for a pipe nor read
//! without end.

use std::fs::Metadata;
use std::path::Path;

use sallyport_platform::fs::read_bounded;

/// The text of `file`, at most `most` bytes. The error is what is wrong with it, to stand behind its name; `kind` says what
/// it should be.
pub(crate) fn text(file: &Path, metadata: &Metadata, most: u64, kind: &str) -> Result<String, String> {
    // A pipe without a writer would hold up this file and every later one, managed ones too.
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    if metadata.len() > most {
        return Err(format!("has {} bytes, which no {kind} needs", metadata.len()));
    }
    // Looked at again once it is open: it may have become another thing.
    let bytes = read_bounded(file, most)
        .map_err(|error| format!("could not be read: {error}"))?
        .ok_or("was changed while it was read")?;
    let text = std::str::from_utf8(&bytes).map_err(|error| format!("could not be read: {error}"))?;
    Ok(text.to_owned())
}
