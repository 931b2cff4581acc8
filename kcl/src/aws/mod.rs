//! The ports on AWS: leases and telemetry in DynamoDB, streams in Kinesis.
//!
//! ```text
//! StoreRequest ─▶ expression / item codecs ─▶ one DynamoDB call, never repeated by the SDK ─▶ StoreReply
//! ```
//!
//! The SDK's own retries are off for the lease store and for reading: a conditional write that is repeated after a lost
//! reply would be refused by itself, and pauses between reads are the shard loop's. Endpoint, region and credentials
//! come from the given [`SdkConfig`](aws_config::SdkConfig), so that the same code runs against any endpoint.

mod answer;
mod expression;
mod failure;
mod item;
mod lease_item;
mod lease_store;
mod lock_item;
mod roster_item;
mod stream;
mod table;
mod telemetry_store;
mod worker_item;

pub use item::InvalidItem;
pub use lease_item::{decode as decode_lease, encode as encode_lease};
pub use lease_store::DynamoDbLeaseStore;
pub use stream::KinesisStream;
pub use telemetry_store::DynamoDbTelemetryStore;
