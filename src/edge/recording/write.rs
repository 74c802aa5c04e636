//! Writing: NDJSON under a temporary name that becomes the file's own when all of it is there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

/// What is done about a file that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Kept,
    Replaced,
}

/// How a recording is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// `.gz` is gzip, `.zst` is zstd, anything else is plain.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            Some(_) | None => Self::Plain,
        }
    }
}

/// Why a recording cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("the file exists already")]
    Exists,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a recording. Dropped before it is finished it leaves no file.
pub struct RecordingWriter {
    out: Packed,
    goal: Option<Goal>,
    lines: u64,
    bytes: u64,
}

/// Where a temporary file belongs.
struct Goal {
    path: PathBuf,
    existing: Existing,
}

/// A file that may take its name later, or a stream that has nothing to wait for.
enum Sink {
    Temporary(NamedTempFile),
    Stream(Box<dyn Write + Send>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Temporary(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Temporary(file) => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

/// Counts what goes through it.
struct Counted {
    out: BufWriter<Sink>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

enum Packed {
    Plain(Counted),
    Gzip(Box<GzEncoder<Counted>>),
    Zstd(Box<zstd::Encoder<'static, Counted>>),
}

impl RecordingWriter {
    /// Begins a file, packed by its name, readable by its owner only; `-` is the standard output. What is no regular
    /// file, like a pipe, is written to as it is.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, CreateError> {
        if path == Path::new("-") {
            return Ok(Self::new(Packing::Plain, Sink::Stream(Box::new(io::stdout())), None)?);
        }
        let packing = Packing::of(path);
        let found = std::fs::metadata(path).ok();
        if found.as_ref().is_some_and(|found| !found.is_file()) {
            let stream = File::options().write(true).open(path)?;
            return Ok(Self::new(packing, Sink::Stream(Box::new(stream)), None)?);
        }
        if found.is_some() && existing == Existing::Kept {
            return Err(CreateError::Exists);
        }
        // A link stays one: the file that it leads to is replaced.
        let path = if found.is_some() { path.canonicalize()? } else { path.to_owned() };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let file = tempfile::Builder::new().prefix(&format!(".{name}.part-")).tempfile_in(folder)?;
        Ok(Self::new(packing, Sink::Temporary(file), Some(Goal { path, existing }))?)
    }

    fn new(packing: Packing, sink: Sink, goal: Option<Goal>) -> io::Result<Self> {
        let counted = Counted { out: BufWriter::with_capacity(1 << 16, sink), bytes: 0 };
        let out = match packing {
            Packing::Plain => Packed::Plain(counted),
            Packing::Gzip => Packed::Gzip(Box::new(GzEncoder::new(counted, flate2::Compression::default()))),
            Packing::Zstd => {
                let mut encoder = zstd::Encoder::new(counted, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Packed::Zstd(Box::new(encoder))
            }
        };
        Ok(Self { out, goal, lines: 0, bytes: 0 })
    }

    /// Writes one line, which is given without its end and holds none.
    pub fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let out: &mut dyn Write = match &mut self.out {
            Packed::Plain(out) => out,
            Packed::Gzip(out) => out,
            Packed::Zstd(out) => out,
        };
        out.write_all(line)?;
        out.write_all(b"\n")?;
        self.lines += 1;
        self.bytes += line.len() as u64 + 1;
        Ok(())
    }

    /// The lines written so far, and their bytes before they are packed.
    pub fn written(&self) -> (u64, u64) {
        (self.lines, self.bytes)
    }

    /// Ends the packing, brings all of it to the disk, and gives the file its name. Gives back its size in bytes.
    pub fn finish(self) -> io::Result<u64> {
        let mut counted = match self.out {
            Packed::Plain(out) => out,
            Packed::Gzip(out) => out.finish()?,
            Packed::Zstd(out) => out.finish()?,
        };
        counted.flush()?;
        let bytes = counted.bytes;
        let sink = counted.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (Sink::Temporary(file), Some(goal)) = (sink, self.goal) else { return Ok(bytes) };
        file.as_file().sync_all()?;
        match goal.existing {
            Existing::Kept => file.persist_noclobber(&goal.path)?,
            Existing::Replaced => file.persist(&goal.path)?,
        };
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::read::Recording;
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn lines(path: &Path) -> Vec<String> {
        let mut recording = Recording::open(path).unwrap();
        let mut lines = Vec::new();
        while let Some((_, line)) = recording.next_line().unwrap() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        lines
    }

    #[test]
    fn a_recording_has_its_name_only_when_all_of_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        for (name, magic) in [("a.ndjson", &b"{\"a"[..]), ("a.ndjson.gz", b"\x1f\x8b"), ("a.zst", b"\x28\xb5\x2f\xfd")]
        {
            let path = folder.path().join(name);
            let mut writer = RecordingWriter::create(&path, Existing::Kept).unwrap();
            writer.line(b"{\"a\":1}").unwrap();
            writer.line(b"{}").unwrap();
            assert!(!path.exists());
            assert_eq!(writer.written(), (2, 11));
            let bytes = writer.finish().unwrap();
            let content = std::fs::read(&path).unwrap();
            assert!(content.starts_with(magic), "{name}");
            assert_eq!(content.len() as u64, bytes);
            assert_eq!(lines(&path), ["{\"a\":1}", "{}"]);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "it may name people");
        }
        let mut empty = RecordingWriter::create(&folder.path().join("empty.zst"), Existing::Kept).unwrap();
        empty.line(b"{}").unwrap();
        drop(empty);
        assert_eq!(names(folder.path()).len(), 3, "what is not finished leaves nothing");
        RecordingWriter::create(&folder.path().join("none.gz"), Existing::Kept).unwrap().finish().unwrap();
        assert_eq!(lines(&folder.path().join("none.gz")), [""; 0]);
    }

    #[test]
    fn a_file_is_replaced_only_when_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        std::fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            assert!(matches!(RecordingWriter::create(path, Existing::Kept), Err(CreateError::Exists)));
        }
        let mut writer = RecordingWriter::create(&link, Existing::Replaced).unwrap();
        writer.line(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        writer.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert!(link.is_symlink());
        // Somebody else was faster.
        let fresh = folder.path().join("fresh");
        let writer = RecordingWriter::create(&fresh, Existing::Kept).unwrap();
        std::fs::write(&fresh, "theirs").unwrap();
        assert!(writer.finish().is_err());
        assert_eq!(std::fs::read_to_string(&fresh).unwrap(), "theirs");
    }

    #[test]
    fn what_is_no_file_is_written_to_and_a_folder_must_exist() {
        let mut writer = RecordingWriter::create(Path::new("/dev/null"), Existing::Kept).unwrap();
        writer.line(b"{}").unwrap();
        assert_eq!(writer.finish().unwrap(), 3);
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("no/such"), folder.path().to_owned()] {
            assert!(matches!(RecordingWriter::create(&path, Existing::Replaced), Err(CreateError::Io(_))), "{path:?}");
        }
    }
}
