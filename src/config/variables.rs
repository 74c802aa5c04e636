//! The environment, as far as it is about the configuration.

use std::ffi::OsString;

use super::settings::PREFIX;

/// A variable that begins with `STEPUP__` is no text. Its value may be a secret, and is not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}: is not UTF-8")]
pub struct NotUtf8(pub String);

/// Those of the variables that begin with `STEPUP__`.
pub fn ours(all: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, NotUtf8> {
    let ours = all.filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    let texts = ours.map(|(name, value)| match (name.to_str(), value.into_string()) {
        (Some(name), Ok(value)) => Ok((name.to_owned(), value)),
        (Some(_) | None, Ok(_) | Err(_)) => Err(NotUtf8(name.to_string_lossy().into_owned())),
    });
    texts.collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn read(variables: &[(&str, &[u8])]) -> Result<Vec<(String, String)>, NotUtf8> {
        ours(variables.iter().map(|(name, value)| ((*name).into(), OsString::from_vec(value.to_vec()))))
    }

    #[test]
    fn a_value_that_is_no_text_is_refused_by_its_name_and_those_of_others_are_left_alone() {
        let url = ("STEPUP__REDIS__URL", &b"redis://r\xc3\xa9dis"[..]);
        let read_url = ("STEPUP__REDIS__URL".to_owned(), "redis://rédis".to_owned());
        assert_eq!(read(&[("LESSOPEN", b"\xff"), url, ("STEPUP_OTHER", b"\xff")]), Ok(vec![read_url]));
        let error = read(&[url, ("STEPUP__REDIS__PASSWORD", b"secret\xff")]).unwrap_err();
        assert_eq!(error.to_string(), "STEPUP__REDIS__PASSWORD: is not UTF-8");
        let name = OsString::from_vec(b"STEPUP__REDIS__\xff".to_vec());
        let error = ours(std::iter::once((name, OsString::from("x")))).unwrap_err();
        assert_eq!(error.to_string(), "STEPUP__REDIS__\u{fffd}: is not UTF-8");
    }
}
