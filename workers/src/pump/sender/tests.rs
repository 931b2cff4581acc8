use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;
use crate::pump::target::OpenShard;

#[derive(Debug, Default)]
struct FakeStream {
    taken: Mutex<Vec<Entry>>,
    refusals: Mutex<VecDeque<Refusal>>,
    request_sizes: Mutex<Vec<usize>>,
}

#[derive(Debug)]
enum Refusal {
    Entries(Vec<usize>),
    Passing,
    Lasting,
}

#[async_trait]
impl Target for FakeStream {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Option<EntryError>>, PutError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.request_sizes.lock().push(entries.len());
        let refused = match self.refusals.lock().pop_front() {
            None => Vec::new(),
            Some(Refusal::Entries(refused)) => refused,
            Some(Refusal::Passing) => {
                return Err(PutError::Passing { stream: "s".into(), source: "connection reset".into() });
            }
            Some(Refusal::Lasting) => {
                return Err(PutError::Lasting { stream: "s".into(), reason: "no such stream".into() });
            }
        };
        let outcome = |(index, entry): (usize, &Entry)| {
            if refused.contains(&index) {
                return Some(EntryError { is_throttle: true, reason: "throttled".into() });
            }
            self.taken.lock().push(entry.clone());
            None
        };
        Ok(entries.iter().enumerate().map(outcome).collect())
    }

    async fn open_shards(&self) -> Result<Vec<OpenShard>, PutError> {
        let shard = |name: &str, key: &str| OpenShard { shard: name.into(), starting_hash_key: key.into() };
        Ok(vec![shard("shardId-0", "0"), shard("shardId-1", "170")])
    }
}

fn lines(texts: impl IntoIterator<Item = String>) -> Vec<Result<Line, InputError>> {
    let line = |(index, text): (usize, String)| {
        Ok(Line::Whole(InputLine { number: index as u64 + 1, bytes: Bytes::from(text) }))
    };
    texts.into_iter().enumerate().map(line).collect()
}

/// The key is the text before the first space.
fn encode(line: InputLine) -> Entry {
    let text = String::from_utf8(line.bytes.to_vec()).expect("test lines are UTF-8");
    let partition_key = text.split(' ').next().unwrap_or_default().to_owned();
    Entry { partition_key, explicit_hash_key: None, data: line.bytes, line: line.number }
}

fn users(count: u64) -> Vec<Result<Line, InputError>> {
    lines((0..count).map(|index| format!("user{} {index}", index % 7)))
}

fn never() -> impl Future<Output = ()> {
    std::future::pending()
}

#[tokio::test(start_paused = true)]
async fn every_line_arrives_once_in_order_per_key_through_refusals() {
    let stream = Arc::new(FakeStream::default());
    let refusals =
        [Refusal::Entries(vec![0]), Refusal::Passing, Refusal::Entries(vec![0, 1]), Refusal::Passing];
    stream.refusals.lock().extend(refusals);
    let pump = Pump::new(stream.clone(), PumpSettings::default());

    let summary = pump.run(users(1000).into_iter(), encode, never()).await.expect("all is taken");

    assert_eq!((summary.records, summary.last_line, summary.end_marks), (1000, 1000, 0));
    assert!(summary.retries >= 4, "{summary:?}");
    let mut by_key: HashMap<String, Vec<u64>> = HashMap::new();
    for entry in stream.taken.lock().iter() {
        by_key.entry(entry.partition_key.clone()).or_default().push(entry.line);
    }
    assert_eq!(by_key.values().map(Vec::len).sum::<usize>(), 1000);
    assert!(by_key.values().all(|lines| lines.is_sorted()));
}

#[tokio::test(start_paused = true)]
async fn batched_order_fills_requests() {
    let stream = Arc::new(FakeStream::default());
    let settings =
        PumpSettings { ordering: super::super::Ordering::Batched, lanes: 1, ..PumpSettings::default() };
    Pump::new(stream.clone(), settings).run(users(5000).into_iter(), encode, never()).await.expect("taken");
    assert_eq!(stream.request_sizes.lock().iter().max(), Some(&500));
}

#[tokio::test(start_paused = true)]
async fn end_marks_follow_everything_else_on_each_open_shard() {
    let stream = Arc::new(FakeStream::default());
    let except = HashSet::from(["shardId-0".to_owned()]);
    let mark = |except| EndMark { data: Bytes::from_static(b"end"), except };
    let pump = Pump::new(stream.clone(), PumpSettings::default());

    let summary = pump
        .with_end_mark(mark(HashSet::new()))
        .run(users(20).into_iter(), encode, never())
        .await
        .expect("taken");

    assert_eq!((summary.records, summary.end_marks), (20, 2));
    let taken = std::mem::take(&mut *stream.taken.lock());
    let keys: Vec<_> = taken[20..].iter().map(|entry| entry.explicit_hash_key.as_deref()).collect();
    assert_eq!(keys, [Some("0"), Some("170")]);

    let pump = Pump::new(stream.clone(), PumpSettings::default());
    let again = pump.with_end_mark(mark(except)).skipping(|_| true);
    let summary = again.run(users(20).into_iter(), encode, never()).await.expect("taken");
    assert_eq!((summary.records, summary.skipped, summary.end_marks), (0, 20, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_names_the_first_line_that_is_not_on_the_stream() {
    let stream = Arc::new(FakeStream::default());
    stream.refusals.lock().push_back(Refusal::Lasting);
    let settings = PumpSettings { lanes: 1, ..PumpSettings::default() };
    let result = Pump::new(stream, settings).run(users(3).into_iter(), encode, never()).await;
    let Err(PumpError::Put { line, source }) = result else { panic!("{result:?}") };
    assert_eq!(line, 1);
    assert!(source.to_string().contains("no such stream"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_nothing_ends_the_pump() {
    let stream = Arc::new(FakeStream::default());
    stream.refusals.lock().extend((0..1000).map(|_| Refusal::Passing));
    let result = Pump::new(stream, PumpSettings::default()).run(users(3).into_iter(), encode, never()).await;
    let Err(PumpError::Stalled { line, reason, .. }) = result else { panic!("{result:?}") };
    assert_eq!(line, 1);
    assert!(reason.contains("connection reset"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_spreads_records_over_time() {
    let stream = Arc::new(FakeStream::default());
    let settings =
        PumpSettings { records_per_second: std::num::NonZeroU64::new(100), ..PumpSettings::default() };
    let started = Instant::now();
    Pump::new(stream, settings).run(users(500).into_iter(), encode, never()).await.expect("taken");
    let seconds = started.elapsed().as_secs_f64();
    assert!((4.0..6.0).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_pump_acknowledges_what_it_has_read_and_puts_no_end_mark() {
    let stream = Arc::new(FakeStream::default());
    let pump = Pump::new(stream.clone(), PumpSettings::default())
        .with_end_mark(EndMark { data: Bytes::from_static(b"end"), except: HashSet::new() });
    let progress = pump.progress();
    let endless = (1..).map(|number| {
        let text = format!("user{} x", number % 50);
        Ok(Line::Whole(InputLine { number, bytes: Bytes::from(text) }))
    });
    let stop = async {
        while progress.records() < 1000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };

    let summary = pump.run(endless, encode, stop).await.expect("stopped");

    assert_eq!(summary.records, summary.last_line);
    assert_eq!(summary.end_marks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_no_record_holds_is_refused_and_the_others_go_on() {
    let stream = Arc::new(FakeStream::default());
    let mut input = lines(["a 1".to_owned(), "b".repeat(1024 * 1024), "c 3".to_owned()]);
    input.push(Ok(Line::TooLong { number: 4, bytes: 9_000_000 }));
    let summary = Pump::new(stream, PumpSettings::default())
        .run(input.into_iter(), encode, never())
        .await
        .expect("the rest is taken");
    assert_eq!((summary.records, summary.refused, summary.last_line), (2, 2, 4));
    let refused: Vec<_> = summary.refused_lines.iter().map(|line| (line.line, line.bytes)).collect();
    assert_eq!(refused, [(2, 1024 * 1024), (4, 9_000_000)]);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_fails_ends_after_its_last_line() {
    let stream = Arc::new(FakeStream::default());
    let mut input = lines(["a 1".to_owned(), "b 2".to_owned()]);
    input.push(Err(InputError::Folder { path: "x".into() }));
    let result =
        Pump::new(stream.clone(), PumpSettings::default()).run(input.into_iter(), encode, never()).await;
    assert!(matches!(result, Err(PumpError::Input { line: 2, .. })), "{result:?}");
    assert_eq!(stream.taken.lock().len(), 2);
}

#[tokio::test]
async fn what_was_read_before_a_pause_does_not_wait_for_more() {
    let stream = Arc::new(FakeStream::default());
    let pump = Pump::new(stream.clone(), PumpSettings::default());
    let progress = pump.progress();
    let (on_stream, is_on_stream) = std::sync::mpsc::channel();
    let first = lines(["a 1".to_owned()]).into_iter().chain([Ok(Line::Pause)]);
    // The input goes on only when its first line was acknowledged.
    let second = std::iter::once_with(move || {
        is_on_stream.recv().expect("told");
        Ok(Line::Whole(InputLine { number: 2, bytes: Bytes::from_static(b"b 2") }))
    });
    let tell = async {
        while progress.records() < 1 {
            tokio::task::yield_now().await;
        }
        on_stream.send(()).expect("the reader waits");
    };
    let (summary, ()) = tokio::join!(pump.run(first.chain(second), encode, never()), tell);
    assert_eq!(summary.expect("taken").records, 2);
}
