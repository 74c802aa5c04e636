//! Changes at random, some to bytes and some to what they mean.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::killers;

/// No input grows beyond this by being changed, in bytes.
const LARGEST: usize = 200_000;

const PIECES: [&[u8]; 34] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"-",
    b"e",
    b"E+",
    b".",
    b"0",
    b"9",
    b"\\u0000",
    b"\\ud800",
    b"\x00",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"'",
    b"=",
    b"|",
    b"/",
    b"&a ",
    b"*a",
];

pub(crate) struct Mutator<'a> {
    random: ChaCha8Rng,
    seeds: &'a [Vec<u8>],
    values: Vec<String>,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(random: ChaCha8Rng, seeds: &'a [Vec<u8>]) -> Self {
        // The longest ones are given as they are; here they would only cost time.
        let values = killers::values().into_iter().filter(|value| value.len() < 5_000).collect();
        Self { random, seeds, values }
    }

    /// A seed that was changed a few times.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..self.random.random_range(1..=4) {
            input = if self.random.random_bool(0.5) { self.change_meaning(&input) } else { self.change_bytes(input) };
            input.truncate(LARGEST);
        }
        input
    }

    fn seed(&mut self) -> &'a [u8] {
        let place = self.random.random_range(0..self.seeds.len());
        &self.seeds[place]
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.random.random_range(0..end) }
    }

    fn change_bytes(&mut self, mut input: Vec<u8>) -> Vec<u8> {
        let place = self.below(input.len());
        let end = (place + self.below(40)).min(input.len());
        match self.random.random_range(0..8) {
            0 if !input.is_empty() => input[place] ^= 1 << self.random.random_range(0..8),
            1 if !input.is_empty() => input[place] = self.random.random(),
            2 => drop(input.drain(place..end)),
            3 => {
                let part = input[place..end].to_vec();
                let times = self.random.random_range(1..50);
                input.splice(place..place, part.repeat(times));
            }
            4 => input.truncate(place),
            5 => {
                let other = self.seed();
                let cut = self.below(other.len());
                input.truncate(place);
                input.extend_from_slice(&other[cut..]);
            }
            6 => {
                let value = self.value();
                input.splice(place..end, value.into_bytes());
            }
            _ => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(place..place, piece.iter().copied());
            }
        }
        input
    }

    fn value(&mut self) -> String {
        let place = self.below(self.values.len());
        self.values[place].clone()
    }

    /// Changes a member of the outermost object, or of one within it: another value, its value under another name, the member
    /// twice, perhaps with an escape in its name, or no member.
    fn change_meaning(&mut self, input: &[u8]) -> Vec<u8> {
        let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(input) else {
            return self.change_bytes(input.to_vec());
        };
        let mut members: Vec<(String, String)> =
            object.iter().map(|(name, value)| (Value::from(name.as_str()).to_string(), value.to_string())).collect();
        if members.is_empty() {
            return self.change_bytes(input.to_vec());
        }
        let place = self.below(members.len());
        let (name, value) = members[place].clone();
        match self.random.random_range(0..7) {
            0 => members[place].1 = self.value(),
            1 => members[place].1 = String::from_utf8_lossy(&self.change_meaning(value.as_bytes())).into_owned(),
            2 => drop(members.remove(place)),
            3 => members.push((escaped(&name), self.value())),
            4 => members.insert(0, (name, value)),
            5 => {
                let other = self.below(members.len());
                members[place].1 = members[other].1.clone();
            }
            _ => members.push((self.value(), value)),
        }
        let joined: Vec<String> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        format!("{{{}}}", joined.join(",")).into_bytes()
    }
}

/// The same name, its first character written as an escape.
fn escaped(name: &str) -> String {
    let mut inside = name.trim_matches('"').chars();
    match inside.next() {
        Some(first) if first.is_ascii_alphanumeric() => format!("\"\\u{:04x}{}\"", u32::from(first), inside.as_str()),
        Some(_) | None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_and_they_differ() {
        let seeds = [br#"{"a":1,"b":{"c":"d"}}"#.to_vec()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(ChaCha8Rng::seed_from_u64(seed), &seeds);
            (0..200).map(|_| mutator.next()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let different: std::collections::HashSet<_> = inputs(3).into_iter().collect();
        assert!(different.len() > 150, "{}", different.len());
    }

    #[test]
    fn a_name_with_an_escape_is_the_same_name() {
        assert_eq!(escaped("\"id\""), "\"\\u0069d\"");
        assert_eq!(serde_json::from_str::<String>(&escaped("\"id\"")).unwrap(), "id");
    }
}
