//! What an object has beside its bytes, and the file that holds it: the sidecar.
//!
//! A sidecar has a short name of its own (the digest of the key), because a name that contains the key may pass what a
//! file system allows. It is written *before* its object becomes visible, and still carries the entry of the object
//! that is about to be replaced. Which entry is true is decided by the object file itself, through its length and
//! modification time:
//!
//! ```text
//!  sidecar: [old]      object: old bytes
//!  sidecar: [new, old] object: old bytes     a kill here leaves the old object with its own entry
//!  sidecar: [new, old] object: new bytes     the rename of the object is the one step that others can see
//! ```
//!
//! A file without an entry (put there by hand) is an object without attributes whose ETag is computed when asked for.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use s3s::dto::{ETag, Timestamp};
use serde::{Deserialize, Serialize};

/// The headers that a client stores with an object and gets back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) website_redirect_location: Option<String>,
    /// As an HTTP date.
    pub(super) expires: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Digests that a client sent and that were found right, in base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Checksums {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

/// All that is known about one state of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    /// Modification time of the object file, in nanoseconds since 1970.
    pub(super) modified_nanos: u64,
    /// Without quotes.
    pub(super) etag: String,
    #[serde(default)]
    pub(super) checksums: Checksums,
    #[serde(default)]
    pub(super) attributes: Attributes,
}

impl Entry {
    /// The entity tag as S3 shows it.
    pub(super) fn etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    /// When the object was stored.
    pub(super) fn modified(&self) -> Timestamp {
        timestamp(self.modified_nanos)
    }

    /// The entry of a file that nobody described.
    pub(super) fn of_foreign_file(file: &mut File, found: &Metadata) -> io::Result<Self> {
        let mut digest = Md5::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => digest.update(&buffer[..read]),
            }
        }
        Ok(Self {
            bytes: found.len(),
            modified_nanos: nanos(found.modified()?),
            etag: hex(&digest.finalize()),
            checksums: Checksums::default(),
            attributes: Attributes::default(),
        })
    }

    fn describes(&self, found: &Metadata) -> io::Result<bool> {
        Ok(self.bytes == found.len() && self.modified_nanos == nanos(found.modified()?))
    }
}

/// The entries of one key, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) key: String,
    pub(super) entries: Vec<Entry>,
}

impl Sidecar {
    /// Reads the sidecar at `path`; `None` if there is none, or none that can be read.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it into `file`, which is to be renamed to its place.
    pub(super) fn write(&self, file: &mut File) -> io::Result<()> {
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// The entry of the object file that was found like this.
    pub(super) fn entry_of(self, found: &Metadata) -> io::Result<Option<Entry>> {
        for entry in self.entries {
            if entry.describes(found)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// Nanoseconds since 1970, zero for what is earlier.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The inverse of [`nanos`].
pub(super) fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// As S3 shows it.
pub(super) fn timestamp(nanos: u64) -> Timestamp {
    Timestamp::from(time(nanos))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
