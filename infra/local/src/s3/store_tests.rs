use std::io::{Read, Write};

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().to_owned()).expect("opens");
    store.create_bucket("bucket").expect("new");
    (folder, store)
}

fn staged(store: &Store, text: &str) -> Staged {
    let mut file = store.temporary().expect("a file");
    file.file_mut().write_all(text.as_bytes()).expect("written");
    Staged { file, bytes: text.len() as u64, etag: format!("etag-{text}"), checksums: Checksums::default() }
}

fn of_type(content_type: &str) -> Attributes {
    Attributes { content_type: Some(content_type.to_owned()), ..Attributes::default() }
}

fn put(store: &Store, key: &str, text: &str) -> Result<Entry, S3Error> {
    store.commit("bucket", key, staged(store, text), of_type(text), &Condition::default())
}

fn text(store: &Store, key: &str) -> (String, Entry) {
    let (mut file, entry) = store.read("bucket", key).expect("there");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("UTF-8");
    (text, entry)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn an_object_is_a_plain_file_and_its_attributes_lie_elsewhere() {
    let (folder, store) = store();
    put(&store, "dt=1/part.json", "one").expect("stored");
    assert_eq!(fs::read_to_string(folder.path().join("bucket/dt=1/part.json")).expect("a file"), "one");
    assert_eq!(files_below(&folder.path().join("bucket")).len(), 1);
    assert_eq!(text(&store, "dt=1/part.json").1.attributes, of_type("one"));
}

#[test]
fn a_kill_between_sidecar_and_object_leaves_the_old_object_with_its_own_attributes() {
    let (folder, store) = store();
    put(&store, "key", "old").expect("stored");
    let before = fs::read(folder.path().join("bucket/key")).expect("a file");
    let present = store.read("bucket", "key").expect("there").1;
    let new =
        Entry { modified_nanos: present.modified_nanos + 5, attributes: of_type("new"), ..present.clone() };
    let sidecar = Sidecar { key: "key".to_owned(), entries: vec![new, present] };
    store.write_sidecar("bucket", &sidecar).expect("written");
    drop(store);

    let reopened = Store::open(folder.path().to_owned()).expect("opens");
    let (bytes, entry) = text(&reopened, "key");
    assert_eq!(bytes.as_bytes(), before);
    assert_eq!(entry.attributes, of_type("old"));
}

#[test]
fn objects_of_equal_length_in_quick_succession_keep_their_own_attributes() {
    let (_folder, store) = store();
    for round in 0..50 {
        let value = format!("{round:02}");
        put(&store, "key", &value).expect("stored");
        let (bytes, entry) = text(&store, "key");
        assert_eq!((bytes, entry.etag), (value.clone(), format!("etag-{value}")));
    }
}

#[test]
fn a_refused_or_abandoned_write_leaves_nothing_behind() {
    let (folder, store) = store();
    put(&store, "key", "first").expect("stored");
    let absent = Condition { if_none_match: Some(ETagCondition::Any), ..Condition::default() };
    let refused = store.commit("bucket", "key", staged(&store, "second"), Attributes::default(), &absent);
    assert_eq!(refused.expect_err("exists").code(), &S3ErrorCode::PreconditionFailed);
    drop(staged(&store, "abandoned"));
    assert_eq!(text(&store, "key").0, "first");
    assert!(files_below(&folder.path().join(".leasehold/temporary")).is_empty());
}

#[test]
fn if_match_compares_the_entity_tag() {
    let (_folder, store) = store();
    let entry = put(&store, "key", "first").expect("stored");
    let expecting = |etag: &str| Condition {
        if_match: Some(ETagCondition::ETag(s3s::dto::ETag::Strong(etag.to_owned()))),
        ..Condition::default()
    };
    let commit = |key, condition: &Condition| {
        store.commit("bucket", key, staged(&store, "next"), Attributes::default(), condition)
    };
    let wrong = commit("key", &expecting("other")).expect_err("another tag");
    assert_eq!(wrong.code(), &S3ErrorCode::PreconditionFailed);
    let missing = commit("none", &expecting(&entry.etag)).expect_err("no object");
    assert_eq!(missing.code(), &S3ErrorCode::NoSuchKey);
    commit("key", &expecting(&entry.etag)).expect("the right tag");
}

#[test]
fn deleting_prunes_folders_but_never_the_bucket() {
    let (folder, store) = store();
    put(&store, "a/b/c", "1").expect("stored");
    put(&store, "a/d", "2").expect("stored");
    store.delete("bucket", "a/b/c").expect("deleted");
    assert!(!folder.path().join("bucket/a/b").exists());
    assert!(folder.path().join("bucket/a/d").exists());
    store.delete("bucket", "a/d").expect("deleted");
    store.delete("bucket", "a/d").expect("deleting again is fine");
    assert!(folder.path().join("bucket").is_dir());
    assert!(files_below(&folder.path().join(".leasehold/meta")).is_empty(), "no sidecar outlives its object");
}

#[test]
fn a_key_below_another_key_is_refused_with_the_reason() {
    let (_folder, store) = store();
    put(&store, "pre", "1").expect("stored");
    let error = put(&store, "pre/child", "2").expect_err("pre is a file");
    assert!(error.message().expect("a message").contains("plain files"));
    put(&store, "dir/child", "1").expect("stored");
    assert!(put(&store, "dir", "2").is_err());
    assert!(store.read("bucket", "dir").is_err(), "a folder is no object");
}

#[test]
fn a_file_put_there_by_hand_is_an_object() {
    let (folder, store) = store();
    fs::write(folder.path().join("bucket/by-hand"), "hello").expect("written");
    let (bytes, entry) = text(&store, "by-hand");
    assert_eq!((bytes.as_str(), entry.etag.as_str()), ("hello", "5d41402abc4b2a76b9719d911017c592"));
}

#[test]
fn a_deleted_bucket_takes_its_sidecars_along() {
    let (folder, store) = store();
    put(&store, "key", "1").expect("stored");
    assert_eq!(
        store.delete_bucket("bucket", |_| Ok(false)).expect_err("not empty").code(),
        &S3ErrorCode::BucketNotEmpty
    );
    store.delete("bucket", "key").expect("deleted");
    store.delete_bucket("bucket", |_| Ok(true)).expect("empty");
    assert!(!folder.path().join("bucket").exists());
    assert_eq!(put(&store, "key", "1").expect_err("gone").code(), &S3ErrorCode::NoSuchBucket);
}

#[test]
fn a_folder_belongs_to_one_process_at_a_time() {
    let (folder, store) = store();
    let second = Store::open(folder.path().to_owned()).expect_err("in use");
    assert!(matches!(second, LocalError::StateInUse { .. }), "{second}");
    drop(store);
    Store::open(folder.path().to_owned()).expect("free again");
}
