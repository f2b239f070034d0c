//! What the types alone can't tell of a document: names that lead nowhere, patterns that are none. Some of it makes a
//! document unusable, some is only odd.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use globset::GlobBuilder;
use serde::{Deserialize, Serialize};

use crate::assessment::Condition;
use crate::yaml::{Fault, Mark};

use super::{
    AgentPermissions, AiSecrets, Assessment, DataClassification, Document, DocumentBody, IncidentResponse,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemSeverity {
    /// Readable, but likely not what was meant.
    Warning,
    /// Can't be put in force.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub severity: ProblemSeverity,
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What makes a document unusable, though it is written as one.
pub(super) fn faults(document: &Document) -> Vec<Fault> {
    let problems = singly(document).into_iter().filter(|problem| problem.severity == ProblemSeverity::Error);
    let mut faults: Vec<Fault> = problems
        .map(|problem| Fault {
            mark: Mark { line: problem.line, column: problem.column },
            message: problem.message,
            hint: None,
        })
        .collect();
    if let DocumentBody::Sallyport(policy) = &document.body {
        faults.extend(policy.check(&document.tree));
    }
    faults
}

/// What is odd in documents that can be used: singly, and together.
pub fn check(documents: &[Document]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names: BTreeMap<(&str, &str), &Document> = BTreeMap::new();
    for document in documents {
        problems.extend(
            singly(document).into_iter().filter(|problem| problem.severity == ProblemSeverity::Warning),
        );
        let key = (document.kind().as_str(), document.name.as_str());
        if let Some(first) = names.insert(key, document) {
            let message =
                format!("a {} called `{}` stands in {}:{} too", key.0, key.1, first.file, first.mark.line);
            Found { document, problems: &mut problems }.warning("metadata.name", message);
        }
    }
    problems
}

fn singly(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut found = Found { document, problems: &mut problems };
    match &document.body {
        DocumentBody::AgentPermissions(body) => agents(body, &mut found),
        DocumentBody::DataClassification(body) => classification(body, &mut found),
        DocumentBody::AiSecrets(body) => secrets(body, &mut found),
        DocumentBody::IncidentResponse(body) => incidents(body, &mut found),
        DocumentBody::Assessment(body) => assessment(body, &mut found),
        DocumentBody::AttackSurface(_) | DocumentBody::Sallyport(_) => {}
    }
    problems
}

struct Found<'a> {
    document: &'a Document,
    problems: &'a mut Vec<Problem>,
}

impl Found<'_> {
    fn error(&mut self, path: &str, message: String) {
        self.push(ProblemSeverity::Error, path, message);
    }

    fn warning(&mut self, path: &str, message: String) {
        self.push(ProblemSeverity::Warning, path, message);
    }

    fn push(&mut self, severity: ProblemSeverity, path: &str, message: String) {
        let mark = self.document.locate(path);
        let file = self.document.file.clone();
        let Mark { line, column } = mark;
        self.problems.push(Problem { severity, file, line, column, message, hint: None });
    }

    fn globs(&mut self, path: &str, patterns: &[String]) {
        for (index, pattern) in patterns.iter().enumerate() {
            if let Err(error) = GlobBuilder::new(pattern).literal_separator(true).build() {
                self.error(
                    &format!("{path}.{index}"),
                    format!("`{pattern}` is no path pattern: {}", error.kind()),
                );
            }
        }
    }

    /// Names that must differ within one list.
    fn distinct<'n>(&mut self, list: &str, field: &str, what: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = HashSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                let path = format!("{list}.{index}.{field}");
                self.error(&path, format!("the {what} `{name}` stands here a second time"));
            }
        }
    }
}

fn agents(body: &AgentPermissions, found: &mut Found<'_>) {
    found.distinct("spec.tiers", "name", "tier", body.tiers.iter().map(|tier| tier.name.as_str()));
    for (index, tier) in body.tiers.iter().enumerate() {
        let at = format!("spec.tiers.{index}");
        if let Some(parent) = &tier.inherits {
            if !body.tiers.iter().any(|tier| tier.name == *parent) {
                found.error(&format!("{at}.inherits"), format!("no tier is called `{parent}`"));
            } else if inherits_itself(body, &tier.name) {
                found.error(
                    &format!("{at}.inherits"),
                    format!("`{}` inherits from itself in the end", tier.name),
                );
            }
        }
        for (n, permission) in tier.permissions.filesystem.iter().enumerate() {
            let at = format!("{at}.permissions.filesystem.{n}");
            found.globs(&format!("{at}.paths"), &permission.paths);
            found.globs(&format!("{at}.exclude"), &permission.exclude);
        }
        for (n, permission) in tier.permissions.network.iter().enumerate() {
            let at = format!("{at}.permissions.network.{n}");
            for (list, domains) in [("domains", &permission.domains), ("exclude", &permission.exclude)] {
                for (d, domain) in domains.iter().enumerate() {
                    let odd = domain.is_empty() || domain.contains(['/', ':', ' ']);
                    if odd {
                        let message =
                            format!("`{domain}` is no domain: expected a name such as `docs.*.com`");
                        found.error(&format!("{at}.{list}.{d}"), message);
                    }
                }
            }
        }
    }
}

fn inherits_itself(body: &AgentPermissions, start: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut name = start;
    while seen.insert(name) {
        match body.tiers.iter().find(|tier| tier.name == name).and_then(|tier| tier.inherits.as_deref()) {
            Some(parent) => name = parent,
            None => return false,
        }
    }
    true
}

fn classification(body: &DataClassification, found: &mut Found<'_>) {
    let levels = body.classifications.iter().map(|entry| entry.level.as_str());
    found.distinct("spec.classifications", "level", "level", levels);
    for level in crate::Level::ALL {
        if !body.classifications.iter().any(|entry| entry.level == level) {
            found.warning("spec.classifications", format!("the level `{level}` is not described"));
        }
    }
    for (index, entry) in body.classifications.iter().enumerate() {
        let stricter = body
            .classifications
            .iter()
            .find(|lower| lower.level < entry.level && lower.ai_provider > entry.ai_provider);
        if let Some(lower) = stricter {
            let message = format!(
                "`{}` asks more of a provider than this level above it: that counts here, too",
                lower.level
            );
            found.warning(&format!("spec.classifications.{index}.aiProvider"), message);
        }
    }
}

fn secrets(body: &AiSecrets, found: &mut Found<'_>) {
    found.distinct(
        "spec.secretClasses",
        "name",
        "class",
        body.secret_classes.iter().map(|c| c.name.as_str()),
    );
    for (index, class) in body.secret_classes.iter().enumerate() {
        found.globs(&format!("spec.secretClasses.{index}.patterns"), &class.patterns);
    }
}

fn incidents(body: &IncidentResponse, found: &mut Found<'_>) {
    found.distinct("spec.incidentTypes", "type", "type", body.incident_types.iter().map(|t| t.name.as_str()));
}

fn assessment(body: &Assessment, found: &mut Found<'_>) {
    found.distinct("spec.phases", "name", "phase", body.phases.iter().map(|phase| phase.name.as_str()));
    let mut ids = HashSet::new();
    for (p, phase) in body.phases.iter().enumerate() {
        for (q, question) in phase.questions.iter().enumerate() {
            if !ids.insert(question.id.as_str()) {
                let path = format!("spec.phases.{p}.questions.{q}.id");
                found.error(&path, format!("the question `{}` stands here a second time", question.id));
            }
        }
    }
    let criteria = body.approval_criteria.iter().map(|criterion| criterion.name.as_str());
    found.distinct("spec.approvalCriteria", "name", "criterion", criteria);
    for (index, criterion) in body.approval_criteria.iter().enumerate() {
        if let Err(error) = Condition::parse(&criterion.condition) {
            let path = format!("spec.approvalCriteria.{index}.condition");
            found.error(&path, format!("this condition is not understood: {error}"));
        }
    }
}
