//! What every adapter of [`ObjectStore`] must do; run against each of them.

use futures_util::future::join_all;

use super::{NewObject, ObjectMetadata, ObjectStore, PutOutcome, StoredObject};

/// Checks that `store` keeps the contract of the port, with keys below `prefix`, which must be unused.
///
/// # Panics
/// If it does not.
pub async fn check_object_store(store: &dyn ObjectStore, prefix: &str) {
    objects_come_back_with_their_metadata(store, prefix).await;
    the_first_writer_wins(store, prefix).await;
    large_bodies_go_in_parts(store, prefix).await;
    one_of_many_concurrent_writers_wins(store, prefix).await;
    listings_are_ordered_and_paged(store, prefix).await;
    deleting_is_idempotent(store, prefix).await;
}

async fn objects_come_back_with_their_metadata(store: &dyn ObjectStore, prefix: &str) {
    let key = format!("{prefix}round-trip/type=a%2Fb/part.jsonl");
    let object = object("body\n", "1");
    assert_eq!(store.get(&key).await.expect("get"), None);
    assert_eq!(store.head(&key).await.expect("head"), None);
    assert_eq!(store.put_new(&key, &object).await.expect("put"), PutOutcome::Created);
    assert_eq!(store.get(&key).await.expect("get"), Some(stored(&object)));
    assert_eq!(store.head(&key).await.expect("head"), Some(object.metadata));
    let empty = format!("{prefix}round-trip/empty");
    let nothing = self::object("", "0");
    assert_eq!(store.put_new(&empty, &nothing).await.expect("put"), PutOutcome::Created);
    assert_eq!(store.get(&empty).await.expect("get"), Some(stored(&nothing)));
}

async fn the_first_writer_wins(store: &dyn ObjectStore, prefix: &str) {
    let key = format!("{prefix}first/whole");
    let [first, second] = [object("first", "1"), object("second", "2")];
    assert_eq!(store.put_new(&key, &first).await.expect("put"), PutOutcome::Created);
    let exists = PutOutcome::Exists(first.metadata.clone());
    assert_eq!(store.put_new(&key, &second).await.expect("put"), exists);
    assert_eq!(store.put_new_in_parts(&key, &second).await.expect("parts"), exists);
    assert_eq!(store.get(&key).await.expect("get"), Some(stored(&first)));

    let key = format!("{prefix}first/parts");
    assert_eq!(store.put_new_in_parts(&key, &first).await.expect("parts"), PutOutcome::Created);
    assert_eq!(store.put_new(&key, &second).await.expect("put"), exists);
    assert_eq!(store.get(&key).await.expect("get"), Some(stored(&first)));
}

async fn large_bodies_go_in_parts(store: &dyn ObjectStore, prefix: &str) {
    let key = format!("{prefix}large");
    let body: Vec<u8> = (0..LARGE_BYTES).map(|index| (index % 251) as u8).collect();
    let large = NewObject { body: body.into(), ..object("", "large") };
    assert_eq!(store.put_new_in_parts(&key, &large).await.expect("parts"), PutOutcome::Created);
    let read = store.get(&key).await.expect("get").expect("present");
    assert!(read == stored(&large), "{} bytes came back as {}", large.body.len(), read.body.len());
}

async fn one_of_many_concurrent_writers_wins(store: &dyn ObjectStore, prefix: &str) {
    for round in 0..ROUNDS {
        for in_parts in [false, true] {
            let key = format!("{prefix}race/{round}-{in_parts}");
            let writers: Vec<_> = (0..WRITERS).map(|writer| object("race", &writer.to_string())).collect();
            let outcomes = join_all(writers.iter().map(|writer| async {
                if in_parts {
                    store.put_new_in_parts(&key, writer).await
                } else {
                    store.put_new(&key, writer).await
                }
            }))
            .await;
            let winners: Vec<_> = writers
                .iter()
                .zip(outcomes)
                .filter(|(_, outcome)| matches!(outcome, Ok(PutOutcome::Created)))
                .map(|(writer, _)| writer.metadata.clone())
                .collect();
            let lies_there = store.head(&key).await.expect("head").expect("present");
            assert_eq!(winners, [lies_there], "exactly one writer of {key} must win");
        }
    }
}

async fn listings_are_ordered_and_paged(store: &dyn ObjectStore, prefix: &str) {
    let below = format!("{prefix}list/");
    let keys: Vec<String> = (0..LISTED).map(|index| format!("{below}{index:04}")).collect();
    let beside = format!("{prefix}list-beside");
    for key in keys.iter().rev().chain([&beside]) {
        assert_eq!(store.put_new(key, &object("listed", "0")).await.expect("put"), PutOutcome::Created);
    }
    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = store.list(&below, seen.last().map(String::as_str)).await.expect("list");
        assert!(page.objects.iter().all(|object| object.bytes == 6));
        assert!(!page.has_more || !page.objects.is_empty(), "a page before another one cannot be empty");
        seen.extend(page.objects.into_iter().map(|object| object.key));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, keys);
    let nothing = store.list(&format!("{prefix}nothing/"), None).await.expect("list");
    assert!(nothing.objects.is_empty() && !nothing.has_more);
}

async fn deleting_is_idempotent(store: &dyn ObjectStore, prefix: &str) {
    let key = format!("{prefix}deleted");
    assert_eq!(store.put_new(&key, &object("x", "0")).await.expect("put"), PutOutcome::Created);
    for _ in 0..2 {
        store.delete(&key).await.expect("delete");
        assert_eq!(store.head(&key).await.expect("head"), None);
    }
    assert_eq!(store.put_new(&key, &object("y", "0")).await.expect("put"), PutOutcome::Created);
}

fn object(body: &'static str, writer: &str) -> NewObject {
    let metadata = ObjectMetadata::from([("lh-writer".to_owned(), writer.to_owned())]);
    NewObject { body: body.into(), content_type: "text/plain", metadata }
}

fn stored(object: &NewObject) -> StoredObject {
    StoredObject { body: object.body.clone(), metadata: object.metadata.clone() }
}

/// More than the least size of a part that is not the last one.
const LARGE_BYTES: usize = 12 * 1024 * 1024;

const ROUNDS: usize = 3;

const WRITERS: usize = 12;

/// More than one page of the memory adapter.
const LISTED: usize = 40;
