//! What a pump may be told: plain data, checked once.

use std::num::NonZeroU64;
use std::time::Duration;

/// Settings of a [`Pump`](super::Pump).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PumpSettings {
    /// Requests in flight at once, 1 to 64, default 8. Records of one partition key always share a lane. More lanes hide
    /// more latency; each holds up to one request in memory.
    pub lanes: usize,
    /// How strictly the order within a partition key is kept, default [`Ordering::Strict`].
    pub ordering: Ordering,
    /// At most so many records per second, default none.
    pub records_per_second: Option<NonZeroU64>,
    /// At most so many bytes of payload and keys per second, default none.
    pub bytes_per_second: Option<NonZeroU64>,
    /// How long a lane may go without one acknowledged record before the pump gives up, default 2 minutes.
    pub stalled_after: Duration,
}

/// What may happen to the order of records with the same partition key when the stream refuses some of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Never reordered: a request holds at most one record of a key, because Kinesis may refuse the first of two and
    /// take the second. Few keys make small requests.
    #[default]
    Strict,
    /// Requests are filled; when Kinesis refuses a part of one, its records of one key may change places.
    Batched,
}

impl Default for PumpSettings {
    fn default() -> Self {
        Self {
            lanes: 8,
            ordering: Ordering::Strict,
            records_per_second: None,
            bytes_per_second: None,
            stalled_after: Duration::from_secs(120),
        }
    }
}

/// Kinesis' limit of PutRecords.
pub(super) const REQUEST_RECORDS_MAX: usize = 500;
/// Kinesis' limit of PutRecords, partition keys included.
pub(super) const REQUEST_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Records waiting in all lanes: enough for a full request of distinct keys in each of eight lanes.
pub(super) const WINDOW_RECORDS_MAX: usize = 8_000;
/// Bytes waiting in all lanes.
pub(super) const WINDOW_BYTES_MAX: usize = 32 * 1024 * 1024;
/// More sockets do not help one process.
pub(super) const LANES_MAX: usize = 64;
