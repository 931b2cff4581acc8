//! The file that lets a Kinesis outlive its process: every request that changes state, with its time, in order.
//!
//! ```text
//!  frame    length u32 │ xxh3 of the payload u64 │ payload        little endian
//!  first    format and settings, as text
//!  others   time in ms u64 │ protocol u8 │ name length u8 │ name │ body of the request
//! ```
//!
//! A request is written before it is carried out, and both happen under one lock, so the order of the file is the order
//! of execution. The model is a pure function of requests and times, and reads change nothing that a later request can
//! tell: replaying the file yields the same streams, shards, sequence numbers and records. A request that was refused is
//! refused again.
//!
//! A kill can leave half a frame at the end. It was not acknowledged and is cut off at the next start. Nothing is
//! synced: power loss is not covered. The file grows with what is put; deleting it starts empty.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use kinesis_model::EpochMillis;
use xxhash_rust::xxh3::xxh3_64;

use super::protocol::Protocol;
use crate::LocalError;

/// The open log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    bytes: u64,
    /// A frame that could neither be written nor taken back; what would follow it would be lost.
    broken: bool,
    frame: Vec<u8>,
}

/// One request of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) now: EpochMillis,
    pub(super) protocol: Protocol,
    pub(super) operation: &'a str,
    pub(super) body: &'a [u8],
}

impl Log {
    /// Opens the log at `path` and hands what it holds to `replay`, oldest first.
    ///
    /// `settings` is what the meaning of the requests depends on; a log that was begun with another is refused.
    pub(super) fn open(
        path: &Path,
        settings: &str,
        mut replay: impl FnMut(Entry<'_>) -> Result<(), String>,
    ) -> Result<Self, LocalError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(LocalError::at("make the folder", folder))?;
        }
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(LocalError::at("open", path))?;
        LocalError::unless_locked(&file, path)?;
        let bytes = Reader::new(&file, path)?.replay(settings, &mut replay)?;
        file.set_len(bytes).map_err(LocalError::at("cut the torn end of", path))?;
        file.seek(SeekFrom::Start(bytes)).map_err(LocalError::at("read", path))?;
        let mut log = Self { file, bytes, broken: false, frame: Vec::new() };
        if bytes == 0 {
            log.write_frame(|frame| frame.extend_from_slice(heading(settings).as_bytes()))
                .map_err(LocalError::at("write", path))?;
        }
        Ok(log)
    }

    /// Writes one request. If this fails, nothing of it is in the log.
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.write_frame(|frame| entry.encode(frame))
    }

    fn write_frame(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to the log failed; restart to go on"));
        }
        self.frame.clear();
        self.frame.resize(HEAD_BYTES, 0);
        fill(&mut self.frame);
        let payload = &self.frame[HEAD_BYTES..];
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_le_bytes();
        let digest = xxh3_64(payload).to_le_bytes();
        self.frame[..4].copy_from_slice(&length);
        self.frame[4..HEAD_BYTES].copy_from_slice(&digest);
        let written = self.file.write_all(&self.frame);
        match &written {
            Ok(()) => self.bytes += self.frame.len() as u64,
            Err(_) => self.broken = self.take_back().is_err(),
        }
        if self.frame.capacity() > FRAME_BYTES_KEPT {
            self.frame = Vec::new();
        }
        written
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes)).map(drop)
    }
}

impl<'a> Entry<'a> {
    fn encode(&self, frame: &mut Vec<u8>) {
        frame.extend_from_slice(&self.now.0.to_le_bytes());
        frame.push(match self.protocol {
            Protocol::Json => JSON,
            Protocol::Cbor => CBOR,
        });
        frame.push(u8::try_from(self.operation.len()).expect("operations have short names"));
        frame.extend_from_slice(self.operation.as_bytes());
        frame.extend_from_slice(self.body);
    }

    fn decode(payload: &'a [u8]) -> Option<Self> {
        let (now, rest) = payload.split_first_chunk()?;
        let (&[protocol, name_bytes], rest) = rest.split_first_chunk()?;
        let protocol = match protocol {
            JSON => Protocol::Json,
            CBOR => Protocol::Cbor,
            _ => return None,
        };
        let (operation, body) = rest.split_at_checked(usize::from(name_bytes))?;
        let operation = std::str::from_utf8(operation).ok()?;
        Some(Self { now: EpochMillis(u64::from_le_bytes(*now)), protocol, operation, body })
    }
}

struct Reader<'a> {
    path: &'a Path,
    input: BufReader<&'a File>,
    bytes: u64,
    offset: u64,
}

impl<'a> Reader<'a> {
    fn new(file: &'a File, path: &'a Path) -> Result<Self, LocalError> {
        let bytes = file.metadata().map_err(LocalError::at("read", path))?.len();
        Ok(Self { path, input: BufReader::with_capacity(1 << 20, file), bytes, offset: 0 })
    }

    /// Hands every whole entry to `replay`; returns where the whole frames end.
    fn replay(
        mut self,
        settings: &str,
        replay: &mut impl FnMut(Entry<'_>) -> Result<(), String>,
    ) -> Result<u64, LocalError> {
        let mut payload = Vec::new();
        let mut is_first = true;
        loop {
            let start = self.offset;
            if !self.next(&mut payload)? {
                if start < self.bytes {
                    let cut = self.bytes - start;
                    tracing::warn!(path = %self.path.display(), cut, "cut the torn end of the Kinesis log");
                }
                return Ok(start);
            }
            let replayed = if is_first {
                check_heading(&payload, settings)
            } else {
                Entry::decode(&payload)
                    .ok_or_else(|| "the entry has no meaning".to_owned())
                    .and_then(&mut *replay)
            };
            replayed.map_err(|reason| self.refuse(start, reason))?;
            is_first = false;
        }
    }

    /// Reads one frame into `payload`; `false` if only a torn one, or nothing, is left.
    fn next(&mut self, payload: &mut Vec<u8>) -> Result<bool, LocalError> {
        let left = self.bytes - self.offset;
        if left < HEAD_BYTES as u64 {
            return Ok(false);
        }
        let mut head = [0; HEAD_BYTES];
        self.read_exact(&mut head)?;
        let (length, digest) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
        let digest = u64::from_le_bytes(digest.try_into().expect("eight bytes"));
        let end = HEAD_BYTES as u64 + u64::from(length);
        if left < end {
            return Ok(false);
        }
        payload.resize(usize::try_from(length).expect("32 bits fit"), 0);
        self.read_exact(payload)?;
        if xxh3_64(payload) != digest {
            // A torn write can only be the last one.
            return if left == end {
                Ok(false)
            } else {
                Err(self.refuse(self.offset, "its checksum is wrong".to_owned()))
            };
        }
        self.offset += end;
        Ok(true)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), LocalError> {
        self.input.read_exact(buffer).map_err(LocalError::at("read", self.path))
    }

    fn refuse(&self, offset: u64, reason: String) -> LocalError {
        LocalError::KinesisLog { path: PathBuf::from(self.path), offset, reason }
    }
}

fn heading(settings: &str) -> String {
    format!("{FORMAT}\n{settings}")
}

fn check_heading(payload: &[u8], settings: &str) -> Result<(), String> {
    let text = String::from_utf8_lossy(payload);
    match text.split_once('\n') {
        Some((FORMAT, known)) if known == settings => Ok(()),
        Some((FORMAT, known)) => Err(format!("it was begun with {known}, and is opened with {settings}")),
        Some(_) | None => Err("it is not a Kinesis log of this version".to_owned()),
    }
}

const FORMAT: &str = "leasehold kinesis log 1";
const HEAD_BYTES: usize = 12;
const JSON: u8 = 1;
const CBOR: u8 = 2;
/// A buffer that grew beyond a usual PutRecords is given back.
const FRAME_BYTES_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = "limits=Off";

    fn entry(body: &[u8]) -> Entry<'_> {
        Entry { now: EpochMillis(7), protocol: Protocol::Cbor, operation: "PutRecords", body }
    }

    fn open(path: &Path) -> Result<(Log, Vec<Vec<u8>>), LocalError> {
        let mut bodies = Vec::new();
        let log = Log::open(path, SETTINGS, |found| {
            assert_eq!(found, entry(found.body));
            bodies.push(found.body.to_vec());
            Ok(())
        })?;
        Ok((log, bodies))
    }

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state").join("kinesis.log");
        (folder, path)
    }

    #[test]
    fn entries_come_back_in_order_over_several_starts() {
        let (_folder, path) = path();
        for start in 0..3_u8 {
            let (mut log, bodies) = open(&path).expect("opens");
            assert_eq!(bodies, (0..start).map(|body| vec![body]).collect::<Vec<_>>());
            log.append(&entry(&[start])).expect("written");
        }
    }

    #[test]
    fn a_torn_end_is_cut_wherever_the_kill_came() {
        let (_folder, path) = path();
        open(&path).expect("opens").0.append(&entry(b"first")).expect("written");
        let whole = fs::metadata(&path).expect("there").len();
        open(&path).expect("opens").0.append(&entry(b"second")).expect("written");
        let bytes = fs::read(&path).expect("there");
        for end in usize::try_from(whole).expect("small")..bytes.len() {
            fs::write(&path, &bytes[..end]).expect("written");
            let (mut log, bodies) = open(&path).expect("opens");
            assert_eq!(bodies, [b"first"], "cut at {end}");
            log.append(&entry(b"third")).expect("written");
            drop(log);
            assert_eq!(open(&path).expect("opens").1, [b"first", b"third"]);
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error_and_not_a_silent_cut() {
        let (_folder, path) = path();
        let (mut log, _) = open(&path).expect("opens");
        log.append(&entry(b"first")).expect("written");
        let middle = usize::try_from(log.bytes).expect("small") - 2;
        log.append(&entry(b"second")).expect("written");
        drop(log);
        let mut bytes = fs::read(&path).expect("there");
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("written");
        let error = open(&path).expect_err("damaged").to_string();
        assert!(error.contains("checksum") && error.contains("delete it"), "{error}");
    }

    #[test]
    fn other_settings_and_other_files_are_refused() {
        let (_folder, path) = path();
        drop(open(&path).expect("opens"));
        let error = Log::open(&path, "limits=Aws", |_| Ok(())).expect_err("other settings").to_string();
        assert!(error.contains("begun with limits=Off"), "{error}");
    }

    #[test]
    fn a_log_belongs_to_one_process_at_a_time() {
        let (_folder, path) = path();
        let _first = open(&path).expect("opens");
        assert!(matches!(open(&path), Err(LocalError::StateInUse { .. })));
    }
}
