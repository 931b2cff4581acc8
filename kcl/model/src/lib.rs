//! A pure model of Amazon Kinesis on a virtual clock.
//!
//! Every call takes the time as an argument; there is no clock, no randomness, no thread and no IO inside. The same
//! code is the in-memory adapter, the stream of the simulations and what the local server answers with.
//!
//! ```text
//!            control plane (one lock)                            data plane (one lock per shard)
//!  create, split, resize ─▶ Account ─▶ Stream ─▶ Topology        put  ─▶ Snapshot.route(hash) ─▶ Shard ─▶ ShardLog
//!                                        │  publishes             get  ─▶ Snapshot.shard(id)   ─▶ Shard ─▶ ShardLog
//!                                        └────────▶ Snapshot      subscribe ─▶ Subscription::poll ───────▶ ShardLog
//! ```
//!
//! A record gets its sequence number and its place in one step under its shard's lock, so no reader can pass a number
//! that is still to be filled. A reshard closes the parents' logs before it publishes the children: a put that routed
//! by the older snapshot finds its log closed and routes again, so nothing lands behind a reader.
//!
//! [`Kinesis`] is the whole service with one method per API operation; it can be shared between threads, and does the
//! same single-threaded. Not modelled: on-demand streams scaling by themselves, request rate limits of the control
//! plane, KMS keys, IAM.
//!
//! ```
//! use kinesis_model::{
//!     CreateStreamRequest, EpochMillis, GetRecordsRequest, GetShardIteratorRequest, Kinesis, PutRecordRequest,
//!     Settings, StartingPosition, StreamRef,
//! };
//! let kinesis = Kinesis::new(Settings::default());
//! let now = EpochMillis(1_700_000_000_000);
//! let stream = StreamRef::name("clicks");
//! kinesis.create_stream(CreateStreamRequest::provisioned("clicks", 1), now)?;
//! let put = kinesis.put_record(PutRecordRequest::new(stream.clone(), "visitor-1", "page view"), now)?;
//! let iterator = kinesis.get_shard_iterator(
//!     GetShardIteratorRequest { stream, shard_id: put.shard_id, position: StartingPosition::TrimHorizon },
//!     now,
//! )?;
//! let read = kinesis.get_records(GetRecordsRequest::new(iterator), now)?;
//! assert_eq!(read.records[0].data, "page view");
//! # Ok::<(), kinesis_model::KinesisError>(())
//! ```

mod account;
mod api;
mod consumers;
mod error;
mod filter;
mod kinesis;
mod metrics;
mod operation_time;
mod quota;
mod reshard;
mod segment;
mod sequence;
mod settings;
mod shard_log;
mod stored;
mod stream;
mod subscription;
mod subscription_slots;
mod throttle;
mod time;
mod token;
mod topology;
mod validate;

pub use api::*;
pub use error::{KinesisError, Result};
pub use kinesis::Kinesis;
pub use metrics::{Metric, MetricsMinute, Statistic, StreamMetrics};
pub use reshard::uniform_ranges;
pub use settings::{ControlPlane, Limits, Settings, WhenFull};
pub use subscription::{Subscription, SubscriptionStep};
pub use time::EpochMillis;
