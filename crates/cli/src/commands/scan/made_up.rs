//! Files of tests, examples and documentation in a scanned folder: what people make up there to show how it works.

use std::path::{Component, Path};

/// Rules whose values a person makes up without thinking: passwords, and keys made for the purpose. Tokens of a
/// service are not among them: nobody invents those.
const RULES: &[&str] = &[
    "basic_auth_header",
    "connection_string",
    "database_call",
    "env_assignment",
    "password_argument",
    "password_assignment",
    "password_hash",
    "password_told",
    "private_key",
    "secret_after_name",
    "url_credentials",
];

const FOLDERS: &[&str] = &[
    "__tests__",
    "doc",
    "docs",
    "documentation",
    "e2e",
    "example",
    "examples",
    "fixture",
    "fixtures",
    "mock",
    "mocks",
    "sample",
    "samples",
    "spec",
    "specs",
    "test",
    "testdata",
    "testing",
    "tests",
    "unittest",
    "unittests",
];

/// Whether the place of a file, below the folder that was named, says that it is a test, an example or documentation.
pub(super) fn is_place(below: &Path) -> bool {
    let mut folders = below.parent().into_iter().flat_map(Path::components);
    let named = |part: Component<'_>| {
        let part = part.as_os_str().to_string_lossy().to_ascii_lowercase();
        FOLDERS.contains(&part.as_str())
    };
    let stem = below.file_stem().unwrap_or_default().to_string_lossy();
    let begins = stem.starts_with("test_") && stem.len() > "test_".len();
    let ends = [".spec", ".test", "-test", "_spec", "_test", "Test", "TestCase", "Tests"];
    folders.any(named) || begins || ends.iter().any(|end| stem.len() > end.len() && stem.ends_with(end))
}

pub(super) fn is_rule(rule: &str) -> bool {
    RULES.contains(&rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_tests_and_documentation() {
        for below in [
            "tests/a.py",
            "src/__tests__/a.js",
            "Docs/setup.md",
            "pkg/auth_test.go",
            "test_a.py",
            "web/UserTest.java",
        ] {
            assert!(is_place(Path::new(below)), "{below}");
        }
        for below in ["src/main.rs", "contest/a.py", "latest.yml", "README.md", "test.txt", "tests"] {
            assert!(!is_place(Path::new(below)), "{below}");
        }
    }

    #[test]
    fn the_rules_are_there() {
        let rules = sallyport_detect::RuleSet::builtin().unwrap();
        assert!(RULES.iter().all(|rule| rules.rule(rule).is_some()));
        assert!(!is_rule("aws_key") && is_rule("password_assignment"));
    }
}
