//! `multipart/form-data`: where parts, their headers and their contents stand.

use std::ops::Range;

use memchr::memmem;

/// One part. Ranges are positions in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The values of its header lines.
    pub(crate) headers: Vec<Range<usize>>,
    pub(crate) content: Range<usize>,
    /// Whether it came as a file.
    pub(crate) file: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Multipart {
    pub(crate) parts: Vec<Part>,
    /// What stands before the first and after the last boundary: nobody reads it, but it is sent.
    pub(crate) around: Vec<Range<usize>>,
}

/// Cuts the body at its boundaries; nothing if there is not one.
pub(crate) fn split(body: &[u8], boundary: Option<&str>) -> Option<Multipart> {
    let delimiter = match boundary {
        Some(boundary) => format!("--{boundary}").into_bytes(),
        None => first_line(body).filter(|line| line.starts_with(b"--") && line.len() > 2)?.to_vec(),
    };
    let lines: Vec<Range<usize>> = memmem::find_iter(body, &delimiter)
        .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'))
        .map(|at| at..at + delimiter.len())
        .collect();
    let first = lines.first()?;
    let mut multipart = Multipart { parts: Vec::new(), around: Vec::new() };
    multipart.keep_around(body, 0..first.start);
    for (number, line) in lines.iter().enumerate() {
        let end = lines.get(number + 1).map_or(body.len(), |next| next.start);
        if body.get(line.end..line.end + 2) == Some(b"--") {
            multipart.keep_around(body, line.end + 2..end);
            continue;
        }
        multipart.parts.push(part(body, end_of_line(body, line.end)..end));
    }
    Some(multipart)
}

impl Multipart {
    fn keep_around(&mut self, body: &[u8], range: Range<usize>) {
        if body.get(range.clone()).is_some_and(|bytes| !bytes.trim_ascii().is_empty()) {
            self.around.push(range);
        }
    }
}

fn part(body: &[u8], range: Range<usize>) -> Part {
    let mut part = Part { headers: Vec::new(), content: range.end..range.end, file: false };
    let mut at = range.start;
    while at < range.end {
        let next = end_of_line(body, at).min(range.end);
        let line = body.get(at..next).unwrap_or_default().trim_ascii_end();
        if line.is_empty() {
            part.content = next..without_line_end(body, next..range.end);
            return part;
        }
        let value = memchr::memchr(b':', line).map_or(0, |colon| colon + 1);
        part.headers.push(at + value..at + line.len());
        let lower = line.to_ascii_lowercase();
        part.file |= memmem::find(&lower, b"filename").is_some();
        at = next;
    }
    part
}

/// The line end before a boundary belongs to the boundary.
fn without_line_end(body: &[u8], range: Range<usize>) -> usize {
    match body.get(range.clone()) {
        Some([.., b'\r', b'\n']) => range.end - 2,
        Some([.., b'\n']) => range.end - 1,
        _ => range.end.max(range.start),
    }
}

fn end_of_line(body: &[u8], at: usize) -> usize {
    let rest = body.get(at..).unwrap_or_default();
    at + memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)
}

fn first_line(body: &[u8]) -> Option<&[u8]> {
    body.get(..memchr::memchr(b'\n', body)?).map(<[u8]>::trim_ascii_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
        line one\r\nline two\r\n--x--\r\n";

    fn texts(ranges: &[Range<usize>]) -> Vec<&'static str> {
        ranges.iter().map(|range| std::str::from_utf8(&BODY[range.clone()]).unwrap()).collect()
    }

    #[test]
    fn parts_are_found_with_and_without_a_declared_boundary() {
        for boundary in [Some("x"), None] {
            let multipart = split(BODY, boundary).unwrap();
            let contents: Vec<_> = multipart.parts.iter().map(|part| part.content.clone()).collect();
            assert_eq!(texts(&contents), ["batch", "line one\r\nline two"]);
            assert!(!multipart.parts[0].file);
            assert!(multipart.parts[1].file);
            assert_eq!(
                texts(&multipart.parts[1].headers),
                [" form-data; name=\"file\"; filename=\"a.txt\"", " text/plain"]
            );
            assert!(multipart.around.is_empty());
        }
    }

    #[test]
    fn text_outside_the_parts_is_kept() {
        let multipart = split(b"hello\r\n--x\r\n\r\na\r\n--x--\r\nsecret", Some("x")).unwrap();
        assert_eq!(multipart.around.len(), 2);
    }

    #[test]
    fn an_unfinished_body_loses_nothing() {
        let multipart = split(b"--x\r\nA: b", Some("x")).unwrap();
        assert_eq!(multipart.parts[0].headers, [7..9]);
        assert_eq!(split(b"no boundary", Some("x")), None);
        assert_eq!(split(b"", None), None);
    }
}
