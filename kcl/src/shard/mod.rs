//! Consuming one shard: one task per held lease.

mod orders;
mod reader;
mod start;
mod tenure;

pub(crate) use orders::{OrderLink, ShardOrder};
pub(crate) use reader::{Answer, ReaderParts, ShardReader};
pub(crate) use start::Start;
pub(crate) use tenure::{Decision, Tenure, TenureOrder, TenureState};
