//! Assessments of tools: what a template asks, what was answered, and whether that may be approved.

use sallyport_policy::Severity;
use sallyport_policy::assessment::{AssessmentRecord, Standing};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// One tool's assessment, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AssessmentView {
    #[serde(flatten)]
    pub record: AssessmentRecord,
    /// It lies in the administrator's folder.
    pub managed: bool,
    /// False where policy takes the administrator's word alone.
    pub counts: bool,
    pub standing: Standing,
    pub questions: Vec<AssessmentQuestion>,
    pub conditions: Vec<AssessmentCondition>,
}

/// One question of the template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AssessmentQuestion {
    pub id: String,
    pub question: String,
    pub answered: bool,
    pub required_evidence: Vec<String>,
    pub risk_factors: Vec<String>,
}

/// One condition of the template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AssessmentCondition {
    pub name: String,
    pub met: bool,
    /// Why it can't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Which tool is to be assessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AssessmentDraft {
    pub tool: String,
    /// Providers that it talks to, by name.
    pub providers: Vec<String>,
    /// Unset: the only one that there is.
    pub template: Option<String>,
    /// Such as `SOC2`.
    pub certificates: Vec<String>,
}

/// An answer to one question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AssessmentAnswer {
    pub tool: String,
    /// Its id.
    pub question: String,
    pub answer: String,
    /// Of the risk that the answer shows.
    pub severity: Option<Severity>,
    pub mitigation: Option<String>,
    pub evidence: Vec<String>,
}

/// Which tool is approved, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
pub struct AssessmentApproval {
    pub tool: String,
    /// A day such as `2027-06-30`; unset: a year from now.
    pub until: Option<String>,
}
