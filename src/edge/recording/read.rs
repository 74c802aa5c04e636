//! Reading: NDJSON files, plain, gzip or zstd, line by line; and tables, whose rows become lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
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
            Format::Ndjson => Lines::Text(TextLines { input, line: Vec::new(), number: 0 }),
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

struct TextLines {
    input: Input,
    line: Vec<u8>,
    number: u64,
}

impl TextLines {
    fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        loop {
            self.line.clear();
            let mut bounded = (&mut self.input).take(LONGEST_LINE as u64 + 1);
            if bounded.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if self.line.len() > LONGEST_LINE {
                self.skip_rest_of_line()?;
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some((self.number, &self.line)));
            }
        }
    }

    fn skip_rest_of_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(());
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
