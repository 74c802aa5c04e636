//! From the payload of a record to the line of a recording.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::domain::ids::TenantId;
use crate::wire::pseudonym::{PseudonymKey, Pseudonyms};
use crate::wire::{json, line};

/// The largest key file that is read, in bytes.
const LARGEST_KEY: u64 = 65_536;

/// What became of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made {
    Line,
    OtherTenant,
    /// It cannot stand in the recording. The code is what it is counted under, the reason says what is wrong.
    Skipped {
        code: &'static str,
        reason: String,
    },
}

/// Makes lines, of one tenant or of all, under other names or as they are.
pub(super) struct Lines {
    pub(super) pseudonyms: Option<Pseudonyms>,
    pub(super) tenant: Option<TenantId>,
}

impl Lines {
    /// Writes the line of a payload. Nothing is written where it is not [`Made::Line`].
    pub(super) fn make(&mut self, out: &mut Vec<u8>, payload: Option<&[u8]>) -> Made {
        let Some(payload) = payload else {
            return Made::Skipped { code: "empty", reason: "the record is empty".to_owned() };
        };
        if let Some(wanted) = &self.tenant {
            match json::record(payload, usize::MAX, &["tenant_id"]) {
                Ok([tenant]) if tenant.text().ok().flatten().as_deref() == Some(wanted.as_str()) => {}
                Ok(_) => return Made::OtherTenant,
                Err(rejection) => return skipped(rejection.code.name(), rejection.error),
            }
        }
        let made = match &mut self.pseudonyms {
            Some(pseudonyms) => pseudonyms.write(out, payload),
            None => line::write(out, payload),
        };
        match made {
            Ok(()) => Made::Line,
            Err(rejection) => skipped(rejection.code.name(), rejection.error),
        }
    }
}

fn skipped(code: &'static str, reason: String) -> Made {
    Made::Skipped { code, reason }
}

/// Reads the key that names are hashed with.
pub(super) fn key(path: &Path) -> anyhow::Result<PseudonymKey> {
    let shown = path.display();
    let mut content = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => {
            file.take(LARGEST_KEY + 1).read_to_end(&mut content).with_context(|| format!("--pseudonymise {shown}"))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "--pseudonymise {shown}: there is no such file; make a key with: head -c 32 /dev/urandom | base64 > {shown}"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("--pseudonymise {shown}")),
    };
    if content.len() as u64 > LARGEST_KEY {
        bail!("--pseudonymise {shown}: is larger than {LARGEST_KEY} bytes, and so hardly a key");
    }
    PseudonymKey::new(&content).with_context(|| format!("--pseudonymise {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pseudonym::{Attributes, TenantNames};

    fn made(lines: &mut Lines, payload: Option<&str>) -> (String, Made) {
        let mut out = Vec::new();
        let made = lines.make(&mut out, payload.map(str::as_bytes));
        (String::from_utf8(out).unwrap(), made)
    }

    #[test]
    fn a_payload_is_a_line_or_of_another_tenant_or_skipped_for_a_reason() {
        let acme = TenantId::new("acme").unwrap();
        let skipped = |code, reason: &str| Made::Skipped { code, reason: reason.to_owned() };
        let no_json = || skipped("invalid_json", "the record is not JSON");
        for (payload, of_all, of_acme) in [
            (None, skipped("empty", "the record is empty"), skipped("empty", "the record is empty")),
            (Some("{"), no_json(), no_json()),
            (Some("7"), Made::Line, skipped("invalid_json", "the record is not a JSON object")),
            (Some("{}"), Made::Line, Made::OtherTenant),
            (Some(r#"{"tenant_id":"beta"}"#), Made::Line, Made::OtherTenant),
            (Some(r#"{"tenant_id":["acme"]}"#), Made::Line, Made::OtherTenant),
            (Some(r#"{"tenant_id":"\u0061cme"}"#), Made::Line, Made::Line),
        ] {
            for (tenant, want) in [(None, of_all), (Some(acme.clone()), of_acme)] {
                let (line, made) = made(&mut Lines { pseudonyms: None, tenant }, payload);
                assert_eq!(made, want, "{payload:?}");
                assert_eq!(line, if want == Made::Line { payload.unwrap() } else { "" });
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_never_written_where_names_are_replaced() {
        let key = PseudonymKey::new(b"0123456789abcdef").unwrap();
        let pseudonyms = Some(Pseudonyms::new(key, Attributes::Dropped, TenantNames::Kept));
        let mut lines = Lines { pseudonyms, tenant: None };
        for payload in ["7", r#"{"tenant_id":"acme","customer_id":"ann"}"#, "{}"] {
            let (line, made) = made(&mut lines, Some(payload));
            assert!(line.is_empty() && matches!(made, Made::Skipped { .. }), "{payload}: {made:?}");
        }
    }

    #[test]
    fn a_key_file_that_cannot_be_used_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let error = |path: &Path| format!("{:#}", key(path).unwrap_err());
        assert!(
            error(&path).ends_with(&format!("make a key with: head -c 32 /dev/urandom | base64 > {}", path.display()))
        );
        std::fs::write(&path, "  too short  \n").unwrap();
        assert!(error(&path).contains("the key must be at least 16 bytes long"), "{}", error(&path));
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(error(&path).contains("larger than 65536 bytes"));
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        assert!(key(&path).is_ok());
    }
}
