//! How windows and claims are kept: logs of fixed-size binary records, and the hashes that name things in them.
//!
//! Everything here is persistent. A changed layout, key or hash makes what is stored unreadable; it needs a new version of
//! the layout, under which both can live side by side.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;
use siphasher::sip128;
use smallvec::SmallVec;

use crate::domain::claim::Claim;
use crate::domain::ids::{CustomerId, EventId, Source, TenantId};
use crate::domain::time::Timestamp;
use crate::domain::window::Bet;

/// Bytes of one bet in a log: 6 of its time, 8 of its id, 4 of its arrival, each big-endian.
pub const BET_BYTES: usize = 18;
/// Bytes of one claim: 6 of its time, 8 of its event's id, each big-endian.
pub const CLAIM_BYTES: usize = 14;

/// Times are stored as milliseconds since 2^47 ms before 1970, so that they are unsigned and sort as bytes.
const EPOCH: i64 = 1 << 47;

const BET_IDS: (u64, u64) = (0x5be1_9f5c_0d3a_71c4, 0xa92e_60d7_14f8_3b05);
const ARRIVALS: (u64, u64) = (0x18c7_42ea_9d06_5fb3, 0x7d31_ee04_c2a9_8856);
const CUSTOMERS: (u64, u64) = (0xe3f0_2a6b_4c91_d758, 0x0694_bb1d_7f25_ac3e);

/// A stored log whose length is no whole number of records: something else wrote there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are no whole number of records of {record} bytes")]
pub struct BrokenLog {
    pub length: usize,
    pub record: usize,
}

/// Appends one record to `log`. Times beyond ±2^47 ms (about 4,400 years around 1970) are kept as the nearest that fits.
pub fn encode(bet: &Bet, log: &mut Vec<u8>) {
    log.extend_from_slice(&time_bytes(bet.at));
    log.extend_from_slice(&bet.id.to_be_bytes());
    log.extend_from_slice(&bet.arrival.to_be_bytes());
}

/// Reads a whole log, in order of arrival. Bytes beyond whole records stand before the first, and are 0: their number is the
/// log's generation, which changes when it is rewritten. So its length tells what it holds as long as nobody else appends.
pub fn decode_log(log: &[u8]) -> Result<impl ExactSizeIterator<Item = Bet>, BrokenLog> {
    let (filler, records) = log.split_at(log.len() % BET_BYTES);
    if filler.iter().any(|byte| *byte != 0) {
        return Err(BrokenLog { length: log.len(), record: BET_BYTES });
    }
    decode_bets(records)
}

/// Reads records that stand by themselves.
pub fn decode_bets(records: &[u8]) -> Result<impl ExactSizeIterator<Item = Bet>, BrokenLog> {
    let (whole, rest) = records.as_chunks::<BET_BYTES>();
    if !rest.is_empty() {
        return Err(BrokenLog { length: records.len(), record: BET_BYTES });
    }
    let bet = |[t0, t1, t2, t3, t4, t5, id @ .., a0, a1, a2, a3]: &[u8; BET_BYTES]| Bet {
        at: time([*t0, *t1, *t2, *t3, *t4, *t5]),
        id: unsigned(id),
        arrival: u32::from_be_bytes([*a0, *a1, *a2, *a3]),
    };
    Ok(whole.iter().map(bet))
}

/// One claim as it is stored.
pub fn encode_claim(claim: &Claim) -> [u8; CLAIM_BYTES] {
    let mut record = [0; CLAIM_BYTES];
    record[..6].copy_from_slice(&time_bytes(claim.at));
    record[6..].copy_from_slice(&claim.event.to_be_bytes());
    record
}

/// Reads the claims of one customer and trigger, in the order in which they were taken.
pub fn decode_claims(claims: &[u8]) -> Result<Vec<Claim>, BrokenLog> {
    let (records, rest) = claims.as_chunks::<CLAIM_BYTES>();
    if !rest.is_empty() {
        return Err(BrokenLog { length: claims.len(), record: CLAIM_BYTES });
    }
    let claim = |[t0, t1, t2, t3, t4, t5, event @ ..]: &[u8; CLAIM_BYTES]| Claim {
        at: time([*t0, *t1, *t2, *t3, *t4, *t5]),
        event: unsigned(event),
    };
    Ok(records.iter().map(claim).collect())
}

/// The 6 bytes of a time.
pub fn time_bytes(at: Timestamp) -> [u8; 6] {
    let stored = at.0.clamp(-EPOCH, EPOCH - 1) + EPOCH;
    let bytes = stored.to_be_bytes();
    [bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
}

/// The time of 6 bytes.
pub fn time_of(bytes: [u8; 6]) -> Timestamp {
    time(bytes)
}

fn time([a, b, c, d, e, f]: [u8; 6]) -> Timestamp {
    Timestamp(i64::from_be_bytes([0, 0, a, b, c, d, e, f]) - EPOCH)
}

fn unsigned(bytes: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*bytes)
}

/// The hash by which an event is known in windows and claims.
pub fn bet_id(event: &EventId) -> u64 {
    bet_id_of(event.as_str())
}

/// The same of the id's text.
pub fn bet_id_of(event: &str) -> u64 {
    SipHasher24::new_with_keys(BET_IDS.0, BET_IDS.1).hash(event.as_bytes())
}

/// The hash of a place in the input: topic, partition and offset.
pub fn arrival(source: &Source) -> u32 {
    Arrivals::of(&source.topic, source.partition).at(source.offset)
}

/// The hashes of the places in one partition.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals(SipHasher24);

impl Arrivals {
    pub fn of(topic: &str, partition: i32) -> Self {
        let mut hasher = SipHasher24::new_with_keys(ARRIVALS.0, ARRIVALS.1);
        hasher.write(topic.as_bytes());
        hasher.write(&[0]);
        hasher.write(&partition.to_be_bytes());
        Self(hasher)
    }

    pub fn at(mut self, offset: i64) -> u32 {
        self.0.write(&offset.to_be_bytes());
        let hash = self.0.finish().to_be_bytes();
        u32::from_be_bytes([hash[4], hash[5], hash[6], hash[7]])
    }
}

/// The hash that stands for a customer in keys, so that no key tells who it is. Tenant and customer are parted by NUL, which
/// neither can hold.
pub fn customer_key(tenant: &TenantId, customer: &CustomerId) -> u128 {
    customer_key_of(tenant.as_str(), customer.as_str())
}

/// The same of the names' texts.
pub fn customer_key_of(tenant: &str, customer: &str) -> u128 {
    // In one piece: to hash what comes in three costs twice as much.
    let mut both = SmallVec::<[u8; 128]>::new();
    both.extend_from_slice(tenant.as_bytes());
    both.push(0);
    both.extend_from_slice(customer.as_bytes());
    let hash = sip128::SipHasher24::new_with_keys(CUSTOMERS.0, CUSTOMERS.1).hash(&both);
    u128::from(hash.h2) << 64 | u128::from(hash.h1)
}

/// The hash of a tenant, for what is kept of it as a whole.
pub fn tenant_key(tenant: &TenantId) -> u128 {
    let hash = sip128::SipHasher24::new_with_keys(CUSTOMERS.0, CUSTOMERS.1).hash(tenant.as_str().as_bytes());
    u128::from(hash.h2) << 64 | u128::from(hash.h1)
}

/// Which of the 256 fixed buckets a hash lies in: its lowest byte. Keys of one bucket lie in one slot of a cluster.
pub fn bucket(hash: u128) -> u8 {
    hash.to_be_bytes()[15]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_what_it_was() {
        for (bet, want) in [
            (Bet { at: Timestamp(0), id: 1, arrival: 2 }, "800000000000 0000000000000001 00000002"),
            (Bet { at: Timestamp(-1), id: u64::MAX, arrival: u32::MAX }, "7fffffffffff ffffffffffffffff ffffffff"),
            (
                Bet { at: Timestamp(1_772_366_400_250), id: 0x0102_0304_0506_0708, arrival: 0x0a0b_0c0d },
                "819ca9450afa 0102030405060708 0a0b0c0d",
            ),
            (Bet { at: Timestamp(i64::MAX), id: 0, arrival: 0 }, "ffffffffffff 0000000000000000 00000000"),
            (Bet { at: Timestamp(i64::MIN), id: 0, arrival: 0 }, "000000000000 0000000000000000 00000000"),
        ] {
            let mut log = Vec::new();
            encode(&bet, &mut log);
            assert_eq!(hex(&log), want.replace(' ', ""), "{bet:?}");
        }
        let claim = encode_claim(&Claim { at: Timestamp(0), event: 0x0102_0304_0506_0708 });
        assert_eq!(hex(&claim), "8000000000000102030405060708");
    }

    #[test]
    fn the_hashes_are_what_they_were() {
        let event = |id| bet_id(&EventId::new(id).unwrap());
        let place = |topic: &str, partition, offset| arrival(&Source { topic: topic.into(), partition, offset });
        let customer = |tenant, id| customer_key(&TenantId::new(tenant).unwrap(), &CustomerId::new(id).unwrap());
        assert_eq!(event("bet-1"), 0xcff4_d66a_9b7c_a05b);
        assert_eq!(event("é"), 0xacf9_76ef_7f37_bbc3);
        assert_eq!(place("activity", 0, 0), 0x4832_504a);
        assert_eq!(place("activity", 63, 1 << 40), 0xa9b8_371c);
        assert_eq!(customer("acme", "player 1"), 0x105a_9517_1f22_b2f4_ed73_cc4d_0f84_a53d);
        assert_eq!(bucket(customer("acme", "player 1")), 0x3d);
    }

    #[test]
    fn what_differs_in_any_part_hashes_differently() {
        let place = |topic: &str, partition, offset| arrival(&Source { topic: topic.into(), partition, offset });
        let customer = |tenant, id| customer_key(&TenantId::new(tenant).unwrap(), &CustomerId::new(id).unwrap());
        assert_ne!(place("a", 0, 1), place("a", 1, 0));
        assert_ne!(place("a", 0, 1), place("b", 0, 1));
        assert_ne!(customer("a", "bc"), customer("ab", "c"));
        assert_ne!(bet_id(&EventId::new("a").unwrap()), bet_id(&EventId::new("b").unwrap()));
    }

    #[test]
    fn a_length_that_is_no_whole_number_of_records_is_broken() {
        for length in [1, 17, 19, 35] {
            assert_eq!(read(decode_log(&vec![1; length])), Err(BrokenLog { length, record: 18 }));
            assert_eq!(read(decode_bets(&vec![0; length])), Err(BrokenLog { length, record: 18 }));
        }
        for length in [1, 13, 15] {
            assert_eq!(decode_claims(&vec![0; length]), Err(BrokenLog { length, record: 14 }));
        }
        assert_eq!(read(decode_log(&[])), Ok(Vec::new()));
        assert_eq!(decode_claims(&[]), Ok(Vec::new()));
    }

    fn read(log: Result<impl Iterator<Item = Bet>, BrokenLog>) -> Result<Vec<Bet>, BrokenLog> {
        log.map(Iterator::collect)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            bets in prop::collection::vec((-EPOCH..EPOCH, any::<u64>(), any::<u32>()), 0..20),
            generation in 0..BET_BYTES,
        ) {
            let bets: Vec<Bet> =
                bets.into_iter().map(|(at, id, arrival)| Bet { at: Timestamp(at), id, arrival }).collect();
            let claims: Vec<Claim> = bets.iter().map(|bet| Claim { at: bet.at, event: bet.id }).collect();
            let mut log = vec![0; generation];
            bets.iter().for_each(|bet| encode(bet, &mut log));
            prop_assert_eq!(read(decode_bets(&log[generation..])), Ok(bets.clone()));
            prop_assert_eq!(read(decode_log(&log)), Ok(bets));
            prop_assert_eq!(decode_claims(&claims.iter().flat_map(encode_claim).collect::<Vec<_>>()), Ok(claims));
        }
    }
}
