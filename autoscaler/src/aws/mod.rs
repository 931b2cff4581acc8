//! The ports of the reconciler on AWS: the row in DynamoDB, the stream in Kinesis, what is seen of it in CloudWatch.
//!
//! ```text
//!   RowStore     ─▶ GetItem, UpdateItem (one attempt)                                     DynamoDB
//!   ShardControl ─▶ DescribeStreamSummary, ListShards, DescribeLimits (repeated)          Kinesis
//!                ─▶ UpdateShardCount, SplitShard, MergeShards (one attempt)
//!   Observer     ─▶ the above, and GetMetricData, 500 metrics a call                      CloudWatch
//!   Gauges       ─▶ PutMetricData
//!   AuditSink    ─▶ PutItem                                                                DynamoDB
//! ```
//!
//! What changes something is sent once: the SDK's own repetition after a lost answer would make two calls of one intent.

mod audit;
mod control;
mod error;
mod gauges;
mod metrics;
mod observer;
mod rows;
mod switch;

pub use audit::{AuditTable, AuditTableSink, AuditTableWriter};
pub use control::KinesisControl;
pub use error::is_not_found;
pub use gauges::CloudWatchGauges;
pub use observer::AwsObserver;
pub use rows::{DynamoDbRows, create_table};
pub use switch::{Pause, PauseSwitch};

#[cfg(test)]
mod tests;
