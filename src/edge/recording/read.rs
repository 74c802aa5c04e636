//! Reading: NDJSON files, plain, gzip or zstd, line by line; and tables, whose rows become lines.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::csv::Rows;
use crate::wire::columns::Columns;

/// A line that is longer than this is cut there: long enough for a decoder to see that it is too large.
pub const LONGEST_LINE: usize = 65_536 + 1;

/// What stands in a recording, whatever its packing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One event a line.
    Ndjson,
    /// A table with its columns' names in the first row; cells are parted by commas, semicolons or tabs.
    Csv(Columns),
}

/// Reads a recording.
pub struct Recording {
    lines: Lines,
    consumed: Arc<AtomicU64>,
    total: Option<u64>,
}

enum Lines {
    Text(TextLines),
    Table(Box<Rows>),
}

/// What a recording is read from, unpacked.
pub(super) type Input = Box<dyn BufRead + Send>;

impl Recording {
    /// Opens a file of lines by its content, not by its name; `-` is the standard input.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_as(path, &Format::Ndjson)
    }

    /// Opens a file of this format, packed or not; `-` is the standard input. A table that lacks a column is an error.
    pub fn open_as(path: &Path, format: &Format) -> io::Result<Self> {
        let consumed = Arc::new(AtomicU64::new(0));
        let (input, total): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        };
        let input = unpacked(Counted { input, consumed: Arc::clone(&consumed) })?;
        let lines = match format {
            Format::Ndjson => Lines::Text(TextLines::new(input)),
            Format::Csv(columns) => Lines::Table(Box::new(Rows::open(input, columns)?)),
        };
        Ok(Self { lines, consumed, total })
    }

    /// The next line that is not empty, without its end, and its number counted from 1. A row of a table comes as the
    /// event that it stands for, with the number of the line on which it begins.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        match &mut self.lines {
            Lines::Text(lines) => lines.next_line(),
            Lines::Table(rows) => rows.next_line(),
        }
    }

    /// The next lines that are not empty, with their numbers: at least one and at most `most`, as many as are at hand. None
    /// are left where there is none.
    pub fn next_lines(&mut self, most: usize) -> io::Result<LinesAtHand<'_>> {
        match &mut self.lines {
            Lines::Text(lines) => lines.next_lines(most),
            Lines::Table(rows) => Ok(rows.next_line()?.map_or(LinesAtHand::default(), LinesAtHand::one)),
        }
    }

    /// How many bytes of the file were read, packed as they are, and how many it has, where that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.consumed.load(Ordering::Relaxed), self.total)
    }
}

fn unpacked(input: impl Read + Send + 'static) -> io::Result<Input> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let begin = input.fill_buf()?;
    Ok(if begin.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(input)))
    } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(BufReader::with_capacity(1 << 16, zstd::Decoder::with_buffer(input)?))
    } else {
        Box::new(input)
    })
}

/// Counts what is read through it.
struct Counted<R> {
    input: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.consumed.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Some lines of a recording, in order, without their ends.
#[derive(Default)]
pub struct LinesAtHand<'a> {
    bytes: &'a [u8],
    /// Each line's number and place.
    places: Cow<'a, [(u64, Range<usize>)]>,
}

impl<'a> LinesAtHand<'a> {
    fn one((number, line): (u64, &'a [u8])) -> Self {
        Self { bytes: line, places: Cow::Owned(vec![(number, 0..line.len())]) }
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The lines with their numbers, counted from 1.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        self.places.iter().filter_map(|(number, place)| Some((*number, self.bytes.get(place.clone())?)))
    }
}

/// So much is read at once: room for the longest line, and for what comes after it.
const BUFFER: usize = 1 << 17;

/// Finds lines where they were read, without moving them.
struct TextLines {
    input: Input,
    buffer: Box<[u8]>,
    /// What of the buffer was read and not given yet.
    left: Range<usize>,
    number: u64,
    /// Whether what is left begins within a line that was cut.
    cut: bool,
    places: Vec<(u64, Range<usize>)>,
}

impl TextLines {
    fn new(input: Input) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { input, buffer, left: 0..0, number: 0, cut: false, places: Vec::new() }
    }

    fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let Some(line) = self.next_filled()? else { return Ok(None) };
        Ok(self.buffer.get(line).map(|line| (self.number, line)))
    }

    fn next_lines(&mut self, most: usize) -> io::Result<LinesAtHand<'_>> {
        self.places.clear();
        if let Some(first) = self.next_filled()? {
            self.places.push((self.number, first));
            while self.places.len() < most
                && let Some(next) = self.at_hand()
            {
                if self.holds_text(&next) {
                    self.places.push((self.number, next));
                }
            }
        }
        Ok(LinesAtHand { bytes: &self.buffer, places: Cow::Borrowed(&self.places) })
    }

    /// The place of the next line that is not empty.
    fn next_filled(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            let line = match self.at_hand() {
                Some(line) => line,
                None if self.read_more()? => continue,
                None => match self.last() {
                    Some(line) => line,
                    None => return Ok(None),
                },
            };
            if self.holds_text(&line) {
                return Ok(Some(line));
            }
        }
    }

    fn holds_text(&self, line: &Range<usize>) -> bool {
        self.buffer.get(line.clone()).is_some_and(|line| !line.trim_ascii().is_empty())
    }

    /// The next line, where all of it was read, or more than is given of any.
    fn at_hand(&mut self) -> Option<Range<usize>> {
        if self.cut {
            let rest = self.end_of_line(self.left.clone());
            self.cut = rest.is_none();
            self.left.start = rest.map_or(self.left.end, |end| end + 1);
        }
        let start = self.left.start;
        // With its end a line may be one byte longer than what is given of it.
        let within = start..self.left.end.min(start + LONGEST_LINE + 1);
        let (end, next) = match self.end_of_line(within.clone()) {
            Some(end) => (end, end + 1),
            None if within.len() > LONGEST_LINE => {
                self.cut = true;
                (within.end, within.end)
            }
            None => return None,
        };
        self.left.start = next;
        self.number += 1;
        Some(start..end)
    }

    /// What stands behind the last line feed of all.
    fn last(&mut self) -> Option<Range<usize>> {
        let line = self.left.clone();
        self.left.start = line.end;
        self.number += 1;
        (!line.is_empty()).then_some(line)
    }

    /// Where in this part of the buffer the first line feed stands.
    fn end_of_line(&self, within: Range<usize>) -> Option<usize> {
        let start = within.start;
        let mut text = self.buffer.get(within)?;
        // It looks at many bytes at once, which `position` does not.
        let length = text.skip_until(b'\n').ok()?.checked_sub(1)?;
        (self.buffer.get(start + length) == Some(&b'\n')).then_some(start + length)
    }

    /// Reads what comes next behind what is left; `false` at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.left.clone(), 0);
        self.left = 0..self.left.len();
        loop {
            match self.input.read(&mut self.buffer[self.left.end..]) {
                Ok(length) => {
                    self.left.end += length;
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(u64, usize)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut recording = Recording::open(file.path()).unwrap();
        let mut lines = Vec::new();
        while let Some((number, line)) = recording.next_line().unwrap() {
            lines.push((number, line.len()));
        }
        lines
    }

    #[test]
    fn lines_are_read_whatever_the_packing_and_the_end() {
        let plain = b"{\"a\":1}\n\n  \n{}\n{\"b\":22}";
        let want = vec![(1, 7), (4, 2), (5, 8)];
        assert_eq!(lines(plain), want);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(plain).unwrap();
        assert_eq!(lines(&packed.finish().unwrap()), want);
        assert_eq!(lines(&zstd::encode_all(&plain[..], 1).unwrap()), want);
        assert_eq!(lines(b""), vec![]);
    }

    /// Gives a few bytes at a time, and now and then asks to be read again.
    struct Dripping {
        rest: std::io::Cursor<Vec<u8>>,
        drip: usize,
        reads: usize,
    }

    impl Read for Dripping {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.reads += 1;
            if self.reads.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = buffer.len().min(self.drip);
            self.rest.read(&mut buffer[..most])
        }
    }

    #[test]
    fn lines_are_the_same_however_they_come_and_however_many_are_asked_for() {
        let long = |length: usize| vec![b'x'; length];
        let mut text = b"first\n \r\n\n{}\r\n".to_vec();
        for length in [1, 65_535, 65_536, 65_537, 65_538, 65_539, 200_000, 2] {
            text.extend_from_slice(&long(length));
            text.push(b'\n');
        }
        text.extend_from_slice(b"last");
        let split = text.split(|byte| *byte == b'\n');
        let cut = |line: &[u8]| line[..line.len().min(LONGEST_LINE + 1)].to_vec();
        let numbered = (1..).zip(split.map(cut));
        let want: Vec<(u64, Vec<u8>)> = numbered.filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
        assert_eq!(want.len(), 11);
        for drip in [311, 4_096, 1 << 20] {
            let lines = || {
                let rest = std::io::Cursor::new(text.clone());
                TextLines::new(Box::new(BufReader::with_capacity(64, Dripping { rest, drip, reads: 0 })))
            };
            let (mut one_by_one, mut found) = (lines(), Vec::new());
            while let Some((number, line)) = one_by_one.next_line().unwrap() {
                found.push((number, line.to_vec()));
            }
            assert!(found == want, "by {drip} bytes");
            for most in [1, 2, 5, 100] {
                let (mut together, mut found) = (lines(), Vec::new());
                loop {
                    let lines = together.next_lines(most).unwrap();
                    if lines.is_empty() {
                        break;
                    }
                    let before = found.len();
                    found.extend(lines.iter().map(|(number, line)| (number, line.to_vec())));
                    assert!((1..=most).contains(&(found.len() - before)));
                }
                assert!(found == want, "by {drip} bytes, {most} lines");
            }
        }
    }

    #[test]
    fn progress_is_told_in_bytes_of_the_file() {
        let plain = b"{\"a\":1}\n".repeat(50_000);
        let packed = zstd::encode_all(&plain[..], 1).unwrap();
        for bytes in [plain, packed] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let mut recording = Recording::open(file.path()).unwrap();
            let (first, total) = recording.progress();
            assert!(first <= 1 << 16, "{first}");
            assert_eq!(total, Some(bytes.len() as u64));
            let mut last = first;
            while recording.next_line().unwrap().is_some() {
                let (now, _) = recording.progress();
                assert!(now >= last);
                last = now;
            }
            assert_eq!(last, bytes.len() as u64);
        }
        assert_eq!(Recording::open(Path::new("/dev/null")).unwrap().progress(), (0, None));
    }

    #[test]
    fn a_line_without_end_costs_no_more_than_its_bound() {
        let mut bytes = vec![b'x'; 10_000_000];
        bytes.extend_from_slice(b"\n{}\n");
        assert_eq!(lines(&bytes), vec![(1, LONGEST_LINE + 1), (2, 2)]);
        let exact = [vec![b'x'; 65_536], b"\n{}".to_vec()].concat();
        assert_eq!(lines(&exact), vec![(1, 65_536), (2, 2)]);
    }
}
