//! Recordings: NDJSON files, plain, gzip or zstd, read line by line within bounds.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// A line that is longer than this is cut there: long enough for a decoder to see that it is too large.
pub const LONGEST_LINE: usize = 65_536 + 1;

/// Reads a recording.
pub struct Recording {
    input: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
}

impl Recording {
    /// Opens a file by its content, not by its name; `-` is the standard input.
    pub fn open(path: &Path) -> io::Result<Self> {
        let input: Box<dyn Read + Send> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        let mut input = BufReader::with_capacity(1 << 16, input);
        let begin = input.fill_buf()?;
        let input: Box<dyn BufRead + Send> = if begin.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(input)))
        } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Box::new(BufReader::with_capacity(1 << 16, zstd::Decoder::with_buffer(input)?))
        } else {
            Box::new(input)
        };
        Ok(Self { input, line: Vec::new(), number: 0 })
    }

    /// The next line that is not empty, without its end, and its number counted from 1.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
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
    fn a_line_without_end_costs_no_more_than_its_bound() {
        let mut bytes = vec![b'x'; 10_000_000];
        bytes.extend_from_slice(b"\n{}\n");
        assert_eq!(lines(&bytes), vec![(1, LONGEST_LINE + 1), (2, 2)]);
        let exact = [vec![b'x'; 65_536], b"\n{}".to_vec()].concat();
        assert_eq!(lines(&exact), vec![(1, 65_536), (2, 2)]);
    }
}
