//! Events without the names of people: who and what is named becomes a keyed hash, and what no rule reads is left out.
//!
//! Equal names stay equal within a tenant, a kind of name and a key, so the decisions stay the same. Without the key
//! nobody can tell which name a hash stands for, or try one; so destroying the key makes a recording anonymous for good.
//! What may stay is listed; whatever is not on the list goes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::event::{DEVICE, FIELDS, MAX_BYTES};
use super::json::{self, Field};
use super::{header, json_writer, line};
use crate::domain::ids::{CustomerId, EventId, TenantId, TransactionId};
use crate::domain::outcome::Rejection;
use crate::domain::trigger::ActivityType;

/// The shortest key, in bytes.
pub const SHORTEST_KEY: usize = 16;
/// So many bytes of a hash are kept: enough that no two names of any recording meet.
const HASH_BYTES: usize = 16;
/// Keys of so many tenants are remembered, and names of so many fields that were left out.
const MOST_TENANTS: usize = 10_000;
const MOST_DROPPED: usize = 32;
const LONGEST_DROPPED: usize = 64;

/// A key of fewer than [`SHORTEST_KEY`] bytes could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key must be at least {SHORTEST_KEY} bytes long, without the white space at its ends")]
pub struct KeyTooShort;

/// The secret that all hashes depend on. Its `Debug` does not show it.
#[derive(Clone)]
pub struct PseudonymKey(hmac::Key);

impl PseudonymKey {
    /// Takes the content of a key file; white space at its ends is no part of the key.
    pub fn new(content: &[u8]) -> Result<Self, KeyTooShort> {
        let secret = content.trim_ascii();
        if secret.len() < SHORTEST_KEY {
            return Err(KeyTooShort);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

/// What becomes of `attributes`, in which anything may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    Dropped,
    Kept,
}

/// What becomes of `tenant_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantNames {
    Kept,
    Hashed,
}

/// A kind of name: the field that it stands in, which parts its hashes from those of others, and what they begin with.
#[derive(Debug, Clone, Copy)]
struct NameKind {
    field: &'static str,
    prefix: &'static str,
}

const EVENT: NameKind = NameKind { field: "id", prefix: "e-" };
const TENANT: NameKind = NameKind { field: "tenant_id", prefix: "n-" };
const CUSTOMER: NameKind = NameKind { field: "customer_id", prefix: "c-" };
const TYPE: NameKind = NameKind { field: "type", prefix: "y-" };
const TRANSACTION: NameKind = NameKind { field: "transaction_id", prefix: "t-" };
const DEVICE_ID: NameKind = NameKind { field: "device.id", prefix: "d-" };
const FINGERPRINT: NameKind = NameKind { field: "device.fingerprint", prefix: "f-" };
/// What a tenant's own key is made under.
const TENANT_KEY: &str = "tenant";

/// Rewrites events, one line each.
pub struct Pseudonyms {
    key: PseudonymKey,
    attributes: Attributes,
    tenant_names: TenantNames,
    tenant_keys: HashMap<TenantId, hmac::Key>,
    dropped: BTreeMap<String, u64>,
}

impl Pseudonyms {
    pub fn new(key: PseudonymKey, attributes: Attributes, tenant_names: TenantNames) -> Self {
        Self { key, attributes, tenant_names, tenant_keys: HashMap::new(), dropped: BTreeMap::new() }
    }

    /// Writes the event of a payload under other names, as one line without its end.
    ///
    /// A payload that a decoder would reject is rejected here by the same rules, whatever the currency's rate, and
    /// nothing of it is written: what cannot be understood may name anybody.
    pub fn write(&mut self, out: &mut Vec<u8>, payload: &[u8]) -> Result<(), Rejection> {
        let event = Named::read(payload)?;
        self.note_dropped(payload, &event);
        let key = self.tenant_key(&event.tenant);
        let tenant = match self.tenant_names {
            TenantNames::Kept => event.tenant.as_str().to_owned(),
            TenantNames::Hashed => hash(&self.key.0, TENANT, event.tenant.as_str()),
        };
        json_writer::object(out, |object| {
            object.string("id", &hash(&key, EVENT, event.id.as_str()));
            object.string("tenant_id", &tenant);
            object.string("customer_id", &hash(&key, CUSTOMER, event.customer.as_str()));
            match ActivityType::from_name(&event.kind) {
                Some(kind) => object.string("type", kind.name()),
                None => object.string("type", &hash(&key, TYPE, &event.kind)),
            }
            object.string("occurred_at", &event.occurred_at);
            if let Some(amount) = event.amount {
                object.raw("amount", amount.get());
            }
            if let Some(currency) = &event.currency {
                object.string("currency", currency);
            }
            if let Some(transaction) = &event.transaction {
                object.string("transaction_id", &hash(&key, TRANSACTION, transaction.as_str()));
            }
            if let Some(device) = &event.device {
                object.object("device", |object| device.write(&key, object));
            }
            if let Some(attributes) = event.attributes.filter(|_| self.attributes == Attributes::Kept) {
                let mut kept = Vec::new();
                line::write_json(&mut kept, attributes.get().as_bytes());
                object.raw("attributes", &String::from_utf8_lossy(&kept));
            }
        });
        Ok(())
    }

    /// The fields that were left out of the lines written, and of how many; what is beyond a bound of names is counted
    /// under `…`.
    pub fn dropped(&self) -> impl Iterator<Item = (&str, u64)> {
        self.dropped.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// What stands for each tenant of the lines written, where their names are hashed: whoever names their preferences
    /// needs to know.
    pub fn hashed_tenants(&self) -> BTreeMap<TenantId, String> {
        if self.tenant_names == TenantNames::Kept {
            return BTreeMap::new();
        }
        let hashed = |tenant: &TenantId| (tenant.clone(), hash(&self.key.0, TENANT, tenant.as_str()));
        self.tenant_keys.keys().map(hashed).collect()
    }

    fn tenant_key(&mut self, tenant: &TenantId) -> hmac::Key {
        if let Some(key) = self.tenant_keys.get(tenant) {
            return key.clone();
        }
        if self.tenant_keys.len() >= MOST_TENANTS {
            self.tenant_keys.clear();
        }
        let secret = sign(&self.key.0, TENANT_KEY, tenant.as_str());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        self.tenant_keys.insert(tenant.clone(), key.clone());
        key
    }

    fn note_dropped(&mut self, payload: &[u8], event: &Named<'_>) {
        let keeps_attributes = self.attributes == Attributes::Kept;
        let kept = |name: &str| FIELDS.contains(&name) && (name != "attributes" || keeps_attributes);
        for name in names(payload).into_iter().filter(|name| !kept(name)) {
            self.note(&name);
        }
        if let Some(device) = &event.device {
            for name in names(device.raw.get().as_bytes()).into_iter().filter(|name| !DEVICE.contains(&name.as_ref())) {
                self.note(&format!("device.{name}"));
            }
            if device.country.is_some() && device.code().is_none() {
                self.note("device.country (no code of two or three letters)");
            }
        }
    }

    fn note(&mut self, name: &str) {
        let name: String = header::sentence(name).chars().take(LONGEST_DROPPED).collect();
        let known = self.dropped.len() < MOST_DROPPED || self.dropped.contains_key(&name);
        *self.dropped.entry(if known { name } else { "…".to_owned() }).or_default() += 1;
    }
}

/// An event whose every field keeps its rule.
struct Named<'a> {
    id: EventId,
    tenant: TenantId,
    customer: CustomerId,
    kind: Cow<'a, str>,
    occurred_at: Cow<'a, str>,
    amount: Option<&'a RawValue>,
    currency: Option<Cow<'a, str>>,
    transaction: Option<TransactionId>,
    device: Option<Device<'a>>,
    attributes: Option<&'a RawValue>,
}

struct Device<'a> {
    raw: &'a RawValue,
    id: Option<Cow<'a, str>>,
    fingerprint: Option<Cow<'a, str>>,
    country: Option<Cow<'a, str>>,
}

impl<'a> Named<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Rejection> {
        let [id, tenant, customer, kind, occurred_at, amount, currency, transaction, device, attributes] =
            json::record(payload, MAX_BYTES, &FIELDS)?;
        for field in [id, tenant, customer, kind, occurred_at] {
            field.present()?;
        }
        if let Some(raw) = amount.raw() {
            json::amount(raw).map_err(|rule| amount.invalid(rule))?;
        } else if ActivityType::from_name(&kind.required_text()?).is_some_and(ActivityType::needs_amount) {
            return Err(amount.missing());
        }
        occurred_at.time()?;
        let code = currency.text()?;
        if code.as_ref().is_some_and(|code| code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase())) {
            return Err(currency.invalid("must be three letters A to Z, as in ISO 4217"));
        }
        Ok(Self {
            id: id.named(EventId::new)?,
            tenant: tenant.named(TenantId::new)?,
            customer: customer.named(CustomerId::new)?,
            kind: kind.required_text()?,
            occurred_at: occurred_at.required_text()?,
            amount: amount.raw(),
            currency: code,
            transaction: transaction.raw().map(|_| transaction.named(TransactionId::new)).transpose()?,
            device: device.raw().map(|raw| Device::read(device, raw)).transpose()?,
            attributes: attributes.raw(),
        })
    }
}

impl<'a> Device<'a> {
    fn read(field: Field<'a>, raw: &'a RawValue) -> Result<Self, Rejection> {
        if !raw.get().starts_with('{') {
            return Err(field.invalid("must be an object"));
        }
        let [id, fingerprint, country] = json::object(raw.get(), "device.", &DEVICE)?;
        Ok(Self { raw, id: id.text()?, fingerprint: fingerprint.text()?, country: country.text()? })
    }

    /// The country, where it is one: another text could be anything.
    fn code(&self) -> Option<&str> {
        let is_code = |text: &&str| matches!(text.len(), 2 | 3) && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        self.country.as_deref().filter(is_code)
    }

    fn write(&self, key: &hmac::Key, object: &mut json_writer::Object<'_>) {
        for (name, kind, value) in [("id", DEVICE_ID, &self.id), ("fingerprint", FINGERPRINT, &self.fingerprint)] {
            if let Some(value) = value {
                object.string(name, &hash(key, kind, value));
            }
        }
        if let Some(code) = self.code() {
            object.string("country", code);
        }
    }
}

fn hash(key: &hmac::Key, kind: NameKind, name: &str) -> String {
    let tag = sign(key, kind.field, name);
    let mut text = String::with_capacity(24);
    text.push_str(kind.prefix);
    URL_SAFE_NO_PAD.encode_string(&tag.as_ref()[..HASH_BYTES], &mut text);
    text
}

/// Label and name are parted by NUL, which no label holds.
fn sign(key: &hmac::Key, label: &str, name: &str) -> hmac::Tag {
    let mut signed = hmac::Context::with_key(key);
    signed.update(label.as_bytes());
    signed.update(&[0]);
    signed.update(name.as_bytes());
    signed.sign()
}

/// The names of an object's members; none of what is no object.
fn names(object: &[u8]) -> Vec<String> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                names.push(name);
            }
            Ok(names)
        }
    }
    serde_json::Deserializer::from_slice(object).deserialize_map(Names).unwrap_or_default()
}

#[cfg(test)]
#[path = "pseudonym_tests.rs"]
mod tests;
