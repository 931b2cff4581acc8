//! Opens what is to be pumped: a file or standard input, plain or gzip by its first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// An input ready to be read.
pub struct OpenedInput {
    /// The bytes, decompressed.
    pub reader: Box<dyn BufRead + Send>,
    /// Name of the source as stamped on each record: the file's name without its folder, or `stdin`.
    pub name: String,
    /// Bytes of the file as stored, if known.
    pub bytes_total: Option<u64>,
    /// Bytes of the file as stored that were read so far.
    pub bytes_read: Arc<AtomicU64>,
}

impl std::fmt::Debug for OpenedInput {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OpenedInput").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Input {
    /// `-` is standard input, everything else a path.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(PathBuf::from(text)) }
    }

    /// Opens it and looks at its first bytes.
    ///
    /// # Errors
    /// [`InputError`] if it cannot be opened or read, or is a folder.
    pub fn open(&self) -> Result<OpenedInput, InputError> {
        match self {
            Self::Stdin => {
                let counted = Counted::new(io::stdin());
                let bytes_read = Arc::clone(&counted.bytes_read);
                let reader = decompressed(counted).map_err(|source| InputError::read("stdin", source))?;
                Ok(OpenedInput { reader, name: "stdin".to_owned(), bytes_total: None, bytes_read })
            }
            Self::File(path) => {
                let shown = path.display().to_string();
                let file =
                    File::open(path).map_err(|source| InputError::Open { path: shown.clone(), source })?;
                let metadata = file.metadata().map_err(|source| InputError::read(&shown, source))?;
                if metadata.is_dir() {
                    return Err(InputError::Folder { path: shown });
                }
                let counted = Counted::new(file);
                let bytes_read = Arc::clone(&counted.bytes_read);
                let reader = decompressed(counted).map_err(|source| InputError::read(&shown, source))?;
                let bytes_total = metadata.is_file().then_some(metadata.len());
                Ok(OpenedInput { reader, name: file_name(path), bytes_total, bytes_read })
            }
        }
    }
}

/// Why an input cannot be used.
#[derive(Debug, Error)]
pub enum InputError {
    /// The file is missing or may not be read.
    #[error("input {path:?} cannot be opened; correct the path or its permissions")]
    Open {
        /// The path given.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path is a folder.
    #[error("input {path:?} is a folder; name one file")]
    Folder {
        /// The path given.
        path: String,
    },
    /// Reading failed, or the gzip data is damaged or cut off.
    #[error("input {path:?} cannot be read to its end")]
    Read {
        /// The path given, or `stdin`.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl InputError {
    pub(super) fn read(path: &str, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn decompressed<R: Read + Send + 'static>(input: R) -> io::Result<Box<dyn BufRead + Send>> {
    let mut buffered = BufReader::with_capacity(READ_BYTES, input);
    if buffered.fill_buf()?.starts_with(&GZIP_MAGIC) {
        Ok(Box::new(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(buffered))))
    } else {
        Ok(Box::new(buffered))
    }
}

struct Counted<R> {
    input: R,
    bytes_read: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    fn new(input: R) -> Self {
        Self { input, bytes_read: Arc::default() }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Large enough that a read costs little beside its bytes.
const READ_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn gzip_is_found_by_its_first_bytes_and_not_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plain.log");
        let mut encoder = GzEncoder::new(File::create(&path).expect("created"), Compression::fast());
        encoder.write_all(b"one\ntwo\n").and_then(|()| encoder.try_finish()).expect("written");
        drop(encoder);

        let mut opened = Input::File(path).open().expect("opens");

        let mut text = String::new();
        opened.reader.read_to_string(&mut text).expect("reads");
        assert_eq!((text.as_str(), opened.name.as_str()), ("one\ntwo\n", "plain.log"));
        assert_eq!(Some(opened.bytes_read.load(Ordering::Relaxed)), opened.bytes_total);
    }

    #[test]
    fn a_missing_file_and_a_folder_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = Input::File(folder.path().join("absent.log")).open().expect_err("missing");
        assert!(missing.to_string().contains("absent.log"), "{missing}");
        let is_folder = Input::File(folder.path().to_owned()).open().expect_err("a folder");
        assert!(matches!(is_folder, InputError::Folder { .. }), "{is_folder}");
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut opened = Input::File(file.path().to_owned()).open().expect("opens");
        assert!(opened.reader.fill_buf().expect("reads").is_empty());
    }
}
