//! One row of the side table: what a worker tells of one shard, in at most 1 KiB.
//!
//! ```text
//!  version │ stream │ range │ written, behind, before, covered │ rates │ samples │ bins │ unplaced │ heavy keys │ minutes
//!     1    │   16   │ 2×16  │       8     4      4        4    │ 2×8   │    4    │ 1+4n │    4     │   1+24n    │  1+24n
//! ```
//!
//! Numbers are big-endian. Binary, because DynamoDB bills a write by the KiB: a row in JSON would cost thrice as much.
//! Whatever bytes are decoded, the result is a row whose numbers are sound, or an error; what another version wrote is an
//! error.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use kcl_core::{HashKey, HashKeyRange};
use md5::{Digest, Md5};
use thiserror::Error;

use super::histogram::{BINS_MAX, bin_width};
use super::load::{LoadShare, Share};
use super::minutes::{MINUTES_TOLD, MinuteFigures};
use crate::port::StreamIdentity;

/// What one reader tells of its shard.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryRow {
    /// The stream.
    pub stream: StreamDigest,
    /// The shard's part of the hash space.
    pub range: HashKeyRange,
    /// When this was told, by the worker's clock.
    pub written_epoch_millis: u64,
    /// How far the reader was behind then, the time since its last answer included; unknown before the first answer.
    pub behind: Option<Duration>,
    /// How far it was behind ten minutes earlier, if it read then.
    pub behind_before: Option<Duration>,
    /// The time that rates and shares are made of, what lies back counting less: at most 87 s.
    pub covered: Duration,
    /// Bytes that arrived per second.
    pub bytes_per_second: f64,
    /// Kinesis records that arrived per second.
    pub records_per_second: f64,
    /// The samples that shares are made of, what lies back counting less.
    pub samples: u32,
    /// Shares of up to 64 equal parts of the range, without those of `heavy_keys`.
    pub bins: Vec<LoadShare>,
    /// Share of records that lie somewhere in the shard, by an explicit hash key.
    pub unplaced: LoadShare,
    /// Single keys with at least 1 % of the bytes or of the records, heaviest first; at most 16.
    pub heavy_keys: Vec<HeavyHash>,
    /// Exact figures of the last whole minutes of arrival time, oldest first; at most 6.
    pub minutes: Vec<MinuteFigures>,
}

/// A hash key with a noticeable part of its shard's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeavyHash {
    /// Where it lies.
    pub hash: HashKey,
    /// Its share as far as it was counted for it.
    pub share: LoadShare,
    /// By how much that may be too little, apart from sampling.
    pub error: LoadShare,
}

/// Tells streams apart without their names: a deleted and re-created stream is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamDigest(pub u128);

impl StreamDigest {
    /// The digest of a stream.
    #[must_use]
    pub fn of(stream: &StreamIdentity) -> Self {
        let digest = Md5::new()
            .chain_update(stream.arn.as_bytes())
            .chain_update([0])
            .chain_update(stream.created_epoch_seconds.to_be_bytes());
        Self(u128::from_be_bytes(digest.finalize().into()))
    }
}

impl TelemetryRow {
    /// No row is longer.
    pub const BYTES_MAX: usize = 97 + 4 * BINS_MAX + 24 * HEAVY_KEYS_MAX + 24 * MINUTES_TOLD as usize;

    /// The row as it is stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut row = BytesMut::with_capacity(Self::BYTES_MAX);
        row.put_u8(VERSION);
        row.put_u128(self.stream.0);
        row.put_u128(self.range.start().0);
        row.put_u128(self.range.end().0);
        row.put_u64(self.written_epoch_millis);
        row.put_u32(self.behind.map_or(UNKNOWN, millis));
        row.put_u32(self.behind_before.map_or(UNKNOWN, millis));
        row.put_u32(millis(self.covered));
        row.put_f64(self.bytes_per_second);
        row.put_f64(self.records_per_second);
        row.put_u32(self.samples);
        put_list(&mut row, &self.bins, BINS_MAX, |row, bin| put_share(row, *bin));
        put_share(&mut row, self.unplaced);
        put_list(&mut row, &self.heavy_keys, HEAVY_KEYS_MAX, |row, heavy| {
            row.put_u128(heavy.hash.0);
            put_share(row, heavy.share);
            put_share(row, heavy.error);
        });
        put_list(&mut row, &self.minutes, MINUTES_TOLD as usize, |row, minute| {
            row.put_u32(minute.epoch_minute);
            row.put_u64(minute.bytes);
            row.put_u32(minute.records);
            row.put_u32(minute.bytes_second_max);
            row.put_u32(minute.records_second_max);
        });
        row.freeze()
    }

    /// Reads a stored row.
    ///
    /// # Errors
    /// [`InvalidRow`] if it is of another version, cut off, too long, or says what cannot be.
    pub fn decode(mut row: &[u8]) -> Result<Self, InvalidRow> {
        let version = row.try_get_u8()?;
        if version != VERSION {
            return Err(InvalidRow::Version { found: version });
        }
        let stream = StreamDigest(row.try_get_u128()?);
        let (start, end) = (HashKey(row.try_get_u128()?), HashKey(row.try_get_u128()?));
        let range = HashKeyRange::new(start, end).map_err(|_| InvalidRow::Content { field: "range" })?;
        let decoded = Self {
            stream,
            range,
            written_epoch_millis: row.try_get_u64()?,
            behind: known(row.try_get_u32()?),
            behind_before: known(row.try_get_u32()?),
            covered: Duration::from_millis(row.try_get_u32()?.into()),
            bytes_per_second: rate("bytes_per_second", row.try_get_f64()?)?,
            records_per_second: rate("records_per_second", row.try_get_f64()?)?,
            samples: row.try_get_u32()?,
            bins: list("bins", &mut row, BINS_MAX, share)?,
            unplaced: share(&mut row)?,
            heavy_keys: list("heavy_keys", &mut row, HEAVY_KEYS_MAX, |row| {
                let (hash, share, error) = (HashKey(row.try_get_u128()?), share(row)?, share(row)?);
                Ok(HeavyHash { hash, share, error })
            })?,
            minutes: list("minutes", &mut row, MINUTES_TOLD as usize, |row| {
                Ok(MinuteFigures {
                    epoch_minute: row.try_get_u32()?,
                    bytes: row.try_get_u64()?,
                    records: row.try_get_u32()?,
                    bytes_second_max: row.try_get_u32()?,
                    records_second_max: row.try_get_u32()?,
                })
            })?,
        };
        let bins_of_range = (range.end().0 - range.start().0) / bin_width(range) + 1;
        if decoded.bins.len() as u128 != bins_of_range {
            return Err(InvalidRow::Content { field: "bins" });
        }
        if decoded.heavy_keys.iter().any(|heavy| !range.contains(heavy.hash)) {
            return Err(InvalidRow::Content { field: "heavy_keys" });
        }
        if row.has_remaining() {
            return Err(InvalidRow::Content { field: "length" });
        }
        Ok(decoded)
    }

    /// The shard's parts and their shares, in order: from each first key to the next one's, or to the end of the range.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = (HashKey, LoadShare)> + '_ {
        let (start, width) = (self.range.start().0, bin_width(self.range));
        self.bins
            .iter()
            .enumerate()
            .map(move |(place, &share)| (HashKey(start + place as u128 * width), share))
    }
}

/// Bytes that are no row.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidRow {
    /// Another version wrote it.
    #[error("telemetry row of version {found}, and this reads version {VERSION}: use one version for both")]
    Version {
        /// Its version.
        found: u8,
    },
    /// It ends too early.
    #[error("telemetry row is cut off")]
    CutOff,
    /// It says what cannot be.
    #[error("telemetry row has an impossible {field}")]
    Content {
        /// What cannot be.
        field: &'static str,
    },
}

impl From<TryGetError> for InvalidRow {
    fn from(_: TryGetError) -> Self {
        Self::CutOff
    }
}

fn put_share(row: &mut BytesMut, share: LoadShare) {
    row.put_u16(share.bytes.0);
    row.put_u16(share.records.0);
}

fn put_list<T>(row: &mut BytesMut, list: &[T], entries_max: usize, put: impl Fn(&mut BytesMut, &T)) {
    let list = &list[..list.len().min(entries_max)];
    row.put_u8(u8::try_from(list.len()).expect("no list of a row is longer than 64"));
    list.iter().for_each(|entry| put(row, entry));
}

fn share(row: &mut &[u8]) -> Result<LoadShare, InvalidRow> {
    Ok(LoadShare { bytes: Share(row.try_get_u16()?), records: Share(row.try_get_u16()?) })
}

fn list<T>(
    field: &'static str,
    row: &mut &[u8],
    entries_max: usize,
    entry: impl Fn(&mut &[u8]) -> Result<T, InvalidRow>,
) -> Result<Vec<T>, InvalidRow> {
    let entries = usize::from(row.try_get_u8()?);
    if entries > entries_max {
        return Err(InvalidRow::Content { field });
    }
    (0..entries).map(|_| entry(row)).collect()
}

fn rate(field: &'static str, rate: f64) -> Result<f64, InvalidRow> {
    let is_sound = rate.is_finite() && (0.0..=RATE_MAX).contains(&rate);
    is_sound.then_some(rate).ok_or(InvalidRow::Content { field })
}

fn known(millis: u32) -> Option<Duration> {
    (millis != UNKNOWN).then(|| Duration::from_millis(millis.into()))
}

/// Longer than the greatest retention fits in: what is longer counts as that.
fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).min(UNKNOWN - 1)
}

/// Heavy keys of a row. More could not each have a noticeable share of a stream.
pub(super) const HEAVY_KEYS_MAX: usize = 16;
const VERSION: u8 = 1;
/// No duration.
const UNKNOWN: u32 = u32::MAX;
/// Far beyond what a shard takes, and far below where sums of many rows would lose precision.
const RATE_MAX: f64 = 1e12;

const _: () = assert!(TelemetryRow::BYTES_MAX <= 960, "with names, key and expiry a row is one write unit");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share() -> impl Strategy<Value = LoadShare> {
        any::<(u16, u16)>()
            .prop_map(|(bytes, records)| LoadShare { bytes: Share(bytes), records: Share(records) })
    }

    prop_compose! {
        fn minute()(epoch_minute: u32, bytes: u64, records: u32, bytes_second_max: u32, records_second_max: u32)
            -> MinuteFigures
        {
            MinuteFigures { epoch_minute, bytes, records, bytes_second_max, records_second_max }
        }
    }

    prop_compose! {
        fn row()(
            stream: u128,
            ends: (u128, u128),
            written_epoch_millis: u64,
            times in any::<(Option<u32>, Option<u32>, u32, u32)>(),
            rates in (0.0..1e9_f64, 0.0..1e6_f64),
            bins in proptest::collection::vec(share(), BINS_MAX),
            unplaced in share(),
            heavy in proptest::collection::vec((any::<u128>(), share(), share()), 0..=HEAVY_KEYS_MAX),
            minutes in proptest::collection::vec(minute(), 0..=MINUTES_TOLD as usize),
        ) -> TelemetryRow {
            let range = HashKeyRange::new(HashKey(ends.0.min(ends.1)), HashKey(ends.0.max(ends.1))).expect("ordered");
            let (start, end) = (range.start().0, range.end().0);
            let bins_of_range = ((end - start) / bin_width(range) + 1) as usize;
            let duration = |millis: u32| Duration::from_millis(millis.min(UNKNOWN - 1).into());
            TelemetryRow {
                stream: StreamDigest(stream),
                range,
                written_epoch_millis,
                behind: times.0.map(duration),
                behind_before: times.1.map(duration),
                covered: duration(times.2),
                bytes_per_second: rates.0,
                records_per_second: rates.1,
                samples: times.3,
                bins: bins[..bins_of_range].to_vec(),
                unplaced,
                heavy_keys: heavy
                    .into_iter()
                    .map(|(hash, share, error)| HeavyHash { hash: HashKey(hash.clamp(start, end)), share, error })
                    .collect(),
                minutes,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(row in row()) {
            let encoded = row.encode();
            prop_assert!(encoded.len() <= TelemetryRow::BYTES_MAX);
            prop_assert_eq!(TelemetryRow::decode(&encoded), Ok(row));
        }

        #[test]
        fn a_row_with_bytes_changed_lost_or_added_never_panics(
            row in row(), place: prop::sample::Index, byte: u8, more in proptest::collection::vec(any::<u8>(), 1..9)
        ) {
            let mut bytes = row.encode().to_vec();
            prop_assert!(TelemetryRow::decode(&bytes[..place.index(bytes.len())]).is_err());
            prop_assert!(TelemetryRow::decode(&[&bytes[..], &more].concat()).is_err());
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(row) = TelemetryRow::decode(&bytes) {
                prop_assert_eq!(row.segments().len(), row.bins.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = TelemetryRow::decode(&bytes);
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
                let _ = TelemetryRow::decode(&bytes);
            }
        }
    }

    #[test]
    fn streams_of_one_name_differ_by_their_creation() {
        let digest = |created_epoch_seconds| {
            StreamDigest::of(&StreamIdentity { arn: "arn:x:stream/s".to_owned(), created_epoch_seconds })
        };
        assert_eq!(digest(1), digest(1));
        assert_ne!(digest(1), digest(2));
    }

    #[test]
    fn rows_of_other_versions_and_rates_that_are_no_numbers_are_refused() {
        assert_eq!(TelemetryRow::decode(&[9, 9]), Err(InvalidRow::Version { found: 9 }));
        assert_eq!(TelemetryRow::decode(&[]), Err(InvalidRow::CutOff));
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e13] {
            assert!(rate("bytes_per_second", wrong).is_err(), "{wrong}");
        }
    }
}
