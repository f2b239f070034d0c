//! Hosts and the patterns that they are held against: `docs.*.com`, `*.example.com`.

/// Whether a pattern reaches a host. A leading `*.` stands for one label or more, any other `*` for one.
pub(super) fn reaches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.trim_end_matches('.').to_ascii_lowercase();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() || host.split('.').any(str::is_empty) {
        return false;
    }
    if pattern == "*" {
        return true;
    }
    let (rest, deep) = match pattern.strip_prefix("*.") {
        Some(rest) => (rest, true),
        None => (pattern.as_str(), false),
    };
    let labels: Vec<&str> = rest.split('.').collect();
    let hosts: Vec<&str> = host.split('.').collect();
    let enough = if deep { hosts.len() > labels.len() } else { hosts.len() == labels.len() };
    enough && labels.iter().rev().zip(hosts.iter().rev()).all(|(pattern, label)| one(pattern, label))
}

/// Within one label `*` stands for any characters.
fn one(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == label,
        Some((start, end)) => {
            label.len() >= start.len() + end.len()
                && label.starts_with(start)
                && (label.ends_with(end) || end.contains('*'))
                && !label.is_empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_labels() {
        for (pattern, host, expected) in [
            ("docs.*.com", "docs.python.com", true),
            ("docs.*.com", "docs.evil.org", false),
            ("docs.*.com", "docs.a.b.com", false),
            ("docs.*.com", "evil.docs.python.com", false),
            ("docs.*.com", "docs.com", false),
            ("pypi.org", "PyPI.org.", true),
            ("pypi.org", "pypi.org.evil.com", false),
            ("pypi.org", "evilpypi.org", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("api-*.example.com", "api-1.example.com", true),
            ("*", "anything.example", true),
            ("pypi.org", "", false),
        ] {
            assert_eq!(reaches(pattern, host), expected, "{pattern} {host}");
        }
    }
}
