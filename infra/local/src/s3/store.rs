//! Objects as plain files: what is on disk, and the order in which it gets there.
//!
//! ```text
//! <root>/<bucket>/<key>                      the objects, and nothing else
//! <root>/.leasehold/meta/<bucket>/<digest>   sidecars, see `attributes`
//! <root>/.leasehold/temporary/<uuid>         bytes on their way; emptied at start
//! <root>/.leasehold/uploads/<uuid>/          multipart uploads, see `uploads`
//! <root>/.leasehold/lock                     one process at a time
//! ```
//!
//! An object becomes visible by one rename, after all its bytes and its sidecar are on disk, so a kill of the process
//! at any point leaves the old object or the new one, whole and with its own attributes. Power loss is not covered:
//! nothing is synced.
//!
//! Every method blocks. Two locks, always taken in this order: the lock of the key (compare and replace are one step)
//! and the layout lock (a folder cannot be pruned while an object is put into it).

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use s3s::dto::ETagCondition;
use s3s::{S3Error, S3ErrorCode, s3_error};
use sha2::{Digest, Sha256};

use super::attributes::{Attributes, Checksums, Entry, Sidecar, hex, nanos, time};
use super::failure::failed;
use super::key::path_of_key;
use crate::LocalError;

/// The object store of one data folder.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    private: PathBuf,
    /// Held open: its lock keeps other processes out of the folder.
    _lock: File,
    key_locks: Vec<Mutex<()>>,
    layout_lock: Mutex<()>,
}

/// What must hold for the object that is about to be replaced.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

/// The bytes of an object that is not visible yet.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) file: Temporary,
    pub(super) bytes: u64,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) checksums: Checksums,
}

impl Store {
    pub(super) fn open(root: PathBuf) -> Result<Self, LocalError> {
        let private = root.join(PRIVATE_FOLDER);
        fs::create_dir_all(&private).map_err(LocalError::at("make the folder", &private))?;
        let lock_path = private.join("lock");
        let lock = File::create(&lock_path).map_err(LocalError::at("open", &lock_path))?;
        LocalError::unless_locked(&lock, &lock_path)?;
        let temporary = private.join("temporary");
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(LocalError::at("empty", &temporary))?;
        }
        for folder in [temporary, private.join("meta"), private.join("uploads")] {
            fs::create_dir_all(&folder).map_err(LocalError::at("make the folder", &folder))?;
        }
        let key_locks = (0..KEY_LOCKS).map(|_| Mutex::new(())).collect();
        Ok(Self { root, private, _lock: lock, key_locks, layout_lock: Mutex::new(()) })
    }

    /// A new file among the temporary ones.
    pub(super) fn temporary(&self) -> io::Result<Temporary> {
        let path = self.private.join("temporary").join(uuid::Uuid::new_v4().to_string());
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Temporary { path, file: Some(file) })
    }

    /// The folder of all multipart uploads.
    pub(super) fn uploads(&self) -> PathBuf {
        self.private.join("uploads")
    }

    /// The folder of a bucket.
    pub(super) fn bucket(&self, bucket: &str) -> Result<PathBuf, S3Error> {
        let path = self.root.join(bucket);
        if path.is_dir() { Ok(path) } else { Err(no_such_bucket(bucket)) }
    }

    /// Every bucket with the time of its making.
    pub(super) fn buckets(&self) -> io::Result<Vec<(String, SystemTime)>> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name != PRIVATE_FOLDER && entry.file_type()?.is_dir() {
                let metadata = entry.metadata()?;
                buckets.push((name, metadata.created().or_else(|_| metadata.modified())?));
            }
        }
        buckets.sort_unstable();
        Ok(buckets)
    }

    pub(super) fn create_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        match fs::create_dir(self.root.join(bucket)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes a bucket that `is_empty` finds empty, while no object can be put.
    pub(super) fn delete_bucket(
        &self,
        bucket: &str,
        is_empty: impl FnOnce(&Path) -> io::Result<bool>,
    ) -> Result<(), S3Error> {
        let _layout = self.layout_lock.lock();
        let folder = self.bucket(bucket)?;
        if !is_empty(&folder).map_err(failed)? {
            return Err(s3_error!(BucketNotEmpty));
        }
        fs::remove_dir_all(folder).map_err(failed)?;
        missing_is_fine(fs::remove_dir_all(self.sidecars(bucket))).map_err(failed)
    }

    /// Makes `staged` the object of `key`, if `condition` holds for the present one.
    pub(super) fn commit(
        &self,
        bucket: &str,
        key: &str,
        staged: Staged,
        attributes: Attributes,
        condition: &Condition,
    ) -> Result<Entry, S3Error> {
        let path = self.bucket(bucket)?.join(path_of_key(key)?);
        let _key = self.lock(&path);
        let present = self.find(bucket, key, &path).map_err(failed)?.map(|(_, entry)| entry);
        condition.check(present.as_ref())?;
        let modified_nanos = staged.file.stamp(present.as_ref()).map_err(failed)?;
        let Staged { file, bytes, etag, checksums } = staged;
        let entry = Entry { bytes, modified_nanos, etag, checksums, attributes };
        let entries = std::iter::once(entry.clone()).chain(present).collect();
        self.write_sidecar(bucket, &Sidecar { key: key.to_owned(), entries }).map_err(failed)?;
        self.place(bucket, key, file, &path)?;
        Ok(entry)
    }

    /// Fails early with what [`Store::commit`] would fail with.
    pub(super) fn check(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), S3Error> {
        let path = self.bucket(bucket)?.join(path_of_key(key)?);
        let _key = self.lock(&path);
        let present = self.find(bucket, key, &path).map_err(failed)?;
        condition.check(present.as_ref().map(|(_, entry)| entry))
    }

    /// The object of `key`, opened for reading.
    pub(super) fn read(&self, bucket: &str, key: &str) -> Result<(File, Entry), S3Error> {
        let path = self.bucket(bucket)?.join(path_of_key(key)?);
        let _key = self.lock(&path);
        self.find(bucket, key, &path).map_err(failed)?.ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// Removes the object of `key`, if there is one, and the folders that only it filled.
    pub(super) fn delete(&self, bucket: &str, key: &str) -> Result<(), S3Error> {
        let folder = self.bucket(bucket)?;
        let path = folder.join(path_of_key(key)?);
        let _key = self.lock(&path);
        let _layout = self.layout_lock.lock();
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if is_absence(&error) || path.is_dir() => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
        missing_is_fine(fs::remove_file(self.sidecar(bucket, key))).map_err(failed)?;
        for parent in path.ancestors().skip(1).take_while(|parent| *parent != folder) {
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn find(&self, bucket: &str, key: &str, path: &Path) -> io::Result<Option<(File, Entry)>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if found.is_dir() {
            return Ok(None);
        }
        let sidecar = Sidecar::read(&self.sidecar(bucket, key))?.filter(|sidecar| sidecar.key == key);
        let described = sidecar.map(|sidecar| sidecar.entry_of(&found)).transpose()?.flatten();
        let entry = match described {
            Some(entry) => entry,
            None => {
                let entry = Entry::of_foreign_file(&mut file, &found)?;
                file = File::open(path)?;
                entry
            }
        };
        Ok(Some((file, entry)))
    }

    fn write_sidecar(&self, bucket: &str, sidecar: &Sidecar) -> io::Result<()> {
        let mut temporary = self.temporary()?;
        sidecar.write(temporary.file_mut())?;
        let path = self.sidecar(bucket, &sidecar.key);
        fs::create_dir_all(self.sidecars(bucket))?;
        temporary.rename(&path)
    }

    fn place(&self, bucket: &str, key: &str, file: Temporary, path: &Path) -> Result<(), S3Error> {
        let _layout = self.layout_lock.lock();
        self.bucket(bucket)?;
        let parent = path.parent().expect("an object lies in its bucket");
        let placed = fs::create_dir_all(parent).and_then(|()| {
            // A folder that a killed process made for an object that never came is in nobody's way.
            if path.is_dir() {
                fs::remove_dir(path)?;
            }
            file.rename(path)
        });
        placed.map_err(|error| if is_key_conflict(&error) { key_conflict(key) } else { failed(error) })
    }

    fn sidecars(&self, bucket: &str) -> PathBuf {
        self.private.join("meta").join(bucket)
    }

    fn sidecar(&self, bucket: &str, key: &str) -> PathBuf {
        self.sidecars(bucket).join(hex(&Sha256::digest(key.as_bytes())))
    }

    fn lock(&self, path: &Path) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let index = hasher.finish() % KEY_LOCKS;
        self.key_locks[usize::try_from(index).expect("fewer than 2^16 locks")].lock()
    }
}

impl Condition {
    fn check(&self, present: Option<&Entry>) -> Result<(), S3Error> {
        if let Some(condition) = &self.if_match {
            let Some(entry) = present else {
                return Err(s3_error!(NoSuchKey, "If-Match was given and there is no object of that key"));
            };
            if condition.as_etag().is_some_and(|etag| !etag.strong_cmp(&entry.etag())) {
                return Err(s3_error!(PreconditionFailed, "If-Match names another entity tag"));
            }
        }
        if let (Some(condition), Some(entry)) = (&self.if_none_match, present)
            && condition.as_etag().is_none_or(|etag| etag.weak_cmp(&entry.etag()))
        {
            return Err(s3_error!(PreconditionFailed, "If-None-Match was given and the object exists"));
        }
        Ok(())
    }
}

/// A file that is removed unless it is renamed to its place.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    file: Option<File>,
}

impl Temporary {
    pub(super) fn file_mut(&mut self) -> &mut File {
        self.file.as_mut().expect("the file is taken by rename only, which consumes self")
    }

    /// A second handle to write through.
    pub(super) fn handle(&mut self) -> io::Result<File> {
        self.file_mut().try_clone()
    }

    pub(super) fn rename(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.file = None;
        Ok(())
    }

    /// Gives the file a modification time of its own, which tells it from the object it replaces.
    fn stamp(&self, present: Option<&Entry>) -> io::Result<u64> {
        let file = self.file.as_ref().expect("the file is taken by rename only, which consumes self");
        let earliest = present.map_or(0, |entry| entry.modified_nanos + MODIFIED_STEP_NANOS);
        file.set_modified(time(nanos(SystemTime::now()).max(earliest)))?;
        Ok(nanos(file.metadata()?.modified()?))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.file.is_some()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "a temporary file stays until the next start");
        }
    }
}

/// Whether the file is not there, which includes that a part of its path is an object.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn no_such_bucket(bucket: &str) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NoSuchBucket,
        format!("bucket {bucket:?} does not exist: create it first"),
    )
}

fn is_key_conflict(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
    )
}

fn key_conflict(key: &str) -> S3Error {
    let message = format!(
        "key {key:?} and another key of the bucket are a file and a folder of the same name: the local store keeps \
         objects as plain files and cannot hold both"
    );
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

/// No bucket can have this name: bucket names begin with a letter or a digit.
const PRIVATE_FOLDER: &str = ".leasehold";
/// More than the threads of the blocking pool that usually run at once.
const KEY_LOCKS: u64 = 256;
/// The coarsest step among the file systems in common use that keep fractions of a second.
const MODIFIED_STEP_NANOS: u64 = Duration::from_micros(1).as_nanos() as u64;

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
