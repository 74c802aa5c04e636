//! Tables: CSV whose rows become events.

use std::io::{self, BufRead as _, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator, Trim};

use super::read::Input;
use crate::wire::columns::{Columns, Located, NoColumn};

/// The largest row, in bytes: a quote that is left open must not bring a whole file into memory.
const LARGEST_ROW: usize = 1 << 20;
const BUFFER: usize = 1 << 16;
/// What may part cells; the first one by which a file has all its columns is taken.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// The rows of a table.
pub(super) struct Rows {
    reader: Reader<Bounded>,
    located: Located,
    left: Arc<AtomicUsize>,
    row: ByteRecord,
    line: Vec<u8>,
}

impl Rows {
    /// Reads the names of the columns.
    pub(super) fn open(mut input: Input, columns: &Columns) -> io::Result<Self> {
        let mut header = Vec::new();
        (&mut input).take(LARGEST_ROW as u64).read_until(b'\n', &mut header)?;
        let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
        let (separator, located) = locate(header, columns).map_err(invalid)?;
        let left = Arc::new(AtomicUsize::new(0));
        let bounded = Bounded { input, left: Arc::clone(&left) };
        let reader = builder(separator).buffer_capacity(BUFFER).from_reader(bounded);
        Ok(Self { reader, located, left, row: ByteRecord::new(), line: Vec::new() })
    }

    /// The next row as an event, and the number of the line on which it begins, or on which the empty ones before it do.
    pub(super) fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        loop {
            self.left.store(LARGEST_ROW, Ordering::Relaxed);
            let line = self.reader.position().line() + 1;
            if !self.reader.read_byte_record(&mut self.row).map_err(|error| unreadable(error, line))? {
                return Ok(None);
            }
            if self.row.len() > 1 || !self.row.as_slice().is_empty() {
                break;
            }
        }
        self.line.clear();
        self.located.write(&mut self.line, |column| self.row.get(column));
        // The first line of the file, with the names, was not read by this reader.
        let number = self.row.position().map_or(0, |position| position.line() + 1);
        Ok(Some((number, &self.line)))
    }
}

fn builder(separator: u8) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(separator).has_headers(false).flexible(true).trim(Trim::All);
    // Lines are counted by their line feeds; a carriage return before one goes as white space does.
    builder.terminator(Terminator::Any(b'\n'));
    builder
}

fn locate(header: &[u8], columns: &Columns) -> Result<(u8, Located), NoColumn> {
    let mut missing = None;
    for separator in SEPARATORS {
        let row = builder(separator).from_reader(header).into_byte_records().next();
        let names = row.and_then(Result::ok).unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let count = names.len();
        match columns.locate(&names) {
            Ok(located) => return Ok((separator, located)),
            // What has the most columns is what the file was most likely meant to be.
            Err(error) if missing.as_ref().is_none_or(|(most, _)| count > *most) => missing = Some((count, error)),
            Err(_) => {}
        }
    }
    Err(missing.map_or_else(|| NoColumn { field: "id", column: String::new(), has: Vec::new() }, |(_, error)| error))
}

fn invalid(error: NoColumn) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn unreadable(error: csv::Error, line: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the row at line {line}: {error}"))
}

/// Gives no more than is left of a row's bound.
struct Bounded {
    input: Input,
    left: Arc<AtomicUsize>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            let error = format!("it is larger than {LARGEST_ROW} bytes; is a quote left open?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let most = buffer.len().min(left);
        let length = self.input.read(&mut buffer[..most])?;
        self.left.store(left - length, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::read::{Format, Recording};
    use super::*;

    const COLUMNS: &str = "id=i,tenant_id='acme',customer_id=who,type='login',occurred_at=unix:t";

    fn open(bytes: &[u8]) -> io::Result<Recording> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Recording::open_as(file.path(), &Format::Csv(COLUMNS.parse().unwrap()))
    }

    fn lines(bytes: &[u8]) -> io::Result<Vec<(u64, String)>> {
        let mut recording = open(bytes)?;
        let mut lines = Vec::new();
        while let Some((number, line)) = recording.next_line()? {
            lines.push((number, String::from_utf8_lossy(line).into_owned()));
        }
        Ok(lines)
    }

    fn event(id: &str, who: &str) -> String {
        format!(
            r#"{{"id":"{id}","tenant_id":"acme","customer_id":"{who}","type":"login","occurred_at":"1970-01-01T00:00:07.000Z"}}"#
        )
    }

    #[test]
    fn rows_become_events_whatever_parts_and_packs_them() {
        let want = vec![(2, event("1", "ann")), (4, event("2", "a\\nb")), (6, event("3", "é, \\\"x\\\""))];
        for separator in [",", ";", "\t"] {
            let table = "i|t| who \r\n1|7|ann\r\n\r\n2|7|\"a\nb\"\n3|7| \"é, \"\"x\"\"\"";
            let table = table.replace('|', separator).replace("| \"", "|\"").replace(" \"é", "\"é");
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(table.as_bytes()).unwrap();
            let marked = [b"\xef\xbb\xbf", table.as_bytes()].concat();
            for bytes in [marked, packed.finish().unwrap(), zstd::encode_all(table.as_bytes(), 1).unwrap()] {
                assert_eq!(lines(&bytes).unwrap(), want, "{separator:?}");
            }
        }
        assert_eq!(lines(b"i,t,who\n").unwrap(), []);
    }

    #[test]
    fn a_missing_column_is_named_with_those_there_are() {
        for (table, has) in [("i;when;who\n", r#""i", "when", "who""#), ("i,when\n", r#""i", "when""#), ("", "")] {
            let error = open(table.as_bytes()).err().unwrap().to_string();
            let missing = if has.is_empty() { r#""i" for id"# } else { r#""t" for occurred_at"# };
            let missing = if table == "i,when\n" { r#""who" for customer_id"# } else { missing };
            assert_eq!(error, format!("there is no column {missing}; the file has {has}"));
        }
    }

    #[test]
    fn rows_that_are_short_or_no_text_are_left_to_the_decoder() {
        let found = lines(b"i,t,who\n1,7\n2,7,\xff\n3,7,ann,more\n").unwrap();
        let short = r#"{"id":"1","tenant_id":"acme","type":"login","occurred_at":"1970-01-01T00:00:07.000Z"}"#;
        assert_eq!(found, [(2, short.to_owned()), (3, "\u{fffd}".to_owned()), (4, event("3", "ann"))]);
    }

    #[test]
    fn an_open_quote_does_not_bring_the_file_into_memory() {
        let mut table = b"i,t,who\n1,7,ann\n2,7,\"".to_vec();
        table.resize(20_000_000, b'x');
        let mut recording = open(&table).unwrap();
        assert_eq!(recording.next_line().unwrap().map(|(number, _)| number), Some(2));
        let error = recording.next_line().unwrap_err().to_string();
        assert_eq!(error, "the row at line 3: it is larger than 1048576 bytes; is a quote left open?");
        assert!(recording.progress().0 < 3_000_000);
        let fits = [b"i,t,who\n1,7,\"".to_vec(), vec![b'x'; 900_000], b"\"\n".to_vec()].concat();
        assert_eq!(lines(&fits).unwrap().len(), 1);
    }
}
