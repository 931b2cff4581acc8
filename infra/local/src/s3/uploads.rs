//! Multipart uploads: a folder per upload, a file per part, one object at the end.
//!
//! ```text
//! <uploads>/<uuid>/upload.json                 bucket, key, attributes, start
//! <uploads>/<uuid>/part-00007-<md5 in hex>     the name carries the entity tag
//! ```
//!
//! Parts are renamed into place whole. Completing copies them into a temporary file and commits that like any other
//! put, then removes the folder; a kill in between leaves the folder, and the upload can be completed again.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use md5::{Digest, Md5};
use s3s::{S3Error, S3ErrorCode, s3_error};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::attributes::{Attributes, Checksums, Entry, hex, nanos};
use super::failure::failed;
use super::store::{Condition, Staged, Store, is_absence, missing_is_fine};

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) started_nanos: u64,
    pub(super) attributes: Attributes,
}

/// A part that was received.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UploadedPart {
    pub(super) number: i32,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) bytes: u64,
    pub(super) modified_nanos: u64,
}

/// A part that the client wants in the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedPart {
    pub(super) number: i32,
    /// Without quotes.
    pub(super) etag: String,
}

impl Store {
    /// Begins an upload; returns its id.
    pub(super) fn begin_upload(
        &self,
        bucket: &str,
        key: &str,
        attributes: Attributes,
    ) -> Result<String, S3Error> {
        self.bucket(bucket)?;
        super::key::path_of_key(key)?;
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            started_nanos: nanos(SystemTime::now()),
            attributes,
        };
        let id = Uuid::new_v4().to_string();
        self.write_upload(&id, &upload).map_err(failed)?;
        Ok(id)
    }

    /// Keeps a part; an earlier one of the same number goes.
    pub(super) fn put_part(
        &self,
        (bucket, key, id): (&str, &str, &str),
        number: i32,
        staged: Staged,
    ) -> Result<(), S3Error> {
        check_number(number)?;
        self.find_upload(bucket, key, id)?;
        let folder = self.upload_folder(id)?;
        let name = part_name(number, &staged.etag);
        staged.file.rename(&folder.join(&name)).map_err(gone(id))?;
        let prefix = part_name(number, "");
        for entry in fs::read_dir(&folder).map_err(gone(id))? {
            let entry = entry.map_err(failed)?;
            let other = entry.file_name();
            if other.to_str().is_some_and(|other| other.starts_with(&prefix) && other != name) {
                missing_is_fine(fs::remove_file(entry.path())).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The parts received so far, by number.
    pub(super) fn parts(&self, bucket: &str, key: &str, id: &str) -> Result<Vec<UploadedPart>, S3Error> {
        self.find_upload(bucket, key, id)?;
        let mut parts = Vec::new();
        for entry in fs::read_dir(self.upload_folder(id)?).map_err(gone(id))? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some((number, etag)) = name.to_str().and_then(part_of_name) else { continue };
            let found = entry.metadata().map_err(failed)?;
            let modified_nanos = nanos(found.modified().map_err(failed)?);
            parts.push(UploadedPart { number, etag: etag.to_owned(), bytes: found.len(), modified_nanos });
        }
        parts.sort_unstable();
        Ok(parts)
    }

    /// Makes the wanted parts one object.
    pub(super) fn complete_upload(
        &self,
        (bucket, key, id): (&str, &str, &str),
        wanted: &[WantedPart],
        condition: &Condition,
    ) -> Result<Entry, S3Error> {
        let upload = self.find_upload(bucket, key, id)?;
        self.check(bucket, key, condition)?;
        let received = self.parts(bucket, key, id)?;
        check_parts(wanted, &received)?;
        let staged = self.join_parts(id, wanted)?;
        let entry = self.commit(bucket, key, staged, upload.attributes, condition)?;
        missing_is_fine(fs::remove_dir_all(self.upload_folder(id)?)).map_err(failed)?;
        Ok(entry)
    }

    /// Forgets an upload and its parts.
    pub(super) fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Result<(), S3Error> {
        self.find_upload(bucket, key, id)?;
        missing_is_fine(fs::remove_dir_all(self.upload_folder(id)?)).map_err(failed)
    }

    /// The uploads under way in `bucket` below `prefix`, by key and id.
    pub(super) fn list_uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<(Upload, String)>, S3Error> {
        self.bucket(bucket)?;
        let mut uploads = Vec::new();
        for entry in fs::read_dir(self.uploads()).map_err(failed)? {
            let Ok(id) = entry.map_err(failed)?.file_name().into_string() else { continue };
            match self.read_upload(&id).map_err(failed)? {
                Some(upload) if upload.bucket == bucket && upload.key.starts_with(prefix) => {
                    uploads.push((upload, id));
                }
                Some(_) | None => {}
            }
        }
        uploads.sort_unstable_by(|a, b| (&a.0.key, &a.1).cmp(&(&b.0.key, &b.1)));
        Ok(uploads)
    }

    fn write_upload(&self, id: &str, upload: &Upload) -> io::Result<()> {
        let folder = self.uploads().join(id);
        fs::create_dir(&folder)?;
        let mut file = self.temporary()?;
        serde_json::to_writer(file.file_mut(), upload)?;
        file.rename(&folder.join(DESCRIPTION))
    }

    fn read_upload(&self, id: &str) -> io::Result<Option<Upload>> {
        match fs::read(self.uploads().join(id).join(DESCRIPTION)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn find_upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, S3Error> {
        self.upload_folder(id)?;
        let upload = self.read_upload(id).map_err(failed)?;
        upload.filter(|upload| upload.bucket == bucket && upload.key == key).ok_or_else(|| no_such_upload(id))
    }

    fn upload_folder(&self, id: &str) -> Result<PathBuf, S3Error> {
        // The id comes from the client and must not lead out of the folder.
        let id = Uuid::parse_str(id).map_err(|_| no_such_upload(id))?;
        Ok(self.uploads().join(id.to_string()))
    }

    fn join_parts(&self, id: &str, wanted: &[WantedPart]) -> Result<Staged, S3Error> {
        let folder = self.upload_folder(id)?;
        let mut joined = self.temporary().map_err(failed)?;
        let (mut digest, mut bytes) = (Md5::new(), 0);
        for part in wanted {
            let mut source = File::open(folder.join(part_name(part.number, &part.etag))).map_err(gone(id))?;
            bytes += io::copy(&mut source, joined.file_mut()).map_err(failed)?;
            let md5 = u128::from_str_radix(&part.etag, 16).map_err(|_| invalid_part(part.number))?;
            digest.update(md5.to_be_bytes());
        }
        let etag = format!("{}-{}", hex(&digest.finalize()), wanted.len());
        Ok(Staged { file: joined, bytes, etag, checksums: Checksums::default() })
    }
}

fn check_number(number: i32) -> Result<(), S3Error> {
    if (1..=PARTS_MAX).contains(&number) {
        return Ok(());
    }
    let message = format!("part number {number}: it must be 1 to {PARTS_MAX}");
    Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message))
}

fn check_parts(wanted: &[WantedPart], received: &[UploadedPart]) -> Result<(), S3Error> {
    if wanted.is_empty() {
        return Err(s3_error!(MalformedXML, "an upload is completed with one part at least"));
    }
    if !wanted.is_sorted_by(|a, b| a.number < b.number) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let last = wanted.len() - 1;
    for (index, part) in wanted.iter().enumerate() {
        let found = received.iter().find(|found| found.number == part.number && found.etag == part.etag);
        let found = found.ok_or_else(|| invalid_part(part.number))?;
        if index != last && found.bytes < PART_BYTES_MIN {
            let message = format!(
                "part {} has {} bytes: all but the last must have {PART_BYTES_MIN}",
                part.number, found.bytes
            );
            return Err(S3Error::with_message(S3ErrorCode::EntityTooSmall, message));
        }
    }
    Ok(())
}

fn part_name(number: i32, etag: &str) -> String {
    format!("part-{number:05}-{etag}")
}

fn part_of_name(name: &str) -> Option<(i32, &str)> {
    let (number, etag) = name.strip_prefix("part-")?.split_once('-')?;
    Some((number.parse().ok()?, etag))
}

fn no_such_upload(id: &str) -> S3Error {
    let message = format!("upload {id:?} does not exist: it was completed, aborted, or is another key's");
    S3Error::with_message(S3ErrorCode::NoSuchUpload, message)
}

fn invalid_part(number: i32) -> S3Error {
    let message = format!("part {number} was not received with that entity tag");
    S3Error::with_message(S3ErrorCode::InvalidPart, message)
}

/// For `map_err`: another request may have completed or aborted the upload meanwhile.
fn gone(id: &str) -> impl Fn(io::Error) -> S3Error + '_ {
    move |error| if is_absence(&error) { no_such_upload(id) } else { failed(error) }
}

const DESCRIPTION: &str = "upload.json";
/// The bound of S3.
const PARTS_MAX: i32 = 10_000;
/// The bound of S3.
const PART_BYTES_MIN: u64 = 5 << 20;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().to_owned()).expect("opens");
        store.create_bucket("bucket").expect("new");
        (folder, store)
    }

    fn put_part(store: &Store, id: &str, number: i32, data: &[u8]) -> WantedPart {
        let mut file = store.temporary().expect("a file");
        io::Write::write_all(file.file_mut(), data).expect("written");
        let etag = hex(&Md5::digest(data));
        let staged =
            Staged { file, bytes: data.len() as u64, etag: etag.clone(), checksums: Checksums::default() };
        store.put_part(("bucket", "key", id), number, staged).expect("kept");
        WantedPart { number, etag }
    }

    #[test]
    fn parts_become_one_object_and_the_last_of_a_number_wins() {
        let (_folder, store) = store();
        let attributes = Attributes { content_encoding: Some("gzip".to_owned()), ..Attributes::default() };
        let id = store.begin_upload("bucket", "key", attributes.clone()).expect("begun");
        let big = vec![b'a'; 5 << 20];
        let replaced = put_part(&store, &id, 2, b"replaced");
        let wanted = [put_part(&store, &id, 1, &big), put_part(&store, &id, 2, b"end")];
        assert_eq!(store.parts("bucket", "key", &id).expect("listed").len(), 2);
        assert_eq!(store.list_uploads("bucket", "k").expect("listed").len(), 1);

        let complete = |wanted: &[WantedPart]| {
            store.complete_upload(("bucket", "key", &id), wanted, &Condition::default())
        };
        let error = complete(&[wanted[0].clone(), replaced]).expect_err("that part is gone");
        assert_eq!(error.code(), &S3ErrorCode::InvalidPart);
        let entry = complete(&wanted).expect("completed");
        assert!(entry.etag.ends_with("-2"));
        let (mut file, found) = store.read("bucket", "key").expect("there");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("read");
        assert_eq!((bytes.len(), &bytes[5 << 20..]), ((5 << 20) + 3, &b"end"[..]));
        assert_eq!(found.attributes, attributes);
        assert_eq!(complete(&wanted).expect_err("done").code(), &S3ErrorCode::NoSuchUpload);
    }

    #[test]
    fn what_cannot_be_completed_is_refused_by_name() {
        let (_folder, store) = store();
        let id = store.begin_upload("bucket", "key", Attributes::default()).expect("begun");
        let small = [put_part(&store, &id, 1, b"a"), put_part(&store, &id, 2, b"b")];
        let complete = |id: &str, wanted: &[WantedPart]| {
            let result = store.complete_upload(("bucket", "key", id), wanted, &Condition::default());
            result.expect_err("cannot be completed").code().clone()
        };
        assert_eq!(complete(&id, &small), S3ErrorCode::EntityTooSmall);
        assert_eq!(complete(&id, &[]), S3ErrorCode::MalformedXML);
        assert_eq!(complete(&id, &[small[1].clone(), small[0].clone()]), S3ErrorCode::InvalidPartOrder);
        assert_eq!(complete("../../bucket", &small), S3ErrorCode::NoSuchUpload);
        store.abort_upload("bucket", "key", &id).expect("aborted");
        assert_eq!(complete(&id, &small), S3ErrorCode::NoSuchUpload);
        assert!(check_number(0).is_err() && check_number(10_001).is_err() && check_number(10_000).is_ok());
    }
}
