//! Which shards a `ShardFilter` lets through.

use crate::topology::{ShardEntry, shard_number};
use crate::{EpochMillis, ShardFilter};

/// Whether `filter` shows `entry`, when the oldest readable moment is `trim_horizon`.
///
/// A time before the trim horizon stands for the trim horizon.
pub(crate) fn shows(filter: &ShardFilter, entry: &ShardEntry, trim_horizon: EpochMillis) -> bool {
    match filter {
        ShardFilter::AfterShardId(id) => shard_number(id).is_some_and(|number| entry.shard.number > number),
        ShardFilter::AtTrimHorizon => entry.was_open_at(trim_horizon),
        ShardFilter::FromTrimHorizon => was_open_from(entry, trim_horizon),
        ShardFilter::AtLatest => entry.closed.is_none(),
        ShardFilter::AtTimestamp(time) => entry.was_open_at(trim_horizon.max(*time)),
        ShardFilter::FromTimestamp(time) => was_open_from(entry, trim_horizon.max(*time)),
    }
}

fn was_open_from(entry: &ShardEntry, time: EpochMillis) -> bool {
    entry.closed.is_none_or(|closed| time <= closed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kcl_core::HashKey;

    use super::*;
    use crate::Settings;
    use crate::shard_log::LogOptions;
    use crate::stored::StoredBytes;
    use crate::topology::{Topology, shard_id};

    const CREATED: EpochMillis = EpochMillis(1_000_000);
    const SPLIT: EpochMillis = EpochMillis(1_005_000);

    fn shown(filter: &ShardFilter, trim_horizon: EpochMillis) -> Vec<u32> {
        let settings = Settings::default();
        let stored = Arc::new(StoredBytes::new(None, settings.when_full));
        let options = LogOptions::new(&settings, Duration::from_secs(86_400), stored);
        let mut topology = Topology::uniform(1, &options, CREATED);
        topology.split_at(HashKey(1 << 127), &options, SPLIT);
        let entries = topology.entries_after(None).filter(|entry| shows(filter, entry, trim_horizon));
        entries.map(|entry| entry.shard.number).collect()
    }

    #[test]
    fn all_six_filters_around_a_split() {
        let before = EpochMillis(SPLIT.0 - 1);
        let after = EpochMillis(SPLIT.0 + 1);
        for (filter, expected) in [
            (ShardFilter::AfterShardId(shard_id(0)), vec![1, 2]),
            (ShardFilter::AtTrimHorizon, vec![0]),
            (ShardFilter::FromTrimHorizon, vec![0, 1, 2]),
            (ShardFilter::AtLatest, vec![1, 2]),
            (ShardFilter::AtTimestamp(before), vec![0]),
            (ShardFilter::AtTimestamp(SPLIT), vec![1, 2]),
            (ShardFilter::AtTimestamp(EpochMillis(0)), vec![0]),
            (ShardFilter::FromTimestamp(SPLIT), vec![0, 1, 2]),
            (ShardFilter::FromTimestamp(after), vec![1, 2]),
            (ShardFilter::FromTimestamp(EpochMillis(0)), vec![0, 1, 2]),
        ] {
            assert_eq!(shown(&filter, CREATED), expected, "{filter:?}");
        }
    }

    #[test]
    fn the_trim_horizon_moves_on() {
        let after = EpochMillis(SPLIT.0 + 1);
        assert_eq!(shown(&ShardFilter::AtTrimHorizon, after), [1, 2]);
        assert_eq!(shown(&ShardFilter::FromTrimHorizon, after), [1, 2]);
        assert_eq!(shown(&ShardFilter::AtTimestamp(CREATED), after), [1, 2]);
    }
}
