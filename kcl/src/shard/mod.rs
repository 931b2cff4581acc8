//! Consuming one shard: one task per held lease.
//!
//! ```text
//! worker ──(Tenure: deadline, drain, stop)──▶ consumer ─┬─ fetching: reader ▶ pace ▶ deaggregate ▶ queue
//!        ◀──(ShardOrder: checkpoint, prepare, …)────────┴─ delivering: queue ▶ processor ▶ progress
//! ```

mod call;
mod consumer;
mod delivering;
mod fetching;
mod orders;
mod progress;
mod reader;
mod start;
mod tenure;

pub(crate) use call::panic_text;
pub(crate) use consumer::{ShardParts, consume};
pub(crate) use orders::{OrderLink, ShardOrder};
pub(crate) use reader::{Answer, ReaderParts, ShardReader};
pub(crate) use start::Start;
pub(crate) use tenure::{Decision, Tenure, TenureOrder, TenureState};
