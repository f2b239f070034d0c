//! Configured files with `NAME=value` lines, and reading of files in general.

use std::path::Path;

use sallyport_platform::fs::{read_bounded, readable_by_others};
use zeroize::Zeroizing;

use crate::Judge;
use crate::collect::Collector;
use crate::env_file;
use crate::report::{ProblemCode, SourceError, SourceId, SourceKind, SourceReport};

/// A file of credentials is small; a larger one is something else.
const MAX_FILE: u64 = 4 << 20;
/// A token, a password, a CA certificate.
const MAX_CREDENTIAL: u64 = 1 << 20;

/// Reads one configured file.
pub(crate) fn load(path: &Path, judge: Judge) -> SourceReport {
    let location = path.display().to_string();
    let mut collector = Collector::new(judge);
    let mut warnings = Vec::new();
    let result = read(path).map(|text| {
        let file = env_file::parse(&text);
        for assignment in &file.assignments {
            let raw: Vec<&[u8]> = assignment.raw.iter().map(|r| r.as_bytes()).collect();
            collector.add_spelt(&assignment.name, assignment.value.as_bytes(), &raw);
        }
        if let Some(first) = file.malformed.first() {
            warnings.push(SourceError::new(
                ProblemCode::FileMalformed,
                format!(
                    "{location}: {} line(s) are no NAME=value, the first is line {first}.",
                    file.malformed.len()
                ),
                "Write one NAME=value on each line; comments begin with #.",
            ));
        }
    });
    warnings.extend(open_to_others(path));
    let (secrets, skipped_short) = collector.finish();
    SourceReport {
        dated: Vec::new(),
        id: SourceId::new(SourceKind::File, &location),
        kind: SourceKind::File,
        location,
        result: result.map(|()| secrets),
        skipped_short,
        warnings,
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, SourceError> {
    let shown = path.display();
    if !path.exists() {
        return Err(SourceError::new(
            ProblemCode::FileMissing,
            format!("There is no file {shown}."),
            "Create it, or take it out of `secrets.files` in config.yaml.",
        ));
    }
    match read_bounded(path, MAX_FILE) {
        Ok(Some(bytes)) => text(bytes).ok_or_else(|| {
            SourceError::new(
                ProblemCode::FileMalformed,
                format!("{shown} is not text in UTF-8."),
                "Write NAME=value lines in UTF-8.",
            )
        }),
        Ok(None) => Err(SourceError::new(
            ProblemCode::FileUnreadable,
            format!("{shown} is no ordinary file, or larger than {} MiB.", MAX_FILE >> 20),
            "Name a file with NAME=value lines.",
        )),
        Err(e) => Err(SourceError::new(
            ProblemCode::FileUnreadable,
            format!("{shown} cannot be read: {}.", cause(&e)),
            "Make it readable for the user who runs Sallyport.",
        )),
    }
}

/// A file that holds one credential: its text without white space around it, and a warning when others can read it.
pub(crate) fn credential(
    path: &Path,
    what: &str,
    warnings: &mut Vec<SourceError>,
) -> Result<Zeroizing<String>, SourceError> {
    let fail = |reason: String| {
        SourceError::new(
            ProblemCode::CredentialFile,
            format!("The file with the {what}, {}, {reason}.", path.display()),
            "Put it there with mode 0600, or correct its path in config.yaml.",
        )
    };
    let bytes = match read_bounded(path, MAX_CREDENTIAL) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(fail("is missing".into())),
        Err(e) => return Err(fail(format!("cannot be read: {}", cause(&e)))),
    };
    let text = text(bytes).ok_or_else(|| fail("is not text".into()))?;
    let trimmed = Zeroizing::new(text.trim().to_owned());
    if trimmed.is_empty() {
        return Err(fail("is empty".into()));
    }
    warnings.extend(open_to_others(path));
    Ok(trimmed)
}

fn open_to_others(path: &Path) -> Option<SourceError> {
    let shown = path.display();
    (readable_by_others(path) == Some(true)).then(|| {
        SourceError::new(
            ProblemCode::CredentialFileOpen,
            format!("Other users of this machine can read {shown}."),
            format!("Run `chmod 600 {shown}`."),
        )
    })
}

/// The bytes as text, without a copy.
pub(crate) fn text(mut bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).ok()
}

/// The innermost reason of an error, which is the system's own.
pub(crate) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::judge;

    #[test]
    fn reads_a_file_and_says_what_is_odd() {
        let dir = tempfile::tempdir().expect("temp");
        let path = dir.path().join("secrets.env");
        std::fs::write(&path, "A=value-one-1\noops\nB=\"va\\\"lue-two\"\nPIN=1234\n").expect("file");
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("mode");
        let report = load(&path, judge());
        assert_eq!(report.names().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(report.result.as_ref().expect("found").len(), 3, "the raw text of B is a part");
        assert_eq!(report.skipped_short, 1);
        let codes: Vec<_> = report.warnings.iter().map(|w| w.code).collect();
        assert_eq!(codes, [ProblemCode::FileMalformed, ProblemCode::CredentialFileOpen]);
        assert!(report.warnings[0].message.contains("line 2"));
    }

    #[test]
    fn a_missing_file_and_one_that_is_no_text() {
        let dir = tempfile::tempdir().expect("temp");
        let code = |path: &Path| load(path, judge()).result.expect_err("error").code;
        assert_eq!(code(&dir.path().join("none")), ProblemCode::FileMissing);
        assert_eq!(code(dir.path()), ProblemCode::FileUnreadable);
        let binary = dir.path().join("binary");
        std::fs::write(&binary, b"A=\xff\xfe").expect("file");
        assert_eq!(code(&binary), ProblemCode::FileMalformed);
    }
}
