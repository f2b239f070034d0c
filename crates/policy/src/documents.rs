//! Policy documents: seven kinds of YAML, read strictly. A mistake names file, line, column and what was
//! expected there.
//!
//! Reading says what a document means; which part of it is in force is [`in_force`]'s to say.

mod agents;
mod check;
mod governance;
mod in_force;
mod operations;
mod quotas;
mod sallyport;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::error::{DocumentError, DocumentErrors};
use crate::yaml::{self, Fault, Mark, Node, nearest};

pub use agents::*;
pub use check::{Problem, ProblemSeverity, check};
pub use governance::*;
pub use in_force::{FieldStatus, Force, fields_of, in_force};
pub use operations::*;
pub use quotas::*;
pub use sallyport::*;

/// The kinds of document that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
pub enum DocumentKind {
    AgentPermissionPolicy,
    DataClassificationPolicy,
    #[serde(rename = "AISecretsPolicy")]
    AiSecretsPolicy,
    IncidentResponsePlan,
    SecurityAssessmentTemplate,
    /// Has no header: known by its top-level `attack_vectors`.
    AttackSurfaceModel,
    SallyportPolicy,
}

impl DocumentKind {
    pub const ALL: [DocumentKind; 7] = [
        DocumentKind::AgentPermissionPolicy,
        DocumentKind::DataClassificationPolicy,
        DocumentKind::AiSecretsPolicy,
        DocumentKind::IncidentResponsePlan,
        DocumentKind::SecurityAssessmentTemplate,
        DocumentKind::AttackSurfaceModel,
        DocumentKind::SallyportPolicy,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DocumentKind::AgentPermissionPolicy => "AgentPermissionPolicy",
            DocumentKind::DataClassificationPolicy => "DataClassificationPolicy",
            DocumentKind::AiSecretsPolicy => "AISecretsPolicy",
            DocumentKind::IncidentResponsePlan => "IncidentResponsePlan",
            DocumentKind::SecurityAssessmentTemplate => "SecurityAssessmentTemplate",
            DocumentKind::AttackSurfaceModel => "AttackSurfaceModel",
            DocumentKind::SallyportPolicy => "SallyportPolicy",
        }
    }

    /// What stands in `apiVersion`; nothing for the kind without a header.
    pub fn api_version(self) -> Option<&'static str> {
        match self {
            DocumentKind::AgentPermissionPolicy
            | DocumentKind::IncidentResponsePlan
            | DocumentKind::SecurityAssessmentTemplate => Some("security.platform/v1"),
            DocumentKind::DataClassificationPolicy => Some("governance.platform/v1"),
            DocumentKind::AiSecretsPolicy => Some("secrets.platform/v1"),
            DocumentKind::AttackSurfaceModel => None,
            DocumentKind::SallyportPolicy => Some("sallyport/v1"),
        }
    }
}

/// One document, with where it came from.
#[derive(Clone)]
pub struct Document {
    pub file: String,
    /// Where it begins in its file.
    pub mark: Mark,
    /// `metadata.name`; for the attack-surface model its kind.
    pub name: String,
    pub body: DocumentBody,
    pub(crate) tree: Node,
    pub(crate) digest: [u8; 32],
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}` ({}:{})", self.kind().as_str(), self.name, self.file, self.mark.line)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum DocumentBody {
    AgentPermissions(AgentPermissions),
    DataClassification(DataClassification),
    AiSecrets(AiSecrets),
    IncidentResponse(IncidentResponse),
    Assessment(Assessment),
    AttackSurface(AttackSurface),
    Sallyport(Box<SallyportPolicy>),
}

impl Document {
    pub fn kind(&self) -> DocumentKind {
        match self.body {
            DocumentBody::AgentPermissions(_) => DocumentKind::AgentPermissionPolicy,
            DocumentBody::DataClassification(_) => DocumentKind::DataClassificationPolicy,
            DocumentBody::AiSecrets(_) => DocumentKind::AiSecretsPolicy,
            DocumentBody::IncidentResponse(_) => DocumentKind::IncidentResponsePlan,
            DocumentBody::Assessment(_) => DocumentKind::SecurityAssessmentTemplate,
            DocumentBody::AttackSurface(_) => DocumentKind::AttackSurfaceModel,
            DocumentBody::Sallyport(_) => DocumentKind::SallyportPolicy,
        }
    }

    /// The place of a dotted path such as `spec.tiers.1.inherits`.
    pub fn locate(&self, path: &str) -> Mark {
        self.tree.locate(path)
    }
}

/// Reads every document of a file, or says everything that is wrong with it. A file without one is an error: it was meant
/// to say something.
pub fn parse(text: &str, file: &str) -> Result<Vec<Document>, DocumentErrors> {
    let trees = yaml::documents(text).map_err(|fault| DocumentErrors::from_faults(file, vec![fault]))?;
    if trees.is_empty() {
        let start = Mark { line: 1, column: 1 };
        let nothing = "expected a policy document, found none";
        return Err(DocumentError::new(file, start, nothing, Some(kinds())).into());
    }
    let digest = crate::digest(text.as_bytes());
    let mut documents = Vec::new();
    let mut faults = Vec::new();
    for tree in trees {
        if faults.len() >= yaml::MAX_FAULTS {
            break;
        }
        match body(&tree) {
            Ok((name, body)) => {
                let document = Document { file: file.into(), mark: tree.mark, name, body, tree, digest };
                faults.extend(check::faults(&document));
                documents.push(document);
            }
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(documents) } else { Err(DocumentErrors::from_faults(file, faults)) }
}

/// The name and the body of one document.
fn body(tree: &Node) -> Result<(String, DocumentBody), Vec<Fault>> {
    let fail = |mark, message: String, hint| Err(vec![Fault { mark, message, hint }]);
    if tree.entry("attack_vectors").is_some() {
        let body = tree.read_or_all_faults()?;
        return Ok((DocumentKind::AttackSurfaceModel.as_str().to_owned(), DocumentBody::AttackSurface(body)));
    }
    let Some((_, kind_node)) = tree.entry("kind") else {
        return fail(
            tree.mark,
            "expected a document with `apiVersion`, `kind`, `metadata` and `spec`".into(),
            Some(kinds()),
        );
    };
    let word: String = kind_node.read().map_err(|fault| vec![fault])?;
    let headed = || DocumentKind::ALL.into_iter().filter(|kind| kind.api_version().is_some());
    let Some(kind) = headed().find(|kind| kind.as_str() == word) else {
        let hint = nearest(&word, headed().map(DocumentKind::as_str))
            .map_or_else(kinds, |name| format!("did you mean `{name}`? {}", kinds()));
        return fail(kind_node.mark, "this is not a kind of document".into(), Some(hint));
    };
    let expected = kind.api_version().unwrap_or_default();
    let wrong = |mark| {
        let message = format!("expected `apiVersion: {expected}` for a {}", kind.as_str());
        Fault { mark, message, hint: None }
    };
    let Some(version) = tree.field("apiVersion") else { return Err(vec![wrong(tree.mark)]) };
    let version = match version.read::<String>() {
        Ok(word) if word == expected => None,
        _ => Some(wrong(version.mark)),
    };
    let read = match kind {
        DocumentKind::AgentPermissionPolicy => headed_body(tree, DocumentBody::AgentPermissions),
        DocumentKind::DataClassificationPolicy => headed_body(tree, DocumentBody::DataClassification),
        DocumentKind::AiSecretsPolicy => headed_body(tree, DocumentBody::AiSecrets),
        DocumentKind::IncidentResponsePlan => headed_body(tree, DocumentBody::IncidentResponse),
        DocumentKind::SecurityAssessmentTemplate => headed_body(tree, DocumentBody::Assessment),
        DocumentKind::SallyportPolicy => headed_body(tree, |spec| DocumentBody::Sallyport(Box::new(spec))),
        DocumentKind::AttackSurfaceModel => return fail(tree.mark, "expected `attack_vectors`".into(), None),
    };
    match (version, read) {
        (None, read) => read,
        (Some(wrong), Ok(_)) => Err(vec![wrong]),
        (Some(wrong), Err(more)) => {
            let more = more.into_iter().filter(|fault| fault.mark != wrong.mark).collect::<Vec<_>>();
            Err([vec![wrong], more].concat())
        }
    }
}

/// The four keys that every kind but one has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Headed<S> {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    spec: S,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

fn headed_body<S: DeserializeOwned>(
    tree: &Node,
    wrap: impl FnOnce(S) -> DocumentBody,
) -> Result<(String, DocumentBody), Vec<Fault>> {
    let headed: Headed<S> = tree.read_or_all_faults()?;
    Ok((headed.metadata.name, wrap(headed.spec)))
}

fn kinds() -> String {
    let words: Vec<_> = DocumentKind::ALL
        .into_iter()
        .map(|kind| match kind.api_version() {
            Some(version) => format!("`{}` ({version})", kind.as_str()),
            None => "a top-level `attack_vectors`".to_owned(),
        })
        .collect();
    format!("known kinds: {}", words.join(", "))
}

#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;
