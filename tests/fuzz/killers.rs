//! Inputs that have killed decoders before.

/// Deeper than any stack.
const DEEP: usize = 100_000;
/// The size that most records may have, in bytes.
const BOUND: usize = 65_536;

/// Values that are short.
const SHORT: [&str; 51] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1e999999999",
    "-1E-999999999",
    "1e-2147483649",
    "0.1e1",
    "18446744073709551616",
    "-9223372036854775809",
    "2147483648",
    "9007199254740993",
    "1.7976931348623159e308",
    "NaN",
    "Infinity",
    "01",
    "+1",
    "1.",
    ".5",
    "0x10",
    "1_000",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\u{feff}\"",
    "\"\u{202e}\"",
    "\"\\n\\r\\t\"",
    "\"\u{85}\u{2028}\"",
    "\"}{\"",
    "\"../..\"",
    "\"%00%0d%0a\"",
    "\"*\"",
    "\"a\\\\\"",
    "[]",
    "{}",
    "[null]",
    "{\"\":\"\"}",
    "{\"a\":1,\"a\":2}",
    "\"0001-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:60Z\"",
    "\"2026-03-01T12:00:00.123456789123456789+23:59\"",
    "\"2026-02-29T00:00:00Z\"",
    "\"-009999-01-01T00:00:00Z\"",
    "\"2026-03-01t12:00:00z\"",
    "\"1e400\"",
    "\"-1\"",
    "\"0x1\"",
];

fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

/// Values that stand in for one of a field.
pub(crate) fn values() -> Vec<String> {
    let digits = |count: usize| "9".repeat(count);
    let mut values: Vec<String> = SHORT.map(str::to_owned).into();
    for count in [19, 27, 28, 29, 39, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 4_096, 4_097] {
        values.push(digits(count));
        values.push(format!("\"{}\"", digits(count)));
        values.push(format!("\"{}\"", "é".repeat(count)));
        values.push(format!("0.{}", digits(count)));
        values.push(format!("1e{}", digits(count.min(30))));
    }
    for depth in [126, 127, 128, 129, 5_000, DEEP / 4] {
        values.push(nested("[", "1", "]", depth));
        values.push(nested("{\"a\":", "1", "}", depth));
    }
    values
}

/// Inputs by themselves.
pub(crate) fn alone() -> Vec<Vec<u8>> {
    let mut inputs: Vec<Vec<u8>> = values().into_iter().map(String::into_bytes).collect();
    inputs.extend([
        Vec::new(),
        vec![0],
        vec![0; BOUND],
        vec![0xff; 100],
        b"\xef\xbb\xbf{}".to_vec(),
        b"\xff\xfe{\x00}\x00".to_vec(),
        b"{}\x00".to_vec(),
        b"{} {}".to_vec(),
        b"{".to_vec(),
        b"\"".to_vec(),
        b"\"\\".to_vec(),
        b"\"\\u".to_vec(),
        b"---\n- &a [*a]\n".to_vec(),
        b"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: [*c,*c,*c]\n".to_vec(),
        b"!!binary x: ? {a: b}\n".to_vec(),
        "[".repeat(DEEP).into_bytes(),
        "{\"a\":".repeat(DEEP).into_bytes(),
        "[{\"a\":".repeat(DEEP / 2).into_bytes(),
        nested("[", "", "]", DEEP).into_bytes(),
        nested("{\"a\":", "0", "}", DEEP / 4).into_bytes(),
        format!("{{{}}}", "\"k\":1,".repeat(9_000).trim_end_matches(',')).into_bytes(),
        format!("{{{}}}", (0..8_000).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(",")).into_bytes(),
        format!("\"{}\"", "\\u0061".repeat(10_000)).into_bytes(),
    ]);
    inputs
}

/// A good object made bad in the ways that have names.
pub(crate) fn within(seed: &[u8]) -> Vec<Vec<u8>> {
    let Some(open) = seed.iter().position(|byte| *byte == b'{') else { return Vec::new() };
    let after = |more: &[u8]| [&seed[..=open], more, &seed[open + 1..]].concat();
    let mut inputs = vec![
        after(format!("\"x\":{},", nested("[", "1", "]", DEEP / 8)).as_bytes()),
        after(format!("\"x\":{},", nested("{\"a\":", "1", "}", DEEP / 8)).as_bytes()),
        after(format!("\"x\":{},", "[".repeat(DEEP / 2)).as_bytes()),
        after(b"\"x\":1e999999999,\"x\":-0,"),
        after(b"\"x\":\"\\ud800\",\"\\ud800\":1,"),
        after(b"\"x\":\"\xff\xfe\","),
        after(b"\"x\":\"\xed\xa0\x80\","),
        after(b"\"x\":\"\xc0\x80\","),
        after(b"\"x\":\"\x00\","),
        after(b"\x00"),
        [b"\xef\xbb\xbf", seed].concat(),
        [seed, b"\x00"].concat(),
        [seed, b"{}"].concat(),
        seed[..seed.len() / 2].to_vec(),
    ];
    // Just within the bound, at it, and past it.
    for size in [BOUND - 1, BOUND, BOUND + 1, 2 * BOUND, 2 * BOUND + 1] {
        let mut padded = seed.to_vec();
        padded.resize(size.max(seed.len()), b' ');
        inputs.push(padded);
    }
    inputs
}
