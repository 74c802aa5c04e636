//! The configuration file as a tree of texts, each with its line. A number stays the text that was written, so that a
//! rate keeps every digit and a password of digits its leading zeros.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// How deep lists and maps may lie within each other.
const DEEPEST: usize = 32;

/// A value as it was written.
pub(super) enum Node {
    /// Nothing, `null` or `~`.
    Unset,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value, in the order of the file.
pub(super) struct Entry {
    pub(super) key: String,
    /// Counted from 1.
    pub(super) line: u64,
    pub(super) node: Node,
}

/// Why a text is no YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) reason: String,
}

/// Reads one YAML document. A key that stands twice is an error, and so is a second document.
pub(super) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // Deeper than any setting lies, and far from what a stack can bear.
        budget: serde_saphyr::budget! { max_depth: DEEPEST, flow_nesting_limit: DEEPEST },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(source, options).map(|found| located(found, source)).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        SyntaxError { line, column, reason: reason(error.without_snippet()) }
    })
}

/// The parser's own sentence on one line, without the place, which is told apart from it.
fn reason(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let text = text.split(" at line ").next().unwrap_or_default();
    // What may follow is advice for programmers.
    let advice = text.find(", set Dup").or_else(|| text.find("; use from_"));
    text[..advice.unwrap_or(text.len())].to_owned()
}

fn located(found: Spanned<Found>, source: &str) -> Node {
    match found.value {
        Found::Unset => Node::Unset,
        Found::Text(text) => Node::Text(text),
        Found::Scalar(read) => {
            let span = found.defined.span();
            let written = span.byte_offset().zip(span.byte_len()).and_then(|(start, length)| {
                let start = usize::try_from(start).ok()?;
                source.get(start..start.checked_add(usize::try_from(length).ok()?)?)
            });
            Node::Text(written.map_or(read, |text| text.trim().to_owned()))
        }
        Found::List(items) => Node::List(items.into_iter().map(|item| located(item, source)).collect()),
        Found::Map(entries) => Node::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry { line: key.referenced.line(), key: key.value, node: located(value, source) })
                .collect(),
        ),
    }
}

/// What the parser hands over.
enum Found {
    Unset,
    Text(String),
    /// A boolean or number as it was understood; what was written is at its place in the source.
    Scalar(String),
    List(Vec<Spanned<Found>>),
    Map(Vec<(Spanned<String>, Spanned<Found>)>),
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FoundVisitor)
    }
}

struct FoundVisitor;

impl<'de> Visitor<'de> for FoundVisitor {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or keys with values")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Unset)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Found, E> {
        Ok(Found::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Found, E> {
        Ok(Found::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Found, E> {
        Ok(Found::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Found, E> {
        Ok(Found::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Found, E> {
        Ok(Found::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Found, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Found::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Found, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Found::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match node {
            Node::Unset => "-".to_owned(),
            Node::Text(text) => format!("{text:?}"),
            Node::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Node::Map(entries) => entries
                .iter()
                .map(|entry| format!("{}@{}={}", entry.key, entry.line, shown(&entry.node)))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn a_scalar_is_the_text_that_was_written() {
        for (source, want) in [
            ("", "-"),
            ("a:\nb: ~\nc: ''", r#"a@1=- b@2=- c@3="""#),
            ("a: 1.0800000000000000000000001", r#"a@1="1.0800000000000000000000001""#),
            ("a: 007 # not seven", r#"a@1="007""#),
            ("a: yes\nb: 0x10\nc: 1e999", r#"a@1="yes" b@2="0x10" c@3="1e999""#),
            ("é: 1.50\nb: 2.50", r#"é@1="1.50" b@2="2.50""#),
            ("\u{feff}a: 1.50", r#"a@1="1.50""#),
            ("a: \"1.50\"\nb: '2'", r#"a@1="1.50" b@2="2""#),
            ("a: &x 1.50\nb: *x", r#"a@1="1.50" b@2="1.50""#),
            ("\n\na:\n  b: [1, x]\n", r#"a@3=b@4=["1" "x"]"#),
            ("{1: 2}", r#"1@1="2""#),
        ] {
            assert_eq!(shown(&parse(source).unwrap()), want, "{source:?}");
        }
    }

    #[test]
    fn a_text_that_is_no_yaml_is_refused_with_its_place() {
        for (source, line, column) in
            [("a: [1, 2\nb: 3", 2, 2), ("a: 1\na: 2", 2, 1), ("a: 1\n---\nb: 2", 3, 1), ("a:\n\tb: 1", 2, 2)]
        {
            let error = parse(source).err().unwrap();
            assert_eq!((error.line, error.column), (line, column), "{source:?}: {}", error.reason);
            assert!(
                !error.reason.contains('\n')
                    && !error.reason.contains("line")
                    && !error.reason.contains("Policy")
                    && !error.reason.contains("from_"),
                "{}",
                error.reason
            );
        }
    }

    #[test]
    fn depth_and_aliases_are_bounded() {
        assert!(parse(&"[".repeat(10_000)).is_err());
        let mut bomb = "a0: &a0 x\n".to_owned();
        for level in 1..20 {
            let aliases = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        assert!(parse(&bomb).is_err());
    }
}
