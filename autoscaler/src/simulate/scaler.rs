//! What is put to the test: anything that looks at a stream and changes its shards.

use super::Cloud;
use crate::Decision;

/// An autoscaler under simulation.
pub trait Scaler {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// The shards that the stream is to have at the start, for those that know in advance.
    fn shards_at_start(&self) -> Option<u32> {
        None
    }

    /// Why it did what it did last, or did nothing; `None` for those that do not say.
    fn decision(&self) -> Option<&Decision> {
        None
    }

    /// Called at the start of each simulated minute.
    fn minute(&mut self, cloud: &mut Cloud);

    /// Called the moment the stream is `ACTIVE` again, for those that wait for it to take their next step.
    fn reshard_done(&mut self, _cloud: &mut Cloud) {}
}
