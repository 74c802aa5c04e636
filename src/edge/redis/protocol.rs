//! Redis's protocol in its second version: commands written, and answers read as they come in.

use std::sync::Arc;

use redis::{Cmd, Pipeline, Value};

/// Answers may hold answers, ours hold two levels of them.
const DEEPEST: usize = 8;

/// Commands that are sent together, in the form that their connection takes.
pub(super) enum Commands {
    /// For a connection of ours.
    Packed(Packed),
    /// For one of the library's.
    Each(Pipeline),
}

impl Commands {
    pub(super) fn add(&mut self, command: Cmd) {
        match self {
            Self::Packed(packed) => packed.add(&command),
            Self::Each(pipeline) => {
                pipeline.add_command(command);
            }
        }
    }

    /// Adds one of many commands that begin alike.
    pub(super) fn add_alike<const REST: usize>(&mut self, alike: &Alike<REST>, rest: &[u8; REST], value: &[u8]) {
        match self {
            Self::Packed(packed) => packed.add_alike(alike, rest, value),
            Self::Each(pipeline) => {
                pipeline.add_command(alike.command(rest, value));
            }
        }
    }

    /// These, with others before them.
    pub(super) fn behind(&self, first: impl IntoIterator<Item = Cmd>) -> Self {
        match self {
            Self::Packed(packed) => {
                let mut all = Packed::default();
                first.into_iter().for_each(|command| all.add(&command));
                all.append(packed);
                Self::Packed(all)
            }
            Self::Each(pipeline) => {
                let mut all = Pipeline::new();
                all.ignore_errors();
                for command in first.into_iter().chain(pipeline.cmd_iter().cloned()) {
                    all.add_command(command);
                }
                Self::Each(all)
            }
        }
    }
}

/// Commands as they are sent. Clones share the bytes.
#[derive(Clone, Default)]
pub(super) struct Packed {
    bytes: Arc<Vec<u8>>,
    commands: usize,
}

impl From<&Cmd> for Packed {
    fn from(command: &Cmd) -> Self {
        Self { bytes: Arc::new(command.get_packed_command()), commands: 1 }
    }
}

impl Packed {
    /// Room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Arc::new(Vec::with_capacity(bytes)), commands: 0 }
    }

    /// So many commands, and answers.
    pub(super) fn len(&self) -> usize {
        self.commands
    }

    pub(super) fn into_bytes(self) -> Arc<Vec<u8>> {
        self.bytes
    }

    fn add(&mut self, command: &Cmd) {
        command.write_packed_command(Arc::make_mut(&mut self.bytes));
        self.commands += 1;
    }

    fn add_alike<const REST: usize>(&mut self, alike: &Alike<REST>, rest: &[u8; REST], value: &[u8]) {
        alike.write(rest, value, Arc::make_mut(&mut self.bytes));
        self.commands += 1;
    }

    fn append(&mut self, others: &Self) {
        Arc::make_mut(&mut self.bytes).extend_from_slice(&others.bytes);
        self.commands += others.commands;
    }
}

/// Commands of one name, each on a key and with one value. Their keys begin alike and are `REST` bytes longer than that: so
/// all of them begin with the same bytes, which are written once.
pub(super) struct Alike<const REST: usize> {
    name: &'static str,
    key_begins: String,
    all_begin: Vec<u8>,
}

impl<const REST: usize> Alike<REST> {
    pub(super) fn new(name: &'static str, key_begins: String) -> Self {
        let (name_length, key_length) = (name.len(), key_begins.len() + REST);
        let all_begin = format!("*3\r\n${name_length}\r\n{name}\r\n${key_length}\r\n{key_begins}").into_bytes();
        Self { name, key_begins, all_begin }
    }

    /// Puts a command at the end of `bytes`.
    fn write(&self, rest: &[u8; REST], value: &[u8], bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.all_begin);
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(b"\r\n$");
        write_number(bytes, value.len());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }

    fn command(&self, rest: &[u8; REST], value: &[u8]) -> Cmd {
        let key = [self.key_begins.as_bytes(), rest].concat();
        let mut command = Cmd::with_capacity(3, self.name.len() + key.len() + value.len());
        command.arg(self.name).arg(key).arg(value);
        command
    }
}

fn write_number(bytes: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        write_number(bytes, number / 10);
    }
    bytes.push(b'0' + (number % 10) as u8);
}

/// These bytes are no answer, and neither begins one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is not in Redis's protocol")]
pub(super) struct Malformed;

/// The first answer in `bytes`, and its length; `None` where it has not all come.
pub(super) fn read_answer(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    let Some(length) = length(bytes, DEEPEST)? else { return Ok(None) };
    let value = value(&mut &bytes[..length])?;
    Ok(Some((value, length)))
}

/// How long the first answer is, so that it is read once, when all of it has come.
fn length(bytes: &[u8], levels: usize) -> Result<Option<usize>, Malformed> {
    let Some((line, rest)) = split_line(bytes) else { return Ok(None) };
    let (kind, text) = line.split_first().ok_or(Malformed)?;
    let line_length = bytes.len() - rest.len();
    match kind {
        b'+' | b'-' | b':' => Ok(Some(line_length)),
        b'$' => {
            let whole = line_length + usize::try_from(integer(text)?).map_or(0, |length| length + 2);
            Ok((whole <= bytes.len()).then_some(whole))
        }
        b'*' => {
            let levels = levels.checked_sub(1).ok_or(Malformed)?;
            let mut whole = line_length;
            for _ in 0..integer(text)? {
                let Some(length) = length(&bytes[whole..], levels)? else { return Ok(None) };
                whole += length;
            }
            Ok(Some(whole))
        }
        _ => Err(Malformed),
    }
}

/// Takes the first answer, which is there as a whole, off `bytes`.
fn value(bytes: &mut &[u8]) -> Result<Value, Malformed> {
    let all = *bytes;
    let (line, rest) = split_line(all).ok_or(Malformed)?;
    let (kind, text) = line.split_first().ok_or(Malformed)?;
    *bytes = rest;
    match kind {
        b':' => integer(text).map(Value::Int),
        b'$' => {
            let Ok(length) = usize::try_from(integer(text)?) else { return Ok(Value::Nil) };
            let (string, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
            *bytes = rest.strip_prefix(b"\r\n").ok_or(Malformed)?;
            Ok(Value::BulkString(string.to_vec()))
        }
        b'*' => {
            let Ok(length) = usize::try_from(integer(text)?) else { return Ok(Value::Nil) };
            (0..length).map(|_| value(bytes)).collect::<Result<_, _>>().map(Value::Array)
        }
        // The library knows the errors by their names.
        _ => redis::parse_redis_value(&all[..all.len() - rest.len()]).map_err(|_| Malformed),
    }
}

/// The first line without its end, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    let rest = bytes.get(end + 2..)?;
    Some((&bytes[..end], rest))
}

fn integer(text: &[u8]) -> Result<i64, Malformed> {
    let (digits, sign) = text.strip_prefix(b"-").map_or((text, 1), |digits| (digits, -1));
    if digits.is_empty() || digits.len() > 19 {
        return Err(Malformed);
    }
    digits
        .iter()
        .try_fold(0_i64, |number, digit| {
            let digit = digit.wrapping_sub(b'0');
            let next = number.checked_mul(10)?.checked_add(i64::from(digit) * sign)?;
            (digit < 10).then_some(next)
        })
        .ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_is_written_as_the_library_writes_it() {
        for (begins, rest, value) in
            [("stepup:w:", b"abc", ""), ("", b"xyz", &*"x".repeat(1_234)), ("ü\r\n", b"\0\r\n", "\r\n")]
        {
            let alike = Alike::new("APPEND", begins.to_owned());
            let mut bytes = b"before".to_vec();
            alike.write(rest, value.as_bytes(), &mut bytes);
            let mut command = redis::cmd("APPEND");
            command.arg([begins.as_bytes(), rest].concat()).arg(value);
            assert_eq!(bytes, [&b"before"[..], &command.get_packed_command()].concat(), "{begins:?} {value:?}");
            assert_eq!(alike.command(rest, value.as_bytes()).get_packed_command(), command.get_packed_command());
        }
    }

    #[test]
    fn an_answer_is_read_as_the_library_reads_it_once_all_of_it_has_come() {
        for text in [
            ":0\r\n",
            ":-7\r\n",
            ":9223372036854775807\r\n",
            ":-9223372036854775808\r\n",
            "+OK\r\n",
            "+PONG\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$4\r\na\r\nb\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*3\r\n$1\r\na\r\n$-1\r\n*2\r\n:1\r\n+x\r\n",
            "-NOSCRIPT No matching script.\r\n",
            "-READONLY You can't write against a read only replica.\r\n",
            "-BADLENGTH 7\r\n",
        ] {
            let value = redis::parse_redis_value(text.as_bytes()).unwrap();
            let behind = [text.as_bytes(), b":1\r\n"].concat();
            assert_eq!(read_answer(&behind), Ok(Some((value, text.len()))), "{text:?}");
            for end in 0..text.len() {
                assert_eq!(read_answer(&text.as_bytes()[..end]), Ok(None), "the first {end} bytes of {text:?}");
            }
        }
    }

    #[test]
    fn what_no_server_sends_is_malformed() {
        let deep = "*1\r\n".repeat(DEEPEST + 1);
        for text in [
            "\r\n",
            "x\r\n",
            ":\r\n",
            ":1x\r\n",
            ":9223372036854775808\r\n",
            "$x\r\n",
            "$1\r\nabc",
            "*1\r\n!\r\n",
            &deep,
        ] {
            assert_eq!(read_answer(text.as_bytes()), Err(Malformed), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much_for_it(text in "([-+:$*]-?[0-9]{0,3}(\r\n)?|[a-z\r\n]){0,12}") {
            if let Ok(Some((_, length))) = read_answer(text.as_bytes()) {
                prop_assert!((1..=text.len()).contains(&length));
            }
        }
    }
}
