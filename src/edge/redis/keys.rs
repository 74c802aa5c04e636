//! The names of keys. They are persistent: `1` in them is the version of the layout.
//!
//! `{…}` holds the bucket, by which a cluster places a key: what belongs to one bucket lies in one slot.

use crate::domain::ids::{CommandId, CustomerId, TenantId};
use crate::domain::trigger::Trigger;
use crate::edge::Scope;
use crate::edge::marks::Part;
use crate::wire::window::{bucket, customer_key, tenant_key};

/// A key and the bucket that it lies in.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) bucket: u8,
}

pub(super) struct Keys {
    /// The configured prefix, the version of the layout, and the scope where it is not the live one.
    base: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, scope: Scope) -> Self {
        let apart = match scope {
            Scope::Live => "",
            Scope::Shadow => ":shadow",
            Scope::Candidate => ":candidate",
        };
        Self { base: format!("{prefix}:1{apart}") }
    }

    /// A customer's log of bets.
    pub(super) fn window(&self, tenant: &TenantId, customer: &CustomerId) -> Key {
        self.window_of(customer_key(tenant, customer))
    }

    /// The same of a customer's hash.
    pub(super) fn window_of(&self, hash: u128) -> Key {
        let mut key = self.start('w', hash);
        push_base64(&mut key.name, hash);
        key
    }

    /// With what the names of all logs begin, up to the bucket.
    pub(super) fn windows_begin(&self) -> String {
        format!("{}:w:{{", self.base)
    }

    /// A customer's claims of one trigger.
    pub(super) fn claims(&self, tenant: &TenantId, customer: &CustomerId, trigger: Trigger) -> Key {
        self.claims_of(customer_key(tenant, customer), trigger)
    }

    /// The same of a customer's hash.
    pub(super) fn claims_of(&self, hash: u128, trigger: Trigger) -> Key {
        let mut key = self.start('c', hash);
        push_base64(&mut key.name, hash);
        key.name.push(':');
        key.name.push_str(trigger.name());
        key
    }

    /// The outcome fixed for a command.
    pub(super) fn outcome(&self, command: CommandId) -> Key {
        let mut key = self.start('o', command.0.as_u128());
        key.name.push_str(&command.to_string());
        key
    }

    /// An attempt to deliver a command under one number of its reference.
    pub(super) fn attempt(&self, command: CommandId, reference_number: u32) -> Key {
        let mut key = self.start('a', command.0.as_u128());
        key.name.push_str(&format!("{command}:{reference_number}"));
        key
    }

    /// The tenants whose preferences are doubted.
    pub(super) fn doubts(&self) -> Key {
        Key { name: format!("{}:doubts", self.base), bucket: 0 }
    }

    /// The controls, the same for every scope.
    pub(super) fn controls(prefix: &str) -> Key {
        Key { name: format!("{prefix}:1:controls"), bucket: 0 }
    }

    /// The mark of a bucket, the same for every scope.
    pub(super) fn mark(prefix: &str, part: Part, bucket: u8) -> Key {
        let mut key = Self { base: format!("{prefix}:1") }.start('k', u128::from(bucket));
        key.name.push_str(part_name(part));
        key
    }

    /// Who fills a part of the store.
    pub(super) fn filling(prefix: &str, part: Part) -> Key {
        Key { name: format!("{prefix}:1:filling:{}", part_name(part)), bucket: 0 }
    }

    /// The sessions of a tenant in a minute, counted from 1970.
    pub(super) fn sessions(&self, tenant: &TenantId, minute: i64) -> Key {
        let mut key = self.start('m', tenant_key(tenant));
        key.name.push_str(&format!("{tenant}:{minute}"));
        key
    }

    fn start(&self, kind: char, hash: u128) -> Key {
        let bucket = bucket(hash);
        let mut name = String::with_capacity(self.base.len() + 56);
        name.push_str(&self.base);
        name.push(':');
        name.push(kind);
        name.push_str(":{");
        hex(bucket).into_iter().for_each(|digit| name.push(char::from(digit)));
        name.push_str("}:");
        Key { name, bucket }
    }
}

/// Bytes of a customer's log's name from the bucket on.
pub(super) const WINDOW_REST: usize = 26;

/// The name of a customer's log from the bucket on: see [`Keys::windows_begin`].
pub(super) fn window_rest(hash: u128) -> [u8; WINDOW_REST] {
    let mut rest = *b"00}:0000000000000000000000";
    rest[..2].copy_from_slice(&hex(bucket(hash)));
    rest[4..].copy_from_slice(&base64(hash));
    rest
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Decisions => "decisions",
        Part::Outcomes => "outcomes",
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn hex(byte: u8) -> [u8; 2] {
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

/// The number in base 64, most significant digit first: 22 characters, 10 fewer for each key than in base 16.
fn base64(mut number: u128) -> [u8; 22] {
    let mut digits = [0; 22];
    for digit in digits.iter_mut().rev() {
        *digit = BASE64[number as usize & 63];
        number >>= 6;
    }
    digits
}

fn push_base64(name: &mut String, number: u128) {
    name.push_str(std::str::from_utf8(&base64(number)).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_names_of_keys_are_what_they_were() {
        let keys = Keys::new("stepup", Scope::Live);
        let (shadow, candidate) = (Keys::new("stepup", Scope::Shadow), Keys::new("stepup", Scope::Candidate));
        let (tenant, customer) = (TenantId::new("acme").unwrap(), CustomerId::new("player 1").unwrap());
        let command = CommandId(Uuid::from_u128(0xde5104d8_398a_55de_954f_e274b53286a3));
        for (key, name, bucket) in [
            (keys.window(&tenant, &customer), "stepup:1:w:{3d}:AQWpUXHyKy9O1zzE0PhKU9", 0x3d),
            (keys.claims(&tenant, &customer, Trigger::Login), "stepup:1:c:{3d}:AQWpUXHyKy9O1zzE0PhKU9:login", 0x3d),
            (keys.outcome(command), "stepup:1:o:{a3}:de5104d8-398a-55de-954f-e274b53286a3", 0xa3),
            (keys.attempt(command, 2), "stepup:1:a:{a3}:de5104d8-398a-55de-954f-e274b53286a3:2", 0xa3),
            (keys.doubts(), "stepup:1:doubts", 0),
            (Keys::controls("stepup"), "stepup:1:controls", 0),
            (Keys::mark("stepup", Part::Decisions, 0xa3), "stepup:1:k:{a3}:decisions", 0xa3),
            (Keys::filling("stepup", Part::Outcomes), "stepup:1:filling:outcomes", 0),
            (keys.sessions(&tenant, 29_539_440), "stepup:1:m:{87}:acme:29539440", 0x87),
            (
                shadow.claims(&tenant, &customer, Trigger::Login),
                "stepup:1:shadow:c:{3d}:AQWpUXHyKy9O1zzE0PhKU9:login",
                0x3d,
            ),
            (candidate.window(&tenant, &customer), "stepup:1:candidate:w:{3d}:AQWpUXHyKy9O1zzE0PhKU9", 0x3d),
        ] {
            assert_eq!((key.name.as_str(), key.bucket), (name, bucket));
        }
    }

    /// Names made of what keys are made of, so that a join without care would let two of them meet.
    fn whose() -> impl Strategy<Value = (TenantId, CustomerId)> {
        ("[a01][a01._-]{0,3}", "[a01._:|/{}*%~ é\u{202e}-]{1,4}")
            .prop_map(|(tenant, customer)| (TenantId::new(&tenant).unwrap(), CustomerId::new(&customer).unwrap()))
    }

    proptest! {
        #[test]
        fn two_customers_never_share_a_key_and_none_moves_its_bucket((one, other) in (whose(), whose())) {
            let keys = Keys::new("stepup", Scope::Live);
            let all = |(tenant, customer): &(TenantId, CustomerId)| {
                let event = crate::domain::ids::EventId::new(customer.as_str()).unwrap();
                let command = CommandId::of(tenant, Trigger::Login, &event);
                [
                    keys.window(tenant, customer),
                    keys.claims(tenant, customer, Trigger::Login),
                    keys.outcome(command),
                    keys.attempt(command, 1),
                ]
            };
            for (key, others) in all(&one).into_iter().zip(all(&other)) {
                prop_assert_eq!(key.name == others.name, one == other, "{:?} {:?}: {}", one, other, key.name);
                let tag = format!("{{{:02x}}}", key.bucket);
                prop_assert!(key.name.contains(&tag) && key.name.matches(['{', '}']).count() == 2, "{}", key.name);
                prop_assert!(key.name.bytes().all(|byte| byte.is_ascii_graphic()), "{}", key.name);
            }
            let rest = window_rest(customer_key(&one.0, &one.1));
            let whole = [keys.windows_begin().as_bytes(), &rest].concat();
            prop_assert_eq!(whole, keys.window(&one.0, &one.1).name.into_bytes());
            let (mine, theirs) = (keys.sessions(&one.0, 1), keys.sessions(&other.0, 1));
            prop_assert_eq!(mine.name == theirs.name, one.0 == other.0, "{}", mine.name);
        }
    }

    #[test]
    fn base_64_has_22_digits_that_differ_where_the_numbers_do() {
        for (number, want) in [
            (0, "AAAAAAAAAAAAAAAAAAAAAA"),
            (1, "AAAAAAAAAAAAAAAAAAAAAB"),
            (63 << 6, "AAAAAAAAAAAAAAAAAAAA_A"),
            (u128::MAX, "D_____________________"),
        ] {
            let mut text = String::new();
            push_base64(&mut text, number);
            assert_eq!(text, want);
        }
    }
}
