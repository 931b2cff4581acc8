//! The pump: puts the lines of a file, of standard input or of a generator on a stream.
//!
//! Owns reading (plain or gzip, lines or CSV rows), batching, order per partition key, retries, rate limits and the end
//! marks. It never looks into a line: an encoder given by the caller turns a line into partition key and payload, so a
//! line that no parser accepts is pumped like any other.
//!
//! ```text
//! input ─▶ LineReader ─ encoder ─▶ chunks ─▶ Sender ─ lane = hash(key) ─▶ LaneQueue ─▶ PutRecords
//!        (thread of its own)    (bounded)             one request in flight per lane ◀── failed entries, first again
//! ```
//!
//! A record is acknowledged once the stream has given it a sequence number. An answer that is lost after the stream took
//! the records leads to duplicates: putting on Kinesis is at least once.

mod entry;
mod error;
mod input;
mod kinesis;
mod lane;
mod line;
mod progress;
mod rate;
mod reader;
mod retry;
mod sender;
mod settings;
mod target;

pub use entry::Entry;
pub use error::PumpError;
pub use input::{Input, InputError, OpenedInput};
pub use kinesis::KinesisTarget;
pub use line::{InputLine, Line, LineReader, RowRule};
pub use progress::{PumpProgress, PumpSummary, Refused};
pub use sender::{EndMark, Pump};
pub use settings::{Ordering, PumpSettings};
pub use target::{EntryError, OpenShard, PutError, Target};
