//! The exactly-once matrix: whole workers on a stream, a table and a bucket in memory, disturbed at every call they make.
//!
//! ```text
//! scenario ─▶ undisturbed run ─▶ its calls, its bucket
//!                  │ for each call, for each fate
//!                  ▼
//!             disturbed run ─▶ oracle: announced batches byte for byte, every event once, nothing else in the bucket
//! ```
//!
//! No list of steps is kept by hand: [`gate`] counts what a worker asks of the lease table, the bucket and the stream,
//! and [`matrix`] disturbs each of these calls in turn.

mod gate;
mod matrix;
mod oracle;
mod scenario;
mod taps;
mod world;

mod changes;
mod conflicts;
mod crashes;
mod idle;
mod lost_ranges;
mod lost_replies;
mod splits;
mod zombies;
