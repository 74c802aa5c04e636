//! What every decoder of JSON here shares.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::money::{Amount, InvalidAmount};
use crate::domain::outcome::{RejectCode, Rejection};
use crate::domain::time::Timestamp;

/// A field of an object that was read, with its name. A null is the same as an absent field.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// What stands before the name in sentences: empty, or the object that holds the field and a dot.
    within: &'static str,
    name: &'static str,
    raw: Option<&'a RawValue>,
}

/// Reads a record that is to be one JSON object in UTF-8 of at most `max` bytes, and picks the fields of these `names`.
///
/// Fields of other names are skipped. One of these names standing twice is an error, however it is escaped and whatever
/// its values are. Nothing is copied, and nesting costs no stack.
pub fn record<'a, const N: usize>(
    bytes: &'a [u8],
    max: usize,
    names: &'static [&'static str; N],
) -> Result<[Field<'a>; N], Rejection> {
    if bytes.len() > max {
        let error = format!("the record is larger than {max} bytes");
        return Err(Rejection { code: RejectCode::TooLarge, error });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| invalid_json("the record is not UTF-8"))?;
    object(text, "", names)
}

/// Reads one JSON object as [`record`] does, out of a text that is bounded already.
pub fn object<'a, const N: usize>(
    text: &'a str,
    within: &'static str,
    names: &'static [&'static str; N],
) -> Result<[Field<'a>; N], Rejection> {
    let mut twice = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let raws = Pick { names, twice: &mut twice }.deserialize(&mut reader);
    if let Some(name) = twice {
        return Err(invalid_json(&format!("{within}{name} stands there twice")));
    }
    let raws = raws.map_err(|error| {
        invalid_json(match error.classify() {
            serde_json::error::Category::Data => "the record is not a JSON object",
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => "the record is not JSON",
        })
    })?;
    reader.end().map_err(|_| invalid_json("something follows the JSON object"))?;
    let mut fields = names.map(|name| Field { within, name, raw: None });
    for (field, raw) in fields.iter_mut().zip(raws) {
        field.raw = raw.filter(|raw| raw.get() != "null");
    }
    Ok(fields)
}

impl<'a> Field<'a> {
    /// The value as it stands there, where it is neither absent nor null.
    pub fn raw(self) -> Option<&'a RawValue> {
        self.raw
    }

    /// The value of a field that must be there.
    pub fn present(self) -> Result<&'a RawValue, Rejection> {
        self.raw.ok_or_else(|| self.missing())
    }

    /// The rejection of a record that lacks this field.
    pub fn missing(self) -> Rejection {
        Rejection { code: RejectCode::MissingField, error: format!("{}{} is missing", self.within, self.name) }
    }

    /// The rejection of a value that breaks `rule`, which follows the field's name in the sentence.
    pub fn invalid(self, rule: impl fmt::Display) -> Rejection {
        Rejection { code: RejectCode::InvalidField, error: format!("{}{} {rule}", self.within, self.name) }
    }

    /// The characters of a string, where there is one.
    pub fn text(self) -> Result<Option<Cow<'a, str>>, Rejection> {
        self.raw.map(|raw| text(raw).ok_or_else(|| self.invalid("must be a string of Unicode characters"))).transpose()
    }

    /// The characters of a string that must be there.
    pub fn required_text(self) -> Result<Cow<'a, str>, Rejection> {
        self.text()?.ok_or_else(|| self.missing())
    }

    /// A value made of a string that must be there, by the rule of its type.
    pub fn named<T, E: fmt::Display>(self, new: impl FnOnce(&str) -> Result<T, E>) -> Result<T, Rejection> {
        new(&self.required_text()?).map_err(|rule| self.invalid(rule))
    }

    /// A point in time that must be there.
    pub fn time(self) -> Result<Timestamp, Rejection> {
        self.named(Timestamp::parse)
    }

    /// A whole number in the range of its type, at least 0, where there is one.
    pub fn whole<T: std::str::FromStr>(self) -> Result<Option<T>, Rejection> {
        let Some(raw) = self.raw else { return Ok(None) };
        let digits = raw.get();
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        number.map(Some).ok_or_else(|| self.invalid("must be a whole number of at least 0 that is not too great"))
    }

    /// A whole number that must be there.
    pub fn required_whole<T: std::str::FromStr>(self) -> Result<T, Rejection> {
        self.whole()?.ok_or_else(|| self.missing())
    }
}

/// The rejection of what is not the JSON that it should be.
pub fn invalid_json(error: &str) -> Rejection {
    Rejection { code: RejectCode::InvalidJson, error: error.to_owned() }
}

/// The characters of a JSON string, borrowed where nothing in it is escaped. `None`: it is no string, or it has half a
/// surrogate pair and so no characters.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}

/// The members of an object of nothing but strings, in their order and however often a name stands there.
pub fn strings(raw: &RawValue) -> Option<Vec<(String, String)>> {
    serde_json::from_str::<Strings>(raw.get()).ok().map(|strings| strings.0)
}

struct Strings(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Strings(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Takes the values of an object's known fields as they stand there.
struct Pick<'n, const N: usize> {
    names: &'static [&'static str; N],
    twice: &'n mut Option<&'static str>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Pick<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Pick<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(place) = map.next_key_seed(Place(self.names))? {
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if found[place].is_some() {
                *self.twice = Some(self.names[place]);
                return Err(A::Error::custom("a field stands there twice"));
            }
            found[place] = Some(map.next_value::<&RawValue>()?);
        }
        Ok(found)
    }
}

/// Finds a field's name among those that are known.
struct Place<const N: usize>(&'static [&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Place<N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Place<N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

/// Reads a number from its text, whether it stands there as a JSON number or as a string, without binary floating point.
pub fn amount(raw: &RawValue) -> Result<Amount, InvalidAmount> {
    if raw.get().starts_with('"') { text(raw).ok_or(InvalidAmount::Grammar)?.parse() } else { raw.get().parse() }
}

/// A JSON object and nothing else: a derived reader would take an array for one, by the order of the fields.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// For a field whose null means the same as its absence, with the default of its type.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<[Option<String>; 2], String> {
        let fields = object(text, "", &["a", "b"]).map_err(|rejection| rejection.error)?;
        Ok(fields.map(|field| field.raw().map(|raw| raw.get().to_owned())))
    }

    #[test]
    fn known_fields_are_picked_once_and_others_skipped() {
        let some = |text: &str| Some(text.to_owned());
        for (text, want) in [
            ("{}", Ok([None, None])),
            (r#" { "a" : [1, {"a": 2}] , "c": {"a": 1, "a": 2} } "#, Ok([some(r#"[1, {"a": 2}]"#), None])),
            (r#"{"b":null,"\u0061":7}"#, Ok([some("7"), None])),
            (r#"{"a":1,"\u0061":2}"#, Err("a stands there twice")),
            (r#"{"b":null,"b":null}"#, Err("b stands there twice")),
            (r#"{"c":1,"c":2}"#, Ok([None, None])),
            ("[]", Err("the record is not a JSON object")),
            ("null", Err("the record is not a JSON object")),
            ("", Err("the record is not JSON")),
            (r#"{"a":1"#, Err("the record is not JSON")),
            (r#"{"a":01}"#, Err("the record is not JSON")),
            (r#"{"a":NaN}"#, Err("the record is not JSON")),
            ("{\"c\":\"\n\"}", Err("the record is not JSON")),
            (r#"{"a":1,}"#, Err("the record is not JSON")),
            (r"{} {}", Err("something follows the JSON object")),
        ] {
            assert_eq!(read(text), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_million_brackets_cost_no_stack() {
        let deep = 1_000_000;
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let inner = format!("{}0{}", open.repeat(deep), close.repeat(deep));
            assert_eq!(read(&format!(r#"{{"c":{inner},"b":1}}"#)), Ok([None, Some("1".to_owned())]));
            assert_eq!(read(&format!(r#"{{"a":{inner}}}"#)), Ok([Some(inner.clone()), None]));
            assert_eq!(read(&format!(r#"{{"a":{}"#, open.repeat(deep))), Err("the record is not JSON".to_owned()));
        }
    }
}
