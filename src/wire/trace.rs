//! The trace context of the W3C (<https://www.w3.org/TR/trace-context-1/>), as it stands in the headers of records and of
//! HTTP requests. What a sender writes there is a hint: where it breaks a rule it is as if it were not there.

use std::fmt::Write as _;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::header;

/// The headers that carry a context.
pub const HEADERS: &[&str] = &[PARENT, STATE];
pub(super) const PARENT: &str = "traceparent";
pub(super) const STATE: &str = "tracestate";

/// `00-<trace id>-<span id>-<flags>`.
const PARENT_BYTES: usize = 55;
/// What every party has to pass on of a state; a longer one may be left out.
const MAX_STATE_BYTES: usize = 512;
const MAX_STATE_MEMBERS: usize = 32;
const SAMPLED: u8 = 1;

/// Any key, once chosen: the ids of traces must be the same after a restart and in every replica.
const IDS: (u64, u64) = (0x2f83_c1d9_5e60_a74b, 0xb904_7d1e_88c2_630f);

/// Which trace a piece of work belongs to, and which span of it caused the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// Whether the spans of this trace are kept.
    pub sampled: bool,
    /// What the systems on the way have written for themselves; passed on as it came.
    pub state: Option<String>,
}

impl TraceContext {
    /// Picks the context from headers; of a name that comes twice the last counts.
    pub fn decode<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let [parent, state] = header::pick(headers, [PARENT, STATE]);
        let (trace_id, span_id, sampled) = read_parent(parent.text().ok()??)?;
        let state = state.text().ok().flatten().map(str::trim).filter(|state| is_state(state)).map(str::to_owned);
        Some(Self { trace_id, span_id, sampled, state })
    }

    /// The names and values of the headers that carry it.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        std::iter::once((PARENT, self.parent())).chain(self.state.clone().map(|state| (STATE, state)))
    }

    /// The same for a record.
    pub fn record_headers(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.headers().map(|(name, value)| (name, value.into_bytes())).collect()
    }

    fn parent(&self) -> String {
        let mut text = String::with_capacity(PARENT_BYTES);
        let (trace_id, span_id, flags) = (self.trace_id, self.span_id, u8::from(self.sampled));
        // Writing to a text cannot fail.
        let _ = write!(text, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}");
        text
    }
}

/// The id of the trace that begins with a record: the same whenever the record is delivered. Its time (milliseconds since
/// 1970) tells it from the record that stood there before the topic was made anew.
pub fn id_of(topic: &str, partition: i32, offset: i64, timestamp: Option<i64>) -> u128 {
    let mut hasher = SipHasher24::new_with_keys(IDS.0, IDS.1);
    hasher.write(topic.as_bytes());
    hasher.write_u8(0xff);
    hasher.write_i32(partition);
    hasher.write_i64(offset);
    hasher.write_i64(timestamp.unwrap_or_default());
    hasher.finish128().as_u128().max(1)
}

/// Trace id, span id and whether the trace is sampled. A version that we do not know begins like ours.
fn read_parent(text: &str) -> Option<(u128, u64, bool)> {
    let bytes = text.as_bytes();
    let (known, more) = bytes.split_at_checked(PARENT_BYTES)?;
    let field = |from: usize, to: usize| hexadecimal(&known[from..to]);
    let version = field(0, 2)?;
    let dashes = [2, 35, 52].iter().all(|place| known[*place] == b'-');
    let ends = more.is_empty() || version > 0 && more[0] == b'-';
    if version == 0xff || !dashes || !ends {
        return None;
    }
    let (trace_id, span_id, flags) = (field(3, 35)?, field(36, 52)?, field(53, 55)?);
    let span_id = u64::try_from(span_id).ok()?;
    (trace_id != 0 && span_id != 0).then_some((trace_id, span_id, flags & u128::from(SAMPLED) != 0))
}

/// Lower-case digits only, at most 32 of them.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Whether a state may be passed on: short, and nothing in it that a header could not carry.
fn is_state(text: &str) -> bool {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let members = text.split(',').count();
    !text.is_empty() && text.len() <= MAX_STATE_BYTES && printable && members <= MAX_STATE_MEMBERS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

    fn read(parent: &str, state: Option<&str>) -> Option<TraceContext> {
        let headers = [Some((PARENT, parent.as_bytes())), state.map(|state| (STATE, state.as_bytes()))];
        TraceContext::decode(headers.into_iter().flatten())
    }

    #[test]
    fn a_context_is_read_by_the_rules_of_its_version() {
        let context = |sampled| Some(TraceContext { trace_id: TRACE, span_id: SPAN, sampled, state: None });
        for (text, want) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", context(true)),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", context(false)),
            // Flags that we do not know say nothing.
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", context(true)),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe", context(false)),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", context(true)),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-is-to-come", context(true)),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what-is-to-come", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-is-to-come", None),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-001", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1", None),
            (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0é4736-00f067aa0ba902b7-01", None),
            ("", None),
        ] {
            assert_eq!(read(text, None), want, "{text}");
        }
        assert_eq!(TraceContext::decode([(PARENT, &b"\xff"[..])]), None);
        assert_eq!(TraceContext::decode([(STATE, &b"a=b"[..])]), None);
    }

    #[test]
    fn a_state_is_passed_on_where_a_header_can_carry_it() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (long, many) = ("a".repeat(512), vec!["a=b"; 32].join(","));
        for (state, kept) in [
            ("rojo=1,congo=t61", true),
            (long.as_str(), true),
            (many.as_str(), true),
            (&format!("{long}a"), false),
            (&format!("{many},a=b"), false),
            ("a=b\r\nx: y", false),
            ("a=é", false),
            ("", false),
        ] {
            let context = read(parent, Some(state)).unwrap();
            assert_eq!(context.state.as_deref(), kept.then_some(state), "{state:?}");
        }
        let bad = [(PARENT, parent.as_bytes()), (STATE, &b"\xff"[..])];
        assert_eq!(TraceContext::decode(bad).unwrap().state, None);
    }

    #[test]
    fn a_record_has_one_trace_id_and_shares_it_with_no_other() {
        let ids = [
            id_of("a", 1, 2, Some(3)),
            id_of("b", 1, 2, Some(3)),
            id_of("a", 2, 2, Some(3)),
            id_of("a", 1, 3, Some(3)),
            id_of("a", 1, 2, Some(4)),
        ];
        // In every replica and after every restart.
        assert_eq!(ids[0], 0x7fc47862d5c5675c5dc8cc27fe9c7bd8);
        let different: std::collections::BTreeSet<u128> = ids.into();
        assert_eq!(different.len(), ids.len());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            trace_id in 1..=u128::MAX, span_id in 1..=u64::MAX, sampled: bool, state in "([a-z]{1,9}=[!-+.-<>-~]{1,20})?"
        ) {
            let state = Some(state).filter(|state| !state.is_empty());
            let context = TraceContext { trace_id, span_id, sampled, state };
            let headers = context.record_headers();
            let read = TraceContext::decode(headers.iter().map(|(name, value)| (*name, value.as_slice())));
            prop_assert_eq!(read, Some(context));
        }

        #[test]
        fn nothing_that_a_sender_writes_is_passed_on_unless_it_is_a_context(
            parent in prop_oneof![any::<Vec<u8>>(), "[0-9a-f]{2}-[0-9a-fA-F]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,3}".prop_map(String::into_bytes)],
            state: Vec<u8>,
        ) {
            if let Some(context) = TraceContext::decode([(PARENT, parent.as_slice()), (STATE, state.as_slice())]) {
                prop_assert!(context.trace_id != 0 && context.span_id != 0);
                prop_assert_eq!(context.parent().len(), PARENT_BYTES);
                // Ours and theirs differ in the version and the flags at the most.
                let ours = context.parent();
                prop_assert_eq!(&ours.as_bytes()[2..53], &parent[2..53]);
                prop_assert!(context.headers().all(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
            }
        }
    }
}
