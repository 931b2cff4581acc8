//! Kinesis, DynamoDB, S3, CloudWatch, SNS and SQS embedded in one process, behind one loopback port.
//!
//! For `leasehold local`, `leasehold services`, tests and demos: whatever speaks to AWS through an SDK speaks to
//! [`Services`] when its endpoint is set, with any credentials and region.
//!
//! ```text
//!                          ┌──────────────── thread and runtime of its own ────────────────┐
//!  AWS SDK, CLI ── HTTP ──▶│ front ─┬─▶ kinesis     wire codec ─▶ kinesis_model (pure)      │
//!            127.0.0.1     │        ├─▶ dynamodb    dispatch   ─▶ dynoxide over SQLite      │
//!                          │        ├─▶ s3          s3s        ─▶ plain files, <data>/s3    │
//!                          │        ├─▶ cloudwatch  metrics of the model, alarms ─┐         │
//!                          │        └─▶ notify      rustack: topics and queues ◀──┘         │
//!                          └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! Not for production and not a security boundary: signatures are ignored. Only the loopback address is bound, and
//! requests that a web page of another site could have caused are refused.
//!
//! [`LocalSettings::time_scale`] shows hours in minutes: the control plane, quotas, retention, metrics and alarms go by one
//! [`Clock`] that runs so many times as fast. Programs do not run faster, so what a shard grants, and how long an iterator
//! or a message in flight lives, stays as it is per second of theirs; each record stands for `time_scale` records in the
//! metrics. So 1 MB/s fills a shard as it does at AWS, and CloudWatch says so. Only what a program takes for itself looks
//! longer on that clock: at 60, a reader that is a second behind lags a minute, and a lease that expires in ten seconds is
//! ten minutes without an owner. [`LocalSettings::record_weight`] lets each record stand for several, so that a small
//! machine can fill shards and consume what they take.
//!
//! On request DynamoDB throttles for a while, so that its clients can be tried: `PUT /_leasehold/throttle` with
//! `{"share": 0.5, "seconds": 20}`.
//!
//! Not offered: IAM, KMS, Lambda, EventBridge (but see [`LocalSettings::alarm_events_queue`]), versions of objects, access control lists, DynamoDB streams and backups.

mod clock;
mod cloudwatch;
mod dynamodb;
mod error;
mod front;
mod in_process;
mod kinesis;
mod notify;
mod s3;
mod services;
mod settings;
mod throttle;
mod wire;

pub use clock::{Clock, ClockAnchor, InvalidClockAnchor};
pub use error::LocalError;
pub use in_process::InProcess;
pub use kinesis_model::{ControlPlane, EpochMillis, Limits, WhenFull};
pub use services::Services;
pub use settings::{LocalSettings, Storage};
