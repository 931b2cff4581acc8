//! Rows as the bytes of an object: canonical JSON Lines, compressed, the same bytes for the same rows.
//!
//! ```text
//! row ─ canonical JSON + line feed ─┬─▶ SHA-256: the logical digest, whatever the compression
//!                                   └─▶ gzip | zstd | as it is ─▶ body
//! ```

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::event::Fields;
use crate::hex::hex;
use crate::settings::Compression;

/// Gathers the rows of one object; holds only compressed bytes.
pub struct LineWriter {
    body: Body,
    digest: Sha256,
    rows: u64,
    line: Vec<u8>,
}

enum Body {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

/// A finished object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub bytes: Bytes,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 of the lines before compression, in hexadecimal.
    pub logical_digest: String,
}

impl std::fmt::Debug for LineWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LineWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl LineWriter {
    /// A writer without rows.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        let body = match compression {
            Compression::None => Body::Plain(Vec::new()),
            Compression::Gzip => {
                let builder = flate2::GzBuilder::new().mtime(0).operating_system(OPERATING_SYSTEM_UNKNOWN);
                Body::Gzip(builder.write(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
            Compression::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL);
                Body::Zstd(Box::new(encoder.expect("level 3 exists")))
            }
        };
        Self { body, digest: Sha256::new(), rows: 0, line: Vec::new() }
    }

    /// Appends a row.
    pub fn append(&mut self, row: &Fields) {
        self.line.clear();
        serde_json::to_writer(&mut self.line, row).expect("a row is JSON");
        self.line.push(b'\n');
        self.digest.update(&self.line);
        self.rows += 1;
        let written = match &mut self.body {
            Body::Plain(bytes) => bytes.write_all(&self.line),
            Body::Gzip(encoder) => encoder.write_all(&self.line),
            Body::Zstd(encoder) => encoder.write_all(&self.line),
        };
        written.expect("memory does not fail");
    }

    /// Bytes of the body so far; a compressor keeps back up to about 100 kB.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        let length = match &self.body {
            Body::Plain(bytes) => bytes.len(),
            Body::Gzip(encoder) => encoder.get_ref().len(),
            Body::Zstd(encoder) => encoder.get_ref().len(),
        };
        length as u64
    }

    /// How many rows were appended.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The object.
    #[must_use]
    pub fn finish(self) -> Encoded {
        let bytes = match self.body {
            Body::Plain(bytes) => Ok(bytes),
            Body::Gzip(encoder) => encoder.finish(),
            Body::Zstd(encoder) => encoder.finish(),
        };
        let digest = self.digest.finalize();
        Encoded {
            bytes: Bytes::from(bytes.expect("memory does not fail")),
            rows: self.rows,
            logical_digest: hex(&digest),
        }
    }
}

impl Compression {
    /// The end of an object's name.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "jsonl.gz",
            Self::Zstd => "jsonl.zst",
            Self::None => "jsonl",
        }
    }

    /// `Content-Type` of an object. Compressed objects say so by type and name, not by `Content-Encoding`, which some
    /// clients undo on their own.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
            Self::None => "application/x-ndjson",
        }
    }
}

const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// RFC 1952: 255 is "unknown"; the default names the machine that wrote it.
const OPERATING_SYSTEM_UNKNOWN: u8 = 255;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn encoded(compression: Compression) -> Encoded {
        let mut writer = LineWriter::new(compression);
        for number in 0..1000 {
            let row = serde_json::json!({"number": number, "b": 1, "a": "x"});
            writer.append(&row.as_object().expect("an object").clone().into());
        }
        writer.finish()
    }

    #[test]
    fn the_same_rows_give_the_same_bytes_and_one_digest_for_every_compression() {
        let plain = encoded(Compression::None);
        for compression in [Compression::Gzip, Compression::Zstd] {
            let first = encoded(compression);
            assert_eq!(first, encoded(compression));
            assert_eq!(first.logical_digest, plain.logical_digest);
            assert!(first.bytes.len() < plain.bytes.len() / 5);
            let mut text = Vec::new();
            match compression {
                Compression::Gzip => {
                    flate2::read::GzDecoder::new(first.bytes.as_ref()).read_to_end(&mut text).map(drop)
                }
                Compression::Zstd | Compression::None => {
                    zstd::stream::copy_decode(first.bytes.as_ref(), &mut text)
                }
            }
            .expect("decodes");
            assert_eq!(text, plain.bytes);
        }
    }
}
