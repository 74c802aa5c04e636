//! Reading a receipt: only what [`encode`] writes, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::read_decision::{self, reach};
use super::{
    LastRules, MAX_BETS, MAX_BYTES, PreferencesVersion, Receipt, ReceiptId, VERSION, WindowEvidence, encode,
    preferences,
};
use crate::domain::claim::ClaimAnswer;
use crate::domain::decide::Mode;
use crate::domain::event::{Activity, Event};
use crate::domain::evidence::{Bets, Evidence};
use crate::domain::ids::{CustomerId, EventId, Source, TenantId};
use crate::domain::money::Usd;
use crate::domain::outcome::Rejection;
use crate::domain::preferences::Setting;
use crate::domain::time::Timestamp;
use crate::domain::trigger::{ActivityType, Bound, Trigger};
use crate::wire::command::{command_id, trigger};
use crate::wire::json::{self, Field};
use crate::wire::window;

const FIELDS: [&str; 14] = [
    "version",
    "id",
    "software",
    "tenant_id",
    "customer_id",
    "event",
    "cause",
    "preferences",
    "window",
    "decided_at",
    "max_event_age_ms",
    "claims",
    "inputs_sha256",
    "decision",
];
const CAUSE: [&str; 8] = ["event_id", "type", "occurred_at", "amount", "topic", "partition", "offset", "sha256"];
const PREFERENCES: [&str; 4] = ["updated_at", "sha256", "is_reuse_kyc_enabled", "reuse_kyc_triggers"];
const WINDOW: [&str; 8] = [
    "max_lookback_ms",
    "allowed_lateness_ms",
    "max_entries",
    "log",
    "bets",
    "event_count",
    "event_window_minutes",
    "timeliness",
];
const CLAIMS: [&str; 6] = ["mode", "cooldown_ms", "retention_ms", "answer", "since", "cap"];

/// Reads a receipt. The error names the field, and where the record only is not in its canonical form, the first byte that
/// should be another.
pub fn decode(bytes: &[u8]) -> Result<Receipt, Rejection> {
    let receipt = read(bytes)?;
    let canonical = encode(&receipt);
    if canonical == bytes {
        return Ok(receipt);
    }
    let same = canonical.iter().zip(bytes).take_while(|(one, other)| one == other).count();
    Err(json::invalid_json(&format!("the record is not in its canonical form from byte {} on", same + 1)))
}

fn read(bytes: &[u8]) -> Result<Receipt, Rejection> {
    let [
        version,
        id,
        software,
        tenant,
        customer,
        event,
        cause,
        known,
        window,
        decided_at,
        max_event_age,
        claims,
        inputs_sha256,
        decision,
    ] = json::record(bytes, MAX_BYTES, &FIELDS)?;
    if version.required_whole::<u32>()? != VERSION {
        return Err(version.invalid("is not one that is known here"));
    }
    let id = ReceiptId(uuid(id)?);
    let software = software.named(software_version)?;
    let (tenant, customer) = (tenant.named(TenantId::new)?, customer.named(CustomerId::new)?);
    let trigger = trigger(event)?;
    let cause = Cause::read(cause, trigger)?;
    let (preferences, setting) = read_preferences(known, trigger)?.unzip();
    let window = window.raw().map(|_| read_window(window, &cause, setting)).transpose()?;
    let (decision, command) = read_decision::read(decision, trigger)?;
    Ok(Receipt {
        id,
        software,
        source: cause.source,
        event_sha256: cause.sha256,
        preferences,
        evidence: Evidence {
            event: Event {
                id: cause.event,
                tenant,
                customer,
                activity: cause.activity,
                occurred_at: cause.occurred_at,
                transaction: None,
            },
            trigger,
            setting,
            window,
            decided_at: decided_at.raw().map(|_| decided_at.time()).transpose()?,
            last: read_last(max_event_age, claims)?,
        },
        inputs_sha256: inputs_sha256.named(str::parse)?,
        decision,
        command: command.raw().map(|_| command_id(command)).transpose()?,
    })
}

fn uuid(field: Field<'_>) -> Result<Uuid, Rejection> {
    command_id(field).map(|id| id.0)
}

fn software_version(text: &str) -> Result<String, &'static str> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or("must be 1 to 64 visible characters of ASCII")
}

/// What a receipt says of the event.
struct Cause {
    event: EventId,
    activity: Activity,
    occurred_at: Timestamp,
    source: Source,
    sha256: super::Sha256,
}

impl Cause {
    fn read(field: Field<'_>, trigger: Trigger) -> Result<Self, Rejection> {
        let [event, kind, occurred_at, amount, topic, partition, offset, sha256] = members(field, "cause.", &CAUSE)?;
        let known = |name: &str| {
            let tests = |kind: &ActivityType| kind.tests().contains(&trigger);
            ActivityType::from_name(name).filter(tests).ok_or("must be a type of activity that tests the trigger")
        };
        let activity = kind.named(known)?;
        let amount = match trigger.bounded_by() {
            Bound::Amount => amount.named(str::parse::<Usd>)?,
            Bound::Frequency | Bound::Nothing => Usd::ZERO,
        };
        Ok(Self {
            event: event.named(EventId::new)?,
            activity: match activity {
                ActivityType::Bet => Activity::Bet(amount),
                ActivityType::Deposit => Activity::Deposit(amount),
                ActivityType::Withdrawal => Activity::Withdrawal(amount),
                plain @ (ActivityType::Login
                | ActivityType::PasswordChange
                | ActivityType::NameChange
                | ActivityType::PhoneNumberChange
                | ActivityType::TwoFactorAuthChange
                | ActivityType::NewDeviceOrLocation
                | ActivityType::DeviceFingerprintChange
                | ActivityType::PaymentMethodChange
                | ActivityType::AccountBalanceTransfer) => Activity::Plain(plain),
            },
            occurred_at: occurred_at.time()?,
            source: Source {
                topic: Arc::from(topic.required_text()?.as_ref()),
                partition: partition.required_whole()?,
                offset: offset.required_whole()?,
            },
            sha256: sha256.named(str::parse)?,
        })
    }
}

/// The amount of an activity, where the trigger reads it.
pub(super) fn amount_read(trigger: Trigger, activity: Activity) -> Option<Usd> {
    match trigger.bounded_by() {
        Bound::Amount => activity.amount(),
        Bound::Frequency | Bound::Nothing => None,
    }
}

fn read_preferences(field: Field<'_>, trigger: Trigger) -> Result<Option<(PreferencesVersion, Setting)>, Rejection> {
    if field.raw().is_none() {
        return Ok(None);
    }
    let [updated_at, sha256, switch, triggers] = members(field, "preferences.", &PREFERENCES)?;
    let version = PreferencesVersion {
        updated_at: updated_at.text()?.map(std::borrow::Cow::into_owned),
        sha256: sha256.named(str::parse)?,
    };
    Ok(Some((version, preferences::read(switch, triggers, trigger)?)))
}

fn read_window(field: Field<'_>, cause: &Cause, setting: Option<Setting>) -> Result<WindowEvidence, Rejection> {
    let [lookback, lateness, max_entries, log, bets, count, minutes, timeliness] = members(field, "window.", &WINDOW)?;
    let bets = if log.raw().is_some() {
        Bets::Log(log.named(|text| read_log(text, cause))?)
    } else {
        let needed = match setting {
            Some(Setting::Frequency(bound)) => bound.needed,
            Some(Setting::FeatureOff | Setting::Off | Setting::Plain | Setting::Amount(_)) | None => 0,
        };
        Bets::Summed { number: bets.required_whole()?, reach: reach(needed, count, minutes, timeliness)? }
    };
    Ok(WindowEvidence {
        max_lookback: span(lookback)?,
        lateness: span(lateness)?,
        max_entries: max_entries.required_whole()?,
        bets,
    })
}

fn read_log(text: &str, cause: &Cause) -> Result<Vec<crate::domain::window::Bet>, &'static str> {
    let bytes = STANDARD.decode(text).map_err(|_| "must be Base64 with its padding")?;
    let log = window::decode_bets(&bytes).map_err(|_| "must hold whole records of 18 bytes")?;
    if log.len() > MAX_BETS {
        return Err("must hold at most 2048 bets");
    }
    let log: Vec<_> = log.collect();
    let own = (window::bet_id(&cause.event), window::arrival(&cause.source));
    match log.last() {
        Some(last) if (last.id, last.arrival) == own => Ok(log),
        Some(_) | None => Err("must end with the event itself"),
    }
}

fn read_last(max_event_age: Field<'_>, claims: Field<'_>) -> Result<Option<LastRules>, Rejection> {
    if claims.raw().is_none() {
        return match max_event_age.raw() {
            Some(_) => Err(claims.missing()),
            None => Ok(None),
        };
    }
    let [mode, cooldown, retention, answer, since, cap] = members(claims, "claims.", &CLAIMS)?;
    let answer = match answer.text()?.as_deref() {
        None => None,
        Some("held") => Some(ClaimAnswer::Held),
        Some("free") => Some(ClaimAnswer::Free),
        Some("cooling_down") => Some(ClaimAnswer::CoolingDown { since: since.time()? }),
        Some(_) => return Err(answer.invalid("must be held, free or cooling_down")),
    };
    Ok(Some(LastRules {
        mode: match mode.required_text()?.as_ref() {
            "live" => Mode::Live,
            "shadow" => Mode::Shadow,
            _ => return Err(mode.invalid("must be live or shadow")),
        },
        max_event_age: max_event_age.raw().map(|_| span(max_event_age)).transpose()?,
        cooldown: span(cooldown)?,
        retention: span(retention)?,
        answer,
        cap: cap.whole()?,
    }))
}

pub(super) fn span(field: Field<'_>) -> Result<Duration, Rejection> {
    field.required_whole().map(Duration::from_millis)
}

/// The members of an object within the record.
pub(super) fn members<'a, const N: usize>(
    field: Field<'a>,
    within: &'static str,
    names: &'static [&'static str; N],
) -> Result<[Field<'a>; N], Rejection> {
    let raw = field.present()?.get();
    if !raw.starts_with('{') {
        return Err(field.invalid("must be an object"));
    }
    json::object(raw, within, names)
}
