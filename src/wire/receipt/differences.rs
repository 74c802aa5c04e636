//! What two receipts for the same evidence say differently, field by field.

use std::collections::BTreeSet;

use serde_json::Value;

/// A field that differs. The texts are JSON; `None` is a field that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The names on the way to the field, with dots between them.
    pub field: String,
    pub one: Option<String>,
    pub other: Option<String>,
}

/// The fields by which two records differ, in the order of their names. Bytes that are no JSON differ as a whole.
pub fn differences(one: &[u8], other: &[u8]) -> Vec<Difference> {
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let mut found = Vec::new();
    compare("", read(one).as_ref(), read(other).as_ref(), &mut found);
    found
}

fn compare(field: &str, one: Option<&Value>, other: Option<&Value>, found: &mut Vec<Difference>) {
    if one == other {
        return;
    }
    if let (Some(Value::Object(left)), Some(Value::Object(right))) = (one, other) {
        let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for name in names {
            let field = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
            compare(&field, left.get(name), right.get(name), found);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map(Value::to_string);
    found.push(Difference { field: field.to_owned(), one: text(one), other: text(other) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_that_differs_is_named_with_what_both_say() {
        let found =
            differences(br#"{"a":1,"b":{"c":"x","d":2},"e":[1]}"#, br#"{"a":1,"b":{"c":"y","f":true},"e":[1]}"#);
        let told: Vec<_> = found.iter().map(|d| (d.field.as_str(), d.one.as_deref(), d.other.as_deref())).collect();
        assert_eq!(
            told,
            [("b.c", Some("\"x\""), Some("\"y\"")), ("b.d", Some("2"), None), ("b.f", None, Some("true"))]
        );
        assert_eq!(differences(b"{}", b"{}"), []);
    }
}
