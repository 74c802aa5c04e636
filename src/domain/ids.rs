//! Names of things, as types of their own, so that none can stand where another belongs.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;
use uuid::Uuid;

use super::trigger::Trigger;

/// What a name may look like, and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("must be 1 to {max} characters long")]
    Length { max: usize },
    #[error("must start with a letter or digit and hold only letters, digits, '.', '_' and '-'")]
    Alphabet,
    #[error("must not hold control characters")]
    ControlCharacter,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(SmolStr);

        impl $name {
            /// Takes the text as it is, or says which rule it breaks.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                Self::check(text)?;
                Ok(Self(text.into()))
            }

            /// Whether the text may be such a name.
            pub fn check(text: &str) -> Result<(), InvalidId> {
                $check(text)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// A tenant: 1–64 of `A–Z a–z 0–9 . _ -`, the first a letter or digit. Safe in a path, a key, a header and a label.
    TenantId, tenant_rule
);
text_id!(
    /// A customer of a tenant: 1–128 characters, none of them a control character.
    CustomerId, customer_rule
);
text_id!(
    /// An activity event: 1–128 characters, unique within its tenant.
    EventId, up_to_128_characters
);
text_id!(
    /// A transaction of the tenant's: 1–128 characters.
    TransactionId, up_to_128_characters
);

fn tenant_rule(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() || text.len() > 64 {
        return Err(InvalidId::Length { max: 64 });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !text.as_bytes()[0].is_ascii_alphanumeric() || !text.bytes().all(allowed) {
        return Err(InvalidId::Alphabet);
    }
    Ok(())
}

fn customer_rule(text: &str) -> Result<(), InvalidId> {
    up_to_128_characters(text)?;
    // Beside those of ASCII they begin with the byte C2 in UTF-8, which hardly any name holds.
    let may_be_control = |byte: u8| byte.is_ascii_control() || byte == 0xc2;
    if text.bytes().any(may_be_control) && text.chars().any(char::is_control) {
        return Err(InvalidId::ControlCharacter);
    }
    Ok(())
}

fn up_to_128_characters(text: &str) -> Result<(), InvalidId> {
    // A character is at most four bytes, so an absurd length is refused without counting it.
    if text.is_empty() || text.len() > 512 || text.len() > 128 && text.chars().count() > 128 {
        return Err(InvalidId::Length { max: 128 });
    }
    Ok(())
}

/// A verification command, named by what caused it: the same event and trigger always give the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub Uuid);

/// The namespace of command ids (itself a random UUID, fixed for ever).
const COMMANDS: Uuid = Uuid::from_u128(0x6d1c_2f0e_93b4_4a7e_8a57_0c1f_d2b9_4e65);

impl CommandId {
    /// UUID v5 over tenant, trigger and event id, parted by NUL, which the first two cannot hold.
    pub fn of(tenant: &TenantId, trigger: Trigger, event: &EventId) -> Self {
        let mut name = Vec::with_capacity(256);
        name.extend_from_slice(tenant.as_str().as_bytes());
        name.push(0);
        name.extend_from_slice(trigger.name().as_bytes());
        name.push(0);
        name.extend_from_slice(event.as_str().as_bytes());
        Self(Uuid::new_v5(&COMMANDS, &name))
    }

    /// The command that takes this one up again: UUID v5 in the old id's own namespace. However often a command is taken
    /// up there is this one, and the next try after it is the one that takes it up in turn.
    #[must_use]
    pub fn redriven(self) -> Self {
        Self(Uuid::new_v5(&self.0, b"redrive"))
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record stands in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_to_their_alphabets_and_lengths() {
        for (tenant, ok) in [
            ("acme", true),
            ("7.a_b-c", true),
            ("", false),
            (".hidden", false),
            ("..", false),
            ("a/b", false),
            ("a}b", false),
            ("täglich", false),
            (&"a".repeat(64), true),
            (&"a".repeat(65), false),
        ] {
            assert_eq!(TenantId::new(tenant).is_ok(), ok, "{tenant}");
        }
        for (customer, ok) in [
            ("player 1", true),
            ("{x}", true),
            ("", false),
            ("a\nb", false),
            ("a\u{0}b", false),
            ("a\u{85}b", false),
            (&"é".repeat(128), true),
            (&"é".repeat(129), false),
        ] {
            assert_eq!(CustomerId::new(customer).is_ok(), ok, "{customer:?}");
        }
    }

    #[test]
    fn a_command_is_named_by_tenant_trigger_and_event() {
        let id = |tenant, trigger, event| {
            CommandId::of(&TenantId::new(tenant).unwrap(), trigger, &EventId::new(event).unwrap())
        };
        assert_eq!(id("a", Trigger::Login, "e1"), id("a", Trigger::Login, "e1"));
        assert_ne!(id("a", Trigger::Login, "e1"), id("b", Trigger::Login, "e1"));
        assert_ne!(id("a", Trigger::Login, "e1"), id("a", Trigger::NameChange, "e1"));
        assert_ne!(id("a", Trigger::Login, "e1"), id("a", Trigger::Login, "e2"));
        // The id is persistent: it stands on topics and in the service. It must never change.
        assert_eq!(id("crash", Trigger::Deposit, "bet-1").to_string(), GOLDEN);
    }

    #[test]
    fn a_command_is_taken_up_under_one_id_and_each_further_try_under_another() {
        let first = CommandId(GOLDEN.parse().unwrap());
        let tries: Vec<CommandId> = std::iter::successors(Some(first), |id| Some(id.redriven())).take(5).collect();
        assert_eq!(tries.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
        assert_eq!(first.redriven(), tries[1]);
        // As persistent as the first.
        assert_eq!(tries[1].to_string(), "615eb0ad-3cad-5097-841c-baed4628ab63");
        assert_eq!(tries[2].to_string(), "b843df20-a2d1-50c2-a03b-483aab884fca");
    }

    const GOLDEN: &str = "de5104d8-398a-55de-954f-e274b53286a3";
}
