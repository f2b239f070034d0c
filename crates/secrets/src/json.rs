//! Leaves of JSON and YAML documents as names and values.

use serde_json::Value;
use zeroize::Zeroize;

/// Deeper documents are cut: nobody keeps a secret there.
const MAX_DEPTH: usize = 32;
/// Numbers with fewer digits are ports and counts.
const MIN_DIGITS: usize = 8;

/// Calls `found` with the path (joined by `/`) and text of every string, and of every long number, under `prefix`.
pub(crate) fn leaves(prefix: &str, value: &Value, found: &mut dyn FnMut(&str, &str)) {
    walk(&mut prefix.to_owned(), value, 0, found);
}

fn walk(path: &mut String, value: &Value, depth: usize, found: &mut dyn FnMut(&str, &str)) {
    if depth > MAX_DEPTH {
        return;
    }
    let mut below = |path: &mut String, step: &str, value: &Value| {
        let length = path.len();
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(step);
        walk(path, value, depth + 1, found);
        path.truncate(length);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, member)| below(path, key, member)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| below(path, &i.to_string(), item));
        }
        Value::String(text) => found(path, text),
        Value::Number(number) => {
            let mut text = number.to_string();
            if text.bytes().filter(u8::is_ascii_digit).count() >= MIN_DIGITS {
                found(path, &text);
            }
            text.zeroize();
        }
        Value::Bool(_) | Value::Null => {}
    }
}

/// Overwrites every string, which `Value` itself does not do when dropped.
pub(crate) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.iter_mut().for_each(|(_, member)| wipe(member)),
        _ => {}
    }
}

/// A document in YAML, of which JSON is a part.
pub(crate) fn from_yaml(text: &str) -> Option<Value> {
    serde_saphyr::from_str::<Value>(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattens() {
        let value = serde_json::json!({
            "a": "text", "b": {"c": ["x", {"d": "deep"}]}, "port": 5432, "pin": 1234567890, "flag": true, "none": null
        });
        let mut found = Vec::new();
        leaves("p", &value, &mut |name, text| found.push(format!("{name}={text}")));
        assert_eq!(found, ["p/a=text", "p/b/c/0=x", "p/b/c/1/d=deep", "p/pin=1234567890"]);
    }

    #[test]
    fn a_bottomless_document_ends() {
        let mut value = serde_json::json!("end");
        for _ in 0..1000 {
            value = serde_json::json!([value]);
        }
        let mut count = 0;
        leaves("", &value, &mut |_, _| count += 1);
        assert_eq!(count, 0);
        // taken apart step by step: dropping it at once would recurse as deep
        while let Value::Array(mut items) = value {
            value = items.pop().expect("item");
        }
    }

    #[test]
    fn yaml_is_read() {
        let value = from_yaml("users:\n- name: a\n  user: {token: t0ken}\n").expect("yaml");
        assert_eq!(value["users"][0]["user"]["token"], "t0ken");
        assert!(from_yaml("a: [").is_none());
    }

    #[test]
    fn wipes_all_strings() {
        let mut value = serde_json::json!({"a": ["secret", {"b": "secret"}]});
        wipe(&mut value);
        assert!(!value.to_string().contains("secret"));
    }
}
