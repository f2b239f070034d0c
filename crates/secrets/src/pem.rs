//! Private keys in PEM text. A key is found as a whole, and line by line too: tools that show files to a model put a
//! number before each line, so the whole never stands there in one piece.

/// The unencrypted OpenSSH format begins alike for every key of a kind; its first line is no secret.
const OPENSSH_PREAMBLE: &[u8] = b"b3BlbnNzaC1rZXktdjEA";
/// Shorter lines (the last one of a key, mostly) could be anything.
const MIN_LINE: usize = 24;

/// The private-key blocks of a text, from BEGIN to END.
pub(crate) fn private_keys(text: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let block = &rest[start..];
        let label_end = block[11..].find("-----").map(|at| at + 11);
        let label = label_end.map_or("", |end| &block[11..end]);
        let closing = format!("-----END {label}-----");
        match block.find(&closing) {
            Some(end) => {
                let end = end + closing.len();
                if label.ends_with("PRIVATE KEY") || label.ends_with("PRIVATE KEY BLOCK") {
                    keys.push(&block[..end]);
                }
                rest = &block[end..];
            }
            None => rest = &block[11..],
        }
    }
    keys
}

/// The lines of key material in a value that is a private key.
pub(crate) fn key_lines(value: &[u8]) -> Vec<&[u8]> {
    let Ok(text) = std::str::from_utf8(value) else { return Vec::new() };
    private_keys(text)
        .into_iter()
        .flat_map(|key| key.lines())
        .map(|line| line.trim().as_bytes())
        .filter(|line| {
            line.len() >= MIN_LINE && line.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b))
        })
        .filter(|line| !line.starts_with(OPENSSH_PREAMBLE))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAmadeupAmadeupAmadeupAmadeupAmadeupAmadeupAmadeupAmadeup\r\nshort==\n-----END EC PRIVATE KEY-----";

    #[test]
    fn finds_private_keys_only() {
        let text =
            format!("# a comment\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n{KEY}\n");
        assert_eq!(private_keys(&text), [KEY]);
        assert!(private_keys("-----BEGIN PRIVATE KEY-----\nnever ends").is_empty());
        assert!(private_keys("-----BEGIN -----BEGIN ----------END -----").is_empty());
        let two = format!("{KEY}\n{KEY}");
        assert_eq!(private_keys(&two).len(), 2);
    }

    #[test]
    fn takes_lines_of_material() {
        let lines = key_lines(KEY.as_bytes());
        assert_eq!(lines, [b"MHcCAQEEIAmadeupAmadeupAmadeupAmadeupAmadeupAmadeupAmadeupAmadeup"]);
        assert!(key_lines(b"just a long password without any key in it").is_empty());
        let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACDmadeupmadeupmadeupmadeup\n-----END OPENSSH PRIVATE KEY-----";
        assert_eq!(key_lines(openssh.as_bytes()).len(), 1);
    }
}
