//! JSON without escapes, read in one pass over its text, nothing copied.

/// A value as far as the rules of a field look at it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Absent,
    Null,
    /// A string without escapes.
    Text(&'a str),
    Number(&'a str),
    Other,
}

impl<'a> Value<'a> {
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Null | Self::Number(_) | Self::Other => None,
        }
    }

    /// The text where there is one; `None` where something else stands in its place.
    pub(super) fn optional_text(self) -> Option<Option<&'a str>> {
        match self {
            Self::Absent | Self::Null => Some(None),
            Self::Text(text) => Some(Some(text)),
            Self::Number(_) | Self::Other => None,
        }
    }
}

/// Objects and arrays within each other are followed so deep.
pub(super) const NESTING: u32 = 16;

/// Reads JSON that holds no escapes, byte by byte.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, sign: u8) -> Option<()> {
        self.space();
        (self.peek()? == sign).then(|| self.at += 1)
    }

    /// The beginning of an object or array, and whether anything stands in it.
    pub(super) fn open(&mut self, sign: u8) -> Option<bool> {
        self.take(sign)?;
        self.space();
        // The closing sign comes two places behind the opening one in ASCII.
        let empty = self.peek()? == sign + 2;
        self.at += usize::from(empty);
        Some(!empty)
    }

    /// Whether something follows the member that was read, or the object or array ends with `end`.
    pub(super) fn more(&mut self, end: u8) -> Option<bool> {
        self.space();
        let sign = self.peek()?;
        self.at += 1;
        match sign {
            b',' => Some(true),
            sign => (sign == end).then_some(false),
        }
    }

    /// Reads the next member where it has this name, with its quotes and its colon.
    pub(super) fn next_member<const N: usize>(
        &mut self,
        members: &mut bool,
        name: &[u8; N],
        value: &mut Value<'a>,
    ) -> Option<()> {
        if !*members {
            return Some(());
        }
        self.space();
        if self.text.as_bytes()[self.at..].first_chunk::<N>() == Some(name) {
            self.at += N;
            *value = self.value(NESTING)?;
            *members = self.more(b'}')?;
        }
        Some(())
    }

    pub(super) fn name(&mut self) -> Option<&'a str> {
        self.space();
        let name = self.string()?;
        self.take(b':')?;
        Some(name)
    }

    fn string(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let begin = self.at + 1;
        let length = plain_length(&self.text.as_bytes()[begin..])?;
        let end = begin + length;
        if self.text.as_bytes()[end] != b'"' {
            return None;
        }
        self.at = end + 1;
        self.text.get(begin..end)
    }

    pub(super) fn value(&mut self, nesting: u32) -> Option<Value<'a>> {
        self.space();
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            b'n' => self.word("null").map(|()| Value::Null),
            b't' => self.word("true").map(|()| Value::Other),
            b'f' => self.word("false").map(|()| Value::Other),
            b'{' => {
                let nesting = nesting.checked_sub(1)?;
                let mut members = self.open(b'{')?;
                while members {
                    self.name()?;
                    self.value(nesting)?;
                    members = self.more(b'}')?;
                }
                Some(Value::Other)
            }
            b'[' => {
                let nesting = nesting.checked_sub(1)?;
                let mut items = self.open(b'[')?;
                while items {
                    self.value(nesting)?;
                    items = self.more(b']')?;
                }
                Some(Value::Other)
            }
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        found.then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<&'a str> {
        let begin = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.text.get(begin..self.at)
    }

    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }
}

/// How many bytes stand before the first at which the plain part of a string ends; eight are looked at together.
fn plain_length(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (words, rest) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        // A byte that is 0 after the exclusive or, or less than 0x20, borrows; the lowest such byte is found exactly.
        let ends = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let ends = ends & HIGH;
        if ends != 0 {
            return Some(place * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    let length = rest.iter().position(|byte| ENDS[usize::from(*byte)])?;
    Some(text.len() - rest.len() + length)
}

/// The bytes at which the plain part of a string ends: its quote, an escape, or what may not stand there.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        ends[byte] = true;
        byte += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};
