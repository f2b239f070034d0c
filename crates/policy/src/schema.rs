//! JSON Schemas of the documents, for editors. They say what the readers accept; where the two differ, the readers
//! count.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::assessment::AssessmentRecord;
use crate::config::Config;
use crate::documents::{
    AgentPermissions, AiSecrets, Assessment, AttackSurface, DataClassification, DocumentKind,
    IncidentResponse, SallyportPolicy,
};
use crate::scenario::TestFile;

/// Everything that has a schema, in the words of `policy schema`.
pub const NAMES: [&str; 10] = [
    "AgentPermissionPolicy",
    "DataClassificationPolicy",
    "AISecretsPolicy",
    "IncidentResponsePlan",
    "SecurityAssessmentTemplate",
    "AttackSurfaceModel",
    "SallyportPolicy",
    "config",
    "assessment",
    "test",
];

/// The schema of one of [`NAMES`].
pub fn of(name: &str) -> Option<Value> {
    Some(match name {
        "config" => titled(plain::<Config>(), "Sallyport config.yaml"),
        "assessment" => titled(plain::<AssessmentRecord>(), "Sallyport assessment of a tool"),
        "test" => titled(plain::<TestFile>(), "Sallyport policy tests"),
        _ => of_kind(DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == name)?),
    })
}

/// The schema of a kind of document.
pub fn of_kind(kind: DocumentKind) -> Value {
    let spec = match kind {
        DocumentKind::AgentPermissionPolicy => plain::<AgentPermissions>(),
        DocumentKind::DataClassificationPolicy => plain::<DataClassification>(),
        DocumentKind::AiSecretsPolicy => plain::<AiSecrets>(),
        DocumentKind::IncidentResponsePlan => plain::<IncidentResponse>(),
        DocumentKind::SecurityAssessmentTemplate => plain::<Assessment>(),
        DocumentKind::AttackSurfaceModel => return titled(plain::<AttackSurface>(), kind.as_str()),
        DocumentKind::SallyportPolicy => plain::<SallyportPolicy>(),
    };
    headed(spec.to_value(), kind)
}

fn plain<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>()
}

fn titled(schema: Schema, title: &str) -> Value {
    let mut value = schema.to_value();
    value["title"] = title.into();
    value
}

/// `apiVersion`, `kind` and `metadata` around a `spec`.
fn headed(mut spec: Value, kind: DocumentKind) -> Value {
    let definitions = spec.as_object_mut().and_then(|spec| {
        spec.remove("$schema");
        spec.remove("definitions")
    });
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind.as_str(),
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": kind.api_version()},
            "kind": {"const": kind.as_str()},
            "metadata": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "description": {"type": ["string", "null"]}},
            },
            "spec": spec,
        },
    });
    if let Some(definitions) = definitions {
        schema["definitions"] = definitions;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents;
    use crate::yaml::{self, Kind, Node};

    const EXAMPLES: [&str; 7] = [
        include_str!("../../../assets/policies/examples/agent-rbac-policy.yaml"),
        include_str!("../../../assets/policies/examples/ai-attack-surface-model.yaml"),
        include_str!("../../../assets/policies/examples/ai-incident-response.yaml"),
        include_str!("../../../assets/policies/examples/ai-secrets-architecture.yaml"),
        include_str!("../../../assets/policies/examples/ai-tool-security-assessment.yaml"),
        include_str!("../../../assets/policies/examples/data-classification-policy.yaml"),
        include_str!("../../../assets/policies/examples/sallyport-policy.yaml"),
    ];

    /// As an editor reads YAML.
    fn json_of(node: &Node) -> Value {
        match &node.kind {
            Kind::Null => Value::Null,
            Kind::Scalar { text, plain } if *plain => match text.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                _ => text.parse::<u64>().map_or_else(|_| text.as_str().into(), Value::from),
            },
            Kind::Scalar { text, .. } => text.as_str().into(),
            Kind::Seq(items) => items.iter().map(json_of).collect(),
            Kind::Map(entries) => {
                entries.iter().map(|(key, value)| (key.text.clone(), json_of(value))).collect()
            }
        }
    }

    #[test]
    fn every_example_fits_its_schema_and_a_mistake_does_not() {
        for text in EXAMPLES {
            let document = documents::parse(text, "x.yaml").unwrap().remove(0);
            let schema = of(document.kind().as_str()).unwrap();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let mut value = json_of(&yaml::single(text).unwrap());
            let faults: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(faults.is_empty(), "{}: {faults:?}", document.name);
            value["nonsense"] = 1.into();
            assert!(!validator.is_valid(&value), "{}", document.name);
        }
    }

    #[test]
    fn the_configuration_fits_its_schema() {
        let schema = of("config").unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let value = serde_json::to_value(Config::default()).unwrap();
        let faults: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        assert!(!validator.is_valid(&json!({"lsten": "127.0.0.1:1"})));
        assert!(!validator.is_valid(&json!({"audit": {"durability": "lax"}})));
    }

    #[test]
    fn every_name_has_a_schema() {
        for name in NAMES {
            let schema = of(name).unwrap();
            assert!(schema["title"].as_str().is_some_and(|title| !title.is_empty()), "{name}");
            assert!(jsonschema::validator_for(&schema).is_ok(), "{name}");
        }
        for kind in DocumentKind::ALL {
            assert!(NAMES.contains(&kind.as_str()));
        }
        assert_eq!(of("Pod"), None);
    }
}
