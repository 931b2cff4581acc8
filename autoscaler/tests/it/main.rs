//! The autoscaler through its public interface.

mod hot_shard;
mod lag;
mod traces;
