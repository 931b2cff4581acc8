//! No autoscaler: as many shards as the trace's busiest minute needs at 90 %, known in advance.
//!
//! What a careful operator provisions, and the reference for cost: it is throttled by skew and by bursts within a minute only.

use crate::simulate::{Cloud, Scaler, Trace};
use crate::{ShardLimits, StreamState};

/// Holds one shard count.
#[derive(Debug)]
pub(super) struct Fixed {
    count: u32,
}

impl Fixed {
    pub(super) fn new(trace: &Trace) -> Self {
        Self { count: fixed_count(trace, &ShardLimits::default()) }
    }
}

impl Scaler for Fixed {
    fn name(&self) -> &str {
        "static at peak ÷ 0.9"
    }

    fn shards_at_start(&self) -> Option<u32> {
        Some(self.count)
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        let count = cloud.layout().count();
        if count < self.count && cloud.state() == StreamState::Active {
            // After a refusal the next minute asks again.
            cloud.update_shard_count(self.count.min(count * 2)).ok();
        }
    }
}

/// The shards that the busiest minute of a trace needs at 90 %.
#[must_use]
pub fn fixed_count(trace: &Trace, limits: &ShardLimits) -> u32 {
    let demand = |bytes: f64, records: f64| {
        (bytes / limits.write_bytes_per_second).max(records / limits.write_records_per_second) / 60.0
    };
    let peak = trace.minutes.iter().map(|minute| demand(minute.bytes, minute.records)).fold(0.0, f64::max);
    ((peak / UTILISATION).ceil() as u32).max(1)
}

const UTILISATION: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::super::replay::{calls, replay, step};
    use super::*;

    #[test]
    fn the_busiest_minute_fits_at_ninety_percent_from_the_start() {
        let trace = step(4.0, 18.0, 600);
        assert_eq!(fixed_count(&trace, &ShardLimits::default()), 20);
        let run = replay(Fixed::new(&trace), &trace, 20);
        assert_eq!((calls(&run).len(), run.refused.len()), (0, 0));
    }

    #[test]
    fn a_smaller_stream_is_doubled_up_to_it() {
        let trace = step(4.0, 18.0, 60);
        let run = replay(Fixed::new(&trace), &trace, 8);
        assert_eq!(calls(&run).iter().map(|&(_, target)| target).collect::<Vec<_>>(), [16, 20]);
    }
}
