//! The files of assessments: where a tool's lies, and what it says.

use std::path::PathBuf;

use sallyport_ipc::{ControlError, ErrorCode};
use sallyport_platform::Paths;
use sallyport_policy::assessment::{self, AssessmentRecord};

/// Longer ones are no assessment.
const MAX_FILE: u64 = 1 << 20;

/// More tools than this are a mistake.
const MAX_TOOLS: usize = 256;

pub(super) fn wrong(message: impl Into<String>, hint: impl Into<String>) -> ControlError {
    ControlError::new(ErrorCode::BadRequest, message).with_hint(hint)
}

pub(super) struct Files<'p>(pub(super) &'p Paths);

impl Files<'_> {
    /// Where a tool's assessment of this user lies.
    pub(super) fn own(&self, tool: &str) -> Result<PathBuf, ControlError> {
        Ok(self.0.assessments_dir().join(name(tool)?))
    }

    /// The tool's assessment, and whether the administrator wrote it.
    pub(super) fn read(&self, tool: &str) -> Result<(AssessmentRecord, bool), ControlError> {
        let (own, managed) = (self.own(tool)?, self.0.managed_assessments_dir().join(name(tool)?));
        let (file, is_managed) = if own.exists() { (own, false) } else { (managed, true) };
        if !file.exists() {
            return Err(ControlError::new(ErrorCode::NotFound, format!("{tool} has no assessment."))
                .with_hint(format!("Begin one with `sallyport assess new {tool} --provider NAME`.")));
        }
        Ok((parsed(&file)?, is_managed))
    }

    /// All of them, in order of their tools, and whether the administrator wrote each.
    pub(super) fn all(&self) -> Result<Vec<(AssessmentRecord, bool)>, ControlError> {
        let mut found = Vec::new();
        for (folder, managed) in [(self.0.assessments_dir(), false), (self.0.managed_assessments_dir(), true)]
        {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            let files = entries.filter(|file| file.extension().is_some_and(|ending| ending == "yaml"));
            for file in files.take(MAX_TOOLS) {
                found.push((parsed(&file)?, managed));
            }
        }
        found.sort_by(|a, b| (&a.0.tool, a.1).cmp(&(&b.0.tool, b.1)));
        Ok(found)
    }

    pub(super) fn write(&self, record: &AssessmentRecord) -> Result<(), ControlError> {
        let failed = |error: String| {
            ControlError::new(
                ErrorCode::Unavailable,
                format!("The assessment of {} could not be written: {error}.", record.tool),
            )
        };
        sallyport_platform::fs::ensure_private_dir(&self.0.assessments_dir())
            .map_err(|error| failed(error.to_string()))?;
        // JSON is YAML, and needs no second writer.
        let text = serde_json::to_string_pretty(record).map_err(|error| failed(error.to_string()))?;
        sallyport_platform::fs::write_private_atomic(
            &self.own(&record.tool)?,
            format!("{text}\n").as_bytes(),
            0o600,
        )
        .map_err(|error| failed(error.to_string()))
    }
}

fn name(tool: &str) -> Result<String, ControlError> {
    let word = !tool.is_empty()
        && tool.len() <= 64
        && tool.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !word {
        return Err(wrong(
            "That can't name a tool.",
            "Use lower-case letters, digits and -, such as github-copilot.",
        ));
    }
    Ok(format!("{tool}.yaml"))
}

fn parsed(file: &std::path::Path) -> Result<AssessmentRecord, ControlError> {
    let name = file.display().to_string();
    let conflict = |message: String| {
        ControlError::new(ErrorCode::Conflict, message).with_hint("Correct that file, or remove it.")
    };
    let bytes = sallyport_platform::fs::read_bounded(file, MAX_FILE)
        .map_err(|error| conflict(format!("{name} could not be read: {error}.")))?
        .ok_or_else(|| conflict(format!("{name} is too large, or no file.")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| conflict(format!("{name} is no text.")))?;
    assessment::parse(text, &name).map_err(|error| conflict(format!("{error}.")))
}
