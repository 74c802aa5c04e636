//! `stepup schema`: the formats that this program reads and writes, as it was built with them.

use std::io::Write;

use anyhow::Context;

/// Name, title and text of every schema, in the order in which they are listed.
const SCHEMAS: [(&str, &str, &str); 8] = [
    ("activity-event.v1", "Activity event", include_str!("../../schemas/activity-event.v1.json")),
    ("preferences.v1", "Preferences of a tenant", include_str!("../../schemas/preferences.v1.json")),
    ("verification-command.v1", "Verification command", include_str!("../../schemas/verification-command.v1.json")),
    ("verification-outcome.v1", "Verification outcome", include_str!("../../schemas/verification-outcome.v1.json")),
    ("dead-letter.v1", "Dead letter", include_str!("../../schemas/dead-letter.v1.json")),
    ("decision.v1", "Decision", include_str!("../../schemas/decision.v1.json")),
    ("decision-receipt.v1", "Decision receipt", include_str!("../../schemas/decision-receipt.v1.json")),
    (
        "session-api.v1",
        "Session API of the verification service, as far as stepup calls it",
        include_str!("../../schemas/session-api.v1.json"),
    ),
];

const LISTED: [(&str, &str); SCHEMAS.len()] = {
    let mut listed = [("", ""); SCHEMAS.len()];
    let mut place = 0;
    while place < SCHEMAS.len() {
        listed[place] = (SCHEMAS[place].0, SCHEMAS[place].1);
        place += 1;
    }
    listed
};

/// The schemas by name, each with its title.
pub fn list() -> &'static [(&'static str, &'static str)] {
    &LISTED
}

/// Prints one schema, or the list of them where no name is given. A name may leave out the version.
pub fn print(name: Option<&str>, out: &mut impl Write) -> anyhow::Result<()> {
    let Some(name) = name else {
        for (name, title) in list() {
            writeln!(out, "{name:<24} {title}").context("writing the list of schemas")?;
        }
        return Ok(());
    };
    let text = text_of(name).with_context(|| format!("there is no schema {name}"))?;
    out.write_all(text.as_bytes()).with_context(|| format!("writing the schema {name}"))
}

/// Reads the name of a schema.
///
/// # Errors
/// Which schemas there are.
pub fn name(text: &str) -> Result<String, String> {
    let names = || list().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    text_of(text).map(|_| text.to_owned()).ok_or_else(|| format!("must be one of: {}", names()))
}

fn text_of(name: &str) -> Option<&'static str> {
    let found = SCHEMAS.iter().find(|(known, ..)| *known == name || known.strip_suffix(".v1") == Some(name));
    found.map(|(.., text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(name: Option<&str>) -> anyhow::Result<String> {
        let mut out = Vec::new();
        print(name, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn a_schema_is_printed_by_its_name_with_or_without_the_version() {
        for (name, title) in list() {
            let text = printed(Some(name)).unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let own = json.get("title").or_else(|| json.pointer("/info/title")).unwrap();
            assert_eq!(own, title, "{name}");
            assert_eq!(printed(Some(name.trim_end_matches(".v1"))).unwrap(), text);
        }
    }

    #[test]
    fn without_a_name_the_list_is_printed_and_an_unknown_one_is_told_the_names() {
        let text = printed(None).unwrap();
        assert_eq!(text.lines().count(), list().len());
        assert_eq!(text.lines().next().unwrap(), "activity-event.v1        Activity event");
        let error = name("event").unwrap_err();
        assert!(list().iter().all(|(name, _)| error.contains(name)), "{error}");
        assert_eq!(name("activity-event"), Ok("activity-event".to_owned()));
        assert_eq!(printed(Some("event")).unwrap_err().to_string(), "there is no schema event");
    }
}
