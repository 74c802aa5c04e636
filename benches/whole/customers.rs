//! Customers' windows as stepup names and writes them in Redis, by bare pipelines.

use stepup::domain::time::Timestamp;
use stepup::wire::window::{bucket, customer_key_of, time_bytes};

/// Bytes of one bet in a window.
pub const RECORD: usize = 18;

/// The key of a window; as long as stepup's, and under its prefix the same.
pub fn key(prefix: &str, tenant: &str, customer: &str) -> String {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let hash = customer_key_of(tenant, customer);
    let mut key = format!("{prefix}:1:w:{{{:02x}}}:", bucket(hash));
    key.extend((0..22).rev().map(|digit| char::from(BASE64[(hash >> (6 * digit)) as usize & 63])));
    key
}

/// One bet as it is written.
pub fn record(at: Timestamp, number: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..6].copy_from_slice(&time_bytes(at));
    record[6..14].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    record[14..].copy_from_slice(&(number as u32).to_be_bytes());
    record
}

/// Adds one command of Redis's protocol to a buffer.
pub fn add(buffer: &mut Vec<u8>, words: &[&[u8]]) {
    head(buffer, words.len());
    for word in words {
        add_word(buffer, word);
    }
}

/// Begins a command of so many words.
pub fn head(buffer: &mut Vec<u8>, words: usize) {
    number(buffer, b'*', words);
}

pub fn add_word(buffer: &mut Vec<u8>, word: &[u8]) {
    number(buffer, b'$', word.len());
    buffer.extend_from_slice(word);
    buffer.extend_from_slice(b"\r\n");
}

fn number(buffer: &mut Vec<u8>, kind: u8, number: usize) {
    buffer.push(kind);
    buffer.extend_from_slice(number.to_string().as_bytes());
    buffer.extend_from_slice(b"\r\n");
}
