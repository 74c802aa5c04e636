//! Events out of a table: which column, or which constant, each field of an event comes from.
//!
//! Written as `id=bet_id,tenant_id='acme',customer_id=player,type='bet',occurred_at=unix_ms:ts,amount=stake`.

use std::str::FromStr;

use super::json_writer::{self, Object};
use crate::domain::time::Timestamp;

/// The fields that a column can stand for, in the order in which they are written; those of the device come last.
const FIELDS: [&str; 11] = [
    "id",
    "tenant_id",
    "customer_id",
    "type",
    "occurred_at",
    "amount",
    "currency",
    "transaction_id",
    "device.id",
    "device.fingerprint",
    "device.country",
];
/// So many of the first ones every event needs.
const REQUIRED: usize = 5;
const DEVICE: &str = "device.";
const TIME: usize = 4;

/// Why a mapping means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidColumns {
    #[error("{part:?}: must be FIELD=COLUMN, FIELD='constant', occurred_at=unix:COLUMN or occurred_at=unix_ms:COLUMN")]
    NoPair { part: String },
    #[error("{part:?}: a quote is left open; within quotes a quote is written twice")]
    OpenQuote { part: String },
    #[error("{field:?} is no field that a column can stand for; allowed are {}", FIELDS.join(", "))]
    UnknownField { field: String },
    #[error("{field}: only occurred_at can be a number of seconds or milliseconds")]
    NoTime { field: &'static str },
    #[error("{field} is given twice")]
    Twice { field: &'static str },
    #[error("every event needs {}: give each a column or a constant", missing.join(", "))]
    Missing { missing: Vec<&'static str> },
}

/// A file lacks a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no column {column:?} for {field}; the file has {}", has.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))]
pub struct NoColumn {
    pub field: &'static str,
    pub column: String,
    pub has: Vec<String>,
}

/// Where each field of an event comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Box<[Option<Origin<String>>; FIELDS.len()]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin<C> {
    Constant(String),
    Text(C),
    /// Seconds since 1970, with or without a fraction.
    Seconds(C),
    /// Milliseconds since 1970.
    Millis(C),
}

impl<C> Origin<C> {
    fn column(&self) -> Option<&C> {
        match self {
            Self::Constant(_) => None,
            Self::Text(column) | Self::Seconds(column) | Self::Millis(column) => Some(column),
        }
    }

    fn at<D>(&self, place: impl FnOnce(&C) -> D) -> Origin<D> {
        match self {
            Self::Constant(text) => Origin::Constant(text.clone()),
            Self::Text(column) => Origin::Text(place(column)),
            Self::Seconds(column) => Origin::Seconds(place(column)),
            Self::Millis(column) => Origin::Millis(place(column)),
        }
    }
}

impl FromStr for Columns {
    type Err = InvalidColumns;

    fn from_str(text: &str) -> Result<Self, InvalidColumns> {
        let mut columns = [const { None }; FIELDS.len()];
        for part in parts(text)? {
            let no_pair = || InvalidColumns::NoPair { part: part.to_owned() };
            let (field, origin) = part.split_once('=').ok_or_else(no_pair)?;
            let unknown = || InvalidColumns::UnknownField { field: field.trim().to_owned() };
            let place = FIELDS.iter().position(|known| *known == field.trim()).ok_or_else(unknown)?;
            let origin = read_origin(origin.trim()).ok_or_else(no_pair)?;
            if place != TIME && matches!(origin, Origin::Seconds(_) | Origin::Millis(_)) {
                return Err(InvalidColumns::NoTime { field: FIELDS[place] });
            }
            if columns[place].replace(origin).is_some() {
                return Err(InvalidColumns::Twice { field: FIELDS[place] });
            }
        }
        let missing: Vec<_> = (0..REQUIRED).filter(|place| columns[*place].is_none()).map(|at| FIELDS[at]).collect();
        if missing.is_empty() { Ok(Self(Box::new(columns))) } else { Err(InvalidColumns::Missing { missing }) }
    }
}

/// Cuts at the commas that stand outside of quotes. A quote opens behind `=` or `:` only.
fn parts(text: &str) -> Result<Vec<&str>, InvalidColumns> {
    let (mut parts, mut start, mut quote, mut before) = (Vec::new(), 0, None, ' ');
    for (at, sign) in text.char_indices() {
        match (quote, sign) {
            (Some(open), _) if open == sign => quote = None,
            (Some(_), _) => {}
            // Closed and opened again: a quote written twice.
            (None, '\'' | '"') if matches!(before, '=' | ':') || before == sign => quote = Some(sign),
            (None, ',') => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            (None, _) => {}
        }
        if sign != ' ' {
            before = sign;
        }
    }
    let last = text[start..].trim();
    if quote.is_some() {
        return Err(InvalidColumns::OpenQuote { part: last.to_owned() });
    }
    if !last.is_empty() || parts.is_empty() {
        parts.push(last);
    }
    Ok(parts)
}

fn read_origin(text: &str) -> Option<Origin<String>> {
    if text.starts_with('\'') {
        return unquoted(text, '\'').map(Origin::Constant);
    }
    let column = |text: &str| match text.trim() {
        "" => None,
        text if text.starts_with('"') => unquoted(text, '"'),
        text => Some(text.to_owned()),
    };
    match text.split_once(':') {
        Some(("unix", rest)) => column(rest).map(Origin::Seconds),
        Some(("unix_ms", rest)) => column(rest).map(Origin::Millis),
        Some(_) | None => column(text).map(Origin::Text),
    }
}

fn unquoted(text: &str, quote: char) -> Option<String> {
    let inside = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let twice = [quote, quote].iter().collect::<String>();
    // A quote that stands alone would have ended the text.
    (!inside.replace(&twice, "").contains(quote)).then(|| inside.replace(&twice, &quote.to_string()))
}

impl Columns {
    /// Finds the columns by their names in the first row of a table.
    pub fn locate(&self, header: &[String]) -> Result<Located, NoColumn> {
        let mut located = [const { None }; FIELDS.len()];
        for (place, origin) in self.0.iter().enumerate() {
            let Some(origin) = origin else { continue };
            if let Some(column) = origin.column()
                && !header.contains(column)
            {
                return Err(NoColumn { field: FIELDS[place], column: column.clone(), has: header.to_vec() });
            }
            let of = |column: &String| header.iter().position(|name| name == column).unwrap_or(usize::MAX);
            located[place] = Some(origin.at(of));
        }
        Ok(Located(located))
    }
}

/// The columns of one table.
#[derive(Debug, Clone)]
pub struct Located([Option<Origin<usize>>; FIELDS.len()]);

impl Located {
    /// Writes a row as an event, one line without its end. An empty cell is an absent field.
    ///
    /// Nothing is judged here: a cell that breaks a rule comes into the event as it is, and the event's decoder tells.
    pub fn write<'r>(&self, out: &mut Vec<u8>, cell: impl Fn(usize) -> Option<&'r [u8]>) {
        let mut texts: [Option<String>; FIELDS.len()] = Default::default();
        for (text, origin) in texts.iter_mut().zip(&self.0) {
            let Some(origin) = origin else { continue };
            let read = origin.column().map(|column| std::str::from_utf8(cell(*column).unwrap_or_default()));
            let Ok(read) = read.transpose() else {
                // Replaced signs could make two names one; this is no event to any decoder.
                out.extend_from_slice(b"\xff");
                return;
            };
            *text = Some(value(origin, read.unwrap_or_default())).filter(|text| !text.is_empty());
        }
        let given = || FIELDS.iter().zip(&texts).filter_map(|(name, text)| Some((*name, text.as_deref()?)));
        let write_all = |object: &mut Object<'_>, of_device: bool| {
            for (name, text) in given().filter(|(name, _)| name.starts_with(DEVICE) == of_device) {
                object.string(name.trim_start_matches(DEVICE), text);
            }
        };
        json_writer::object(out, |object| {
            write_all(object, false);
            if given().any(|(name, _)| name.starts_with(DEVICE)) {
                object.object("device", |device| write_all(device, true));
            }
        });
    }
}

fn value(origin: &Origin<usize>, cell: &str) -> String {
    let time = match origin {
        Origin::Constant(text) => return text.clone(),
        Origin::Text(_) => None,
        Origin::Seconds(_) => millis_of_seconds(cell),
        Origin::Millis(_) => cell.parse().ok(),
    };
    time.map_or_else(|| cell.to_owned(), |millis| Timestamp(millis).to_string())
}

/// Whole and decimal seconds, exactly; digits finer than milliseconds are dropped.
fn millis_of_seconds(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    number(fraction.get(..1)?)?;
    let kept: String = fraction.chars().chain("000".chars()).take(3).collect();
    let valid = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let millis = number(whole)?.checked_mul(1_000)?.checked_add(number(&kept)?)?;
    valid.then_some(sign * millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "id=i,tenant_id='acme',customer_id=c,type='bet',occurred_at=t";

    fn line(mapping: &str, header: &[&str], row: &[&str]) -> Result<String, String> {
        let columns: Columns = mapping.parse().map_err(|error: InvalidColumns| error.to_string())?;
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        let located = columns.locate(&header).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        located.write(&mut out, |column| row.get(column).map(|cell| cell.as_bytes()));
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_row_becomes_an_event() {
        let header = ["i", "c", "t", "stake, in $", "it's"];
        let start = r#"{"id":"1","tenant_id":"acme","customer_id":"ann \"x\"","type":"bet","occurred_at":"#;
        for (more, row, want) in [
            ("", vec!["1", "ann \"x\"", "2026-03-01T12:00:00Z"], r#""2026-03-01T12:00:00Z"}"#),
            (
                r#", amount = "stake, in $" ,currency='EUR',device.id=it's,device.country='NL',"#,
                vec!["1", "ann \"x\"", "now", "1.50", "d"],
                r#""now","amount":"1.50","currency":"EUR","device":{"id":"d","country":"NL"}}"#,
            ),
            (r#",amount="stake, in $",device.id=it's"#, vec!["1", "ann \"x\"", "t", "", ""], r#""t"}"#),
            (r#",amount="stake, in $""#, vec!["1", "ann \"x\"", "t"], r#""t"}"#),
            (",transaction_id='a ''b'', c'", vec!["1", "ann \"x\"", "t"], r#""t","transaction_id":"a 'b', c"}"#),
        ] {
            let want = format!("{start}{want}");
            assert_eq!(line(&format!("{LEAST}{more}"), &header, &row), Ok(want), "{more}");
        }
    }

    #[test]
    fn numbers_are_read_as_times() {
        for (unit, cell, want) in [
            ("unix", "1635694723", "2021-10-31T15:38:43.000Z"),
            ("unix", "1635694723.25", "2021-10-31T15:38:43.250Z"),
            ("unix", "1635694723.0019999", "2021-10-31T15:38:43.001Z"),
            ("unix", "-0.5", "1969-12-31T23:59:59.500Z"),
            ("unix_ms", "1635694723001", "2021-10-31T15:38:43.001Z"),
            ("unix_ms", "-1", "1969-12-31T23:59:59.999Z"),
            // What is no number is left to the decoder.
            ("unix", "1.", "1."),
            ("unix", "1e9", "1e9"),
            ("unix", "1.2.3", "1.2.3"),
            ("unix", "99999999999999999999", "99999999999999999999"),
            ("unix_ms", "1.5", "1.5"),
        ] {
            let mapping = LEAST.replace("occurred_at=t", &format!("occurred_at={unit}:t"));
            let line = line(&mapping, &["i", "c", "t"], &["1", "a", cell]).unwrap();
            assert!(line.ends_with(&format!(r#""occurred_at":"{want}"}}"#)), "{unit}:{cell}: {line}");
        }
    }

    #[test]
    fn a_mapping_that_means_nothing_is_told_what_is_allowed() {
        let pair = "must be FIELD=COLUMN, FIELD='constant', occurred_at=unix:COLUMN or occurred_at=unix_ms:COLUMN";
        let all = FIELDS.join(", ");
        for (mapping, want) in [
            (String::new(), format!("\"\": {pair}")),
            (format!("{LEAST},amount"), format!("\"amount\": {pair}")),
            (format!("{LEAST},amount="), format!("\"amount=\": {pair}")),
            (format!("{LEAST},amount='1'2'"), format!("\"amount='1'2'\": {pair}")),
            (format!("{LEAST},amount='1'2"), format!("\"amount='1'2\": {pair}")),
            (format!("{LEAST},,amount=a"), format!("\"\": {pair}")),
            (format!("{LEAST},note=n"), format!("\"note\" is no field that a column can stand for; allowed are {all}")),
            (
                format!("{LEAST},amount=unix:a"),
                "amount: only occurred_at can be a number of seconds or milliseconds".to_owned(),
            ),
            (format!("{LEAST},id=x"), "id is given twice".to_owned()),
            (
                format!("{LEAST},amount='x"),
                "\"amount='x\": a quote is left open; within quotes a quote is written twice".to_owned(),
            ),
            (
                "id=i,type=t,amount=a".to_owned(),
                "every event needs tenant_id, customer_id, occurred_at: give each a column or a constant".to_owned(),
            ),
        ] {
            assert_eq!(mapping.parse::<Columns>().map_err(|error| error.to_string()), Err(want), "{mapping}");
        }
        let missing = line(LEAST, &["i", "C", "t"], &[]).unwrap_err();
        assert_eq!(missing, r#"there is no column "c" for customer_id; the file has "i", "C", "t""#);
    }
}
