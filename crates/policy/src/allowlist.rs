//! What a person says is no finding: a value by its fingerprint, a rule, the files under a path.
//!
//! A value that is known from a vault or a keychain is never allowed by rule or path (a repository writes paths).

use globset::{GlobBuilder, GlobMatcher};

/// Files, as people name them: `tests/fixtures/**` below any folder, `/srv/x/**` or `~/x/**` as they stand.
#[derive(Debug, Clone)]
pub struct AllowedPath(GlobMatcher);

/// The pattern is no path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no path pattern: {why}")]
pub struct NoPath {
    pattern: String,
    why: String,
}

impl AllowedPath {
    /// `home` stands for `~`.
    pub fn parse(pattern: &str, home: Option<&str>) -> Result<AllowedPath, NoPath> {
        let fail = |why: &str| NoPath { pattern: pattern.to_owned(), why: why.to_owned() };
        let bare = pattern.trim_start_matches("**/").trim_matches(['*', '/', '.']);
        if bare.is_empty() {
            return Err(fail("it names every file"));
        }
        let whole = match (pattern.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => format!("{}/{rest}", globset::escape(home.trim_end_matches('/'))),
            (Some(_), None) => return Err(fail("there is no home folder here")),
            (None, _) if pattern.starts_with('/') || pattern.starts_with("**/") => pattern.to_owned(),
            (None, _) => format!("**/{}", pattern.trim_start_matches("./")),
        };
        let glob = GlobBuilder::new(&whole).literal_separator(true).build();
        glob.map(|glob| AllowedPath(glob.compile_matcher())).map_err(|error| fail(&error.kind().to_string()))
    }

    /// `path`: with `/` between its parts, and none of them `.` or `..`.
    pub fn holds(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_below_any_folder_or_as_they_stand() {
        let holds =
            |pattern: &str, path: &str| AllowedPath::parse(pattern, Some("/home/a[1]")).unwrap().holds(path);
        assert!(holds("tests/fixtures/**", "/w/p/tests/fixtures/a/b.env"));
        assert!(holds("tests/fixtures/**", "tests/fixtures/a.env"));
        assert!(holds("./demo.env", "/w/demo.env") && holds("*.snap", "/w/x.snap"));
        assert!(!holds("tests/fixtures/**", "/w/my-tests/fixtures/a"));
        assert!(!holds("/srv/x/*", "/srv/x/y/z") && holds("/srv/x/*", "/srv/x/y"));
        assert!(holds("~/demo/**", "/home/a[1]/demo/x") && !holds("~/demo/**", "/home/a1/demo/x"));
        for (pattern, why) in
            [("**", "every file"), ("/", "every file"), ("**/*", "every file"), ("a[", "a[")]
        {
            let error = AllowedPath::parse(pattern, None).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
