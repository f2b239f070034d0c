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

use crate::error::DocumentError;
use crate::yaml::{self, Mark, Node, nearest};

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

/// Reads every document of a file. A file without one is an error: it was meant to say something.
pub fn parse(text: &str, file: &str) -> Result<Vec<Document>, DocumentError> {
    let trees = yaml::documents(text).map_err(|fault| DocumentError::from_fault(file, fault))?;
    if trees.is_empty() {
        let start = Mark { line: 1, column: 1 };
        return Err(DocumentError::new(file, start, "expected a policy document, found none", Some(kinds())));
    }
    let digest = crate::digest(text.as_bytes());
    trees.into_iter().map(|tree| document(tree, file, digest)).collect()
}

fn document(tree: Node, file: &str, digest: [u8; 32]) -> Result<Document, DocumentError> {
    let fail = |mark, message: String, hint| Err(DocumentError::new(file, mark, message, hint));
    if tree.entry("attack_vectors").is_some() {
        let body = read::<AttackSurface>(&tree, file)?;
        let name = DocumentKind::AttackSurfaceModel.as_str().to_owned();
        let body = DocumentBody::AttackSurface(body);
        return Ok(Document { file: file.into(), mark: tree.mark, name, body, tree, digest });
    }
    let Some((_, kind_node)) = tree.entry("kind") else {
        return fail(
            tree.mark,
            "expected a document with `apiVersion`, `kind`, `metadata` and `spec`".into(),
            Some(kinds()),
        );
    };
    let word: String = kind_node.read().map_err(|fault| DocumentError::from_fault(file, fault))?;
    let headed = || DocumentKind::ALL.into_iter().filter(|kind| kind.api_version().is_some());
    let Some(kind) = headed().find(|kind| kind.as_str() == word) else {
        let hint = nearest(&word, headed().map(DocumentKind::as_str))
            .map_or_else(kinds, |name| format!("did you mean `{name}`? {}", kinds()));
        return fail(kind_node.mark, "this is not a kind of document".into(), Some(hint));
    };
    let expected = kind.api_version().unwrap_or_default();
    match tree.field("apiVersion").map(|node| (node.mark, node.read::<String>())) {
        Some((_, Ok(version))) if version == expected => {}
        found => {
            let mark = found.map_or(tree.mark, |(mark, _)| mark);
            return fail(mark, format!("expected `apiVersion: {expected}` for a {}", kind.as_str()), None);
        }
    }
    let (name, body) = match kind {
        DocumentKind::AgentPermissionPolicy => headed_body(&tree, file, DocumentBody::AgentPermissions)?,
        DocumentKind::DataClassificationPolicy => headed_body(&tree, file, DocumentBody::DataClassification)?,
        DocumentKind::AiSecretsPolicy => headed_body(&tree, file, DocumentBody::AiSecrets)?,
        DocumentKind::IncidentResponsePlan => headed_body(&tree, file, DocumentBody::IncidentResponse)?,
        DocumentKind::SecurityAssessmentTemplate => headed_body(&tree, file, DocumentBody::Assessment)?,
        DocumentKind::SallyportPolicy => {
            headed_body(&tree, file, |spec| DocumentBody::Sallyport(Box::new(spec)))?
        }
        DocumentKind::AttackSurfaceModel => return fail(tree.mark, "expected `attack_vectors`".into(), None),
    };
    if let DocumentBody::Sallyport(policy) = &body {
        policy.check(&tree).map_or(Ok(()), |fault| Err(DocumentError::from_fault(file, fault)))?;
    }
    Ok(Document { file: file.into(), mark: tree.mark, name, body, tree, digest })
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
    file: &str,
    wrap: impl FnOnce(S) -> DocumentBody,
) -> Result<(String, DocumentBody), DocumentError> {
    let headed: Headed<S> = read(tree, file)?;
    Ok((headed.metadata.name, wrap(headed.spec)))
}

fn read<T: DeserializeOwned>(tree: &Node, file: &str) -> Result<T, DocumentError> {
    tree.read().map_err(|fault| DocumentError::from_fault(file, fault))
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
