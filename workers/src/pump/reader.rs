//! The thread that reads, encodes and hands over chunks of entries, ahead of the sender by a bounded amount.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::entry::{Entry, RECORD_BYTES_MAX};
use super::input::InputError;
use super::line::{InputLine, Line};
use super::progress::{PumpProgress, Refused};

/// Entries read, and the last line they reach.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Entry>,
    pub(super) last_line: u64,
}

/// Reads `lines` to the end, or until nobody listens any more.
///
/// A thread of its own, because reading standard input may block for ever and must not keep a runtime from ending.
pub(super) fn spawn<L, E>(
    lines: L,
    mut encode: E,
    mut skips: Box<dyn FnMut(u64) -> bool + Send>,
    progress: Arc<PumpProgress>,
) -> mpsc::Receiver<Result<Chunk, InputError>>
where
    L: Iterator<Item = Result<Line, InputError>> + Send + 'static,
    E: FnMut(InputLine) -> Entry + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD_MAX);
    std::thread::spawn(move || {
        let mut chunk = Chunk { entries: Vec::new(), last_line: 0 };
        let mut bytes = 0;
        for line in lines {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    // Nobody listening means that the pump has ended already.
                    let _ = sender.blocking_send(Ok(chunk)).and_then(|()| sender.blocking_send(Err(error)));
                    return;
                }
            };
            let is_pause = line == Line::Pause;
            match line {
                Line::Pause => {}
                Line::TooLong { number, bytes } => {
                    chunk.last_line = number;
                    progress.refused(Refused { line: number, bytes, reason: TOO_LONG.to_owned() });
                }
                Line::Whole(line) if skips(line.number) => {
                    chunk.last_line = line.number;
                    progress.skipped();
                }
                Line::Whole(line) => {
                    chunk.last_line = line.number;
                    let length = line.bytes.len() as u64;
                    let entry = encode(line);
                    if entry.bytes() > RECORD_BYTES_MAX {
                        let reason = TOO_LONG.to_owned();
                        progress.refused(Refused { line: entry.line, bytes: length, reason });
                    } else {
                        bytes += entry.bytes();
                        chunk.entries.push(entry);
                    }
                }
            }
            let is_due = is_pause && !chunk.entries.is_empty();
            if is_due || chunk.entries.len() >= CHUNK_RECORDS || bytes >= CHUNK_BYTES {
                let next = Chunk { entries: Vec::with_capacity(CHUNK_RECORDS), last_line: chunk.last_line };
                bytes = 0;
                if sender.blocking_send(Ok(std::mem::replace(&mut chunk, next))).is_err() {
                    return;
                }
            }
        }
        let _ = sender.blocking_send(Ok(chunk));
    });
    receiver
}

const TOO_LONG: &str =
    "the line with its source, number and partition key passes 1048576 bytes, the greatest Kinesis record";
const CHUNK_RECORDS: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;
/// Bounds what is read ahead to a few MiB.
const CHUNKS_AHEAD_MAX: usize = 4;
