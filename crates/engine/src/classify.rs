//! What raises the level of a request besides findings: the rules, labels and paths of policy, looked for in its text.
//!
//! Pure. Costs nothing where policy has no such rules.

use sallyport_policy::Level;
use sallyport_policy::classification::{ClassificationRules, Mark};
use sallyport_wire::{RequestDocument, Role, Segment};

/// One rule is named once; more rules than this need not be told.
const MAX_MARKS: usize = 64;

/// `plain` says whether the name of a member may be shown: names can be secrets, too.
pub(crate) fn marks(
    document: &RequestDocument,
    body: &[u8],
    rules: &ClassificationRules,
    plain: impl Fn(&str) -> bool,
) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    if !rules.reads_text() && !rules.reads_paths() {
        return marks;
    }
    for segment in document.segments.iter().filter(|segment| !segment.key) {
        let text = segment.text(body);
        let mut hits: Vec<(&str, Level)> = Vec::new();
        if rules.reads_text() {
            hits.extend(rules.of_text(&text));
        }
        if rules.reads_paths() && names_files(segment) {
            hits.extend(rules.of_paths_in(&text));
        }
        for (rule, level) in hits {
            if marks.len() < MAX_MARKS && marks.iter().all(|mark| mark.rule != rule) {
                let place = document.place(body, segment, &plain);
                marks.push(Mark { rule: rule.to_owned(), place, level });
            }
        }
    }
    marks
}

/// Whose words may name a file that a tool touches. What a tool gives back may list a thousand that it does not.
fn names_files(segment: &Segment) -> bool {
    matches!(segment.role, Role::User | Role::ToolCall | Role::Attachment)
}

#[cfg(test)]
mod tests {
    use sallyport_policy::documents::{self, DocumentBody};
    use sallyport_policy::settings::{Layers, resolve};
    use sallyport_wire::{Family, Limits, read_request};

    use super::*;

    fn rules(spec: &str) -> ClassificationRules {
        let text = format!(
            "apiVersion: sallyport/v1\nkind: SallyportPolicy\nmetadata: {{name: x}}\nspec: {{classification: {spec}}}\n"
        );
        let user_documents = documents::parse(&text, "p.yaml").unwrap();
        assert!(matches!(user_documents[0].body, DocumentBody::Sallyport(_)));
        resolve(&Layers { user_documents, ..Layers::default() }).unwrap().classification.value
    }

    fn found(spec: &str, body: &str) -> Vec<(String, Level)> {
        let family = Family::AnthropicMessages;
        let document =
            read_request(family, Some("application/json"), body.as_bytes(), &Limits::default()).unwrap();
        let marks = marks(&document, body.as_bytes(), &rules(spec), |_| true);
        marks.into_iter().map(|mark| (format!("{} @ {}", mark.rule, mark.place), mark.level)).collect()
    }

    const BODY: &str = r#"{"model":"m","messages":[
        {"role":"user","content":"COMPANY CONFIDENTIAL: see project atlas"},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"Read","input":{"file_path":"/w/finance/q3.md"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"lists /w/legal/x.md"}]}]}"#;

    #[test]
    fn rules_labels_and_paths_are_found_with_their_place() {
        let spec = r#"{content: [{name: atlas, pattern: "(?i)project atlas", level: internal}],
            labels: {"company confidential": confidential}, paths: [{paths: ["**/finance/**"], level: restricted}]}"#;
        let found = found(spec, BODY);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], ("content rule \"atlas\" @ /messages/0/content".into(), Level::Internal));
        assert_eq!(found[1].1, Level::Confidential);
        assert!(found[2].0.starts_with("path **/finance/** @ /messages/1/content/0/input"), "{found:?}");
    }

    #[test]
    fn what_a_tool_only_lists_was_not_read() {
        assert_eq!(found(r#"{paths: [{paths: ["**/legal/**"], level: restricted}]}"#, BODY), []);
        assert_eq!(found("{}", BODY), []);
    }
}
