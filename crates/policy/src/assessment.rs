//! Security assessments of tools: what was answered, and whether that meets the conditions of the template.
//!
//! Pure: files are read and today's date is told by whoever calls.

pub mod condition;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::Severity;
use crate::documents::{Assessment, Document, DocumentBody};
use crate::error::DocumentError;
use crate::yaml;

pub use condition::{Condition, ConditionError};

/// A day as people write it, `2026-11-26`. Text order is time order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, TS)]
#[serde(transparent)]
pub struct Day(String);

impl Day {
    pub fn parse(text: &str) -> Option<Day> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes.iter().enumerate().all(|(n, byte)| match n {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u8>().ok();
        let sound = shaped && matches!(number(5..7)?, 1..=12) && matches!(number(8..10)?, 1..=31);
        sound.then(|| Day(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        Day::parse(&text).ok_or_else(|| serde::de::Error::custom("expected a day such as `2026-11-26`"))
    }
}

/// One tool's assessment, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct AssessmentRecord {
    pub tool: String,
    /// Providers, by name, that the tool talks to.
    pub providers: BTreeSet<String>,
    /// `metadata.name` of the template.
    pub template: String,
    pub created: Day,
    /// Such as `SOC2` and `ISO27001`; they set `hasSOC2` and `hasISO27001`.
    #[serde(default)]
    pub certificates: BTreeSet<String>,
    /// By the question's id.
    #[serde(default)]
    pub answers: BTreeMap<String, Answer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(rename = "AssessmentAnswered")]
pub struct Answer {
    pub answer: String,
    /// Of the risk that the answer shows; none where it shows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// What is done about the risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigation: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(rename = "AssessmentApproved")]
pub struct Approval {
    pub by: String,
    pub on: Day,
    /// The assessment comes up again then.
    pub until: Day,
    /// What the engine seals an approval with; one without it counts in the administrator's folder alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// Reads one record.
pub fn parse(text: &str, file: &str) -> Result<AssessmentRecord, DocumentError> {
    yaml::from_str(text).map_err(|fault| DocumentError::from_fault(file, fault))
}

/// Where a tool stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    Approved {
        until: String,
    },
    /// Everything is in order; nobody has approved it.
    Ready,
    /// Approved once, and due again since.
    Due {
        since: String,
    },
    /// Questions without an answer.
    Incomplete {
        questions: Vec<String>,
    },
    /// Conditions that are not met.
    Failing {
        criteria: Vec<String>,
    },
    /// The template is in no policy document.
    NoTemplate {
        template: String,
    },
}

impl Standing {
    pub fn is_approved(&self) -> bool {
        matches!(self, Standing::Approved { .. })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Approved { until } => write!(f, "approved until {until}"),
            Standing::Ready => f.write_str("ready to be approved"),
            Standing::Due { since } => write!(f, "due again since {since}"),
            Standing::Incomplete { questions } => write!(f, "not answered: {}", questions.join(", ")),
            Standing::Failing { criteria } => write!(f, "conditions not met: {}", criteria.join(", ")),
            Standing::NoTemplate { template } => {
                write!(f, "no policy document is a SecurityAssessmentTemplate called {template}")
            }
        }
    }
}

/// The templates among documents, by name.
pub fn templates(documents: &[Document]) -> BTreeMap<&str, &Assessment> {
    let found = documents.iter().filter_map(|document| match &document.body {
        DocumentBody::Assessment(body) => Some((document.name.as_str(), body)),
        _ => None,
    });
    found.collect()
}

/// Judges a record by its template.
pub fn standing(record: &AssessmentRecord, template: Option<&Assessment>, today: &Day) -> Standing {
    let Some(template) = template else {
        return Standing::NoTemplate { template: record.template.clone() };
    };
    let questions = template.phases.iter().flat_map(|phase| &phase.questions);
    let open: Vec<_> =
        questions.map(|q| &q.id).filter(|id| !record.answers.contains_key(*id)).cloned().collect();
    if !open.is_empty() {
        return Standing::Incomplete { questions: open };
    }
    let failing: Vec<_> = criteria(record, template)
        .into_iter()
        .filter(|(_, met)| *met != Ok(true))
        .map(|(name, _)| name.to_owned())
        .collect();
    if !failing.is_empty() {
        return Standing::Failing { criteria: failing };
    }
    match &record.approval {
        None => Standing::Ready,
        Some(approval) if approval.until < *today => Standing::Due { since: approval.until.to_string() },
        Some(approval) => Standing::Approved { until: approval.until.to_string() },
    }
}

/// Each condition of the template with whether it is met.
pub fn criteria<'t>(
    record: &AssessmentRecord,
    template: &'t Assessment,
) -> Vec<(&'t str, Result<bool, ConditionError>)> {
    let facts = condition::Facts::of(record);
    let judged = template
        .approval_criteria
        .iter()
        .map(|entry| (entry.name.as_str(), Condition::parse(&entry.condition).map(|c| c.holds(&facts))));
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents;

    const TEMPLATE: &str = include_str!("../../../assets/policies/examples/ai-tool-security-assessment.yaml");

    fn record() -> AssessmentRecord {
        let documents = documents::parse(TEMPLATE, "t.yaml").unwrap();
        let template = templates(&documents)["ai-tool-assessment"];
        let answer =
            || Answer { answer: "yes".into(), severity: None, mitigation: None, evidence: Vec::new() };
        let questions = template.phases.iter().flat_map(|phase| &phase.questions);
        AssessmentRecord {
            tool: "cursor".into(),
            providers: ["cursor".to_owned()].into(),
            template: "ai-tool-assessment".into(),
            created: Day::parse("2026-01-01").unwrap(),
            certificates: ["SOC2".to_owned()].into(),
            answers: questions.map(|question| (question.id.clone(), answer())).collect(),
            approval: Some(Approval {
                by: "ann".into(),
                on: Day::parse("2026-01-02").unwrap(),
                until: Day::parse("2026-07-01").unwrap(),
                seal: None,
            }),
        }
    }

    fn judged(record: &AssessmentRecord, today: &str) -> String {
        let documents = documents::parse(TEMPLATE, "t.yaml").unwrap();
        let template = templates(&documents).get(record.template.as_str()).copied();
        standing(record, template, &Day::parse(today).unwrap()).to_string()
    }

    #[test]
    fn the_source_template_is_judged() {
        let mut record = record();
        assert_eq!(judged(&record, "2026-07-01"), "approved until 2026-07-01");
        assert_eq!(judged(&record, "2026-07-02"), "due again since 2026-07-01");
        record.answers.get_mut("data-usage").unwrap().severity = Some(Severity::High);
        assert_eq!(judged(&record, "2026-02-01"), "conditions not met: high-risks-mitigated");
        record.answers.get_mut("data-usage").unwrap().mitigation = Some("opted out".into());
        assert!(judged(&record, "2026-02-01").starts_with("approved"));
        record.answers.get_mut("api-security").unwrap().severity = Some(Severity::Critical);
        record.certificates.clear();
        assert_eq!(judged(&record, "2026-02-01"), "conditions not met: no-critical-risks, vendor-certified");
        record.answers.remove("audit-capability");
        assert_eq!(judged(&record, "2026-02-01"), "not answered: audit-capability");
        record.template = "other".into();
        assert!(judged(&record, "2026-02-01").contains("called other"));
    }

    #[test]
    fn a_file_is_read_strictly_and_comes_back_whole() {
        let record = record();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(parse(&text, "a.yaml").unwrap(), record, "JSON is YAML");
        let error =
            parse("tool: x\nproviders: []\ntemplate: t\ncreated: 2026-13-01\n", "a.yaml").unwrap_err();
        assert_eq!(error.to_string(), "a.yaml:4:10: expected a day such as `2026-11-26`");
        let error = parse("tool: x\ntol: y\n", "a.yaml").unwrap_err();
        assert!(error.to_string().starts_with("a.yaml:2:1: `tol` is not a key here"), "{error}");
    }
}
