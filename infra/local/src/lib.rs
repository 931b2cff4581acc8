//! Kinesis, DynamoDB, S3, CloudWatch, SNS and SQS embedded in one process, behind one loopback port.
//!
//! For `leasehold local`, `leasehold services`, tests and demos: whatever speaks to AWS through an SDK speaks to
//! [`Services`] when its endpoint is set, with any credentials and region.
//!
//! ```text
//!                          ┌──────────────── thread and runtime of its own ────────────────┐
//!  AWS SDK, CLI ── HTTP ──▶│ front ─┬─▶ kinesis   wire codec ─▶ kinesis_model (pure)       │
//!            127.0.0.1     │        ├─▶ dynamodb  dispatch   ─▶ dynoxide over SQLite       │
//!                          │        ├─▶ s3        s3s        ─▶ plain files, <data>/s3     │
//!                          │        ├─▶ cloudwatch metrics of the model, alarms on its clock │
//!                          │        └─▶ notify     rustack     ─▶ topics and queues       │
//!                          └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Not for production and not a security boundary: signatures are ignored. Only the loopback address is bound, and
//! requests that a web page of another site could have caused are refused.
//!
//! On request DynamoDB throttles for a while, so that its clients can be tried: `PUT /_leasehold/throttle` with
//! `{"share": 0.5, "seconds": 20}`.
//!
//! Not offered: IAM, KMS, versions of objects, access control lists, DynamoDB streams and backups.

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

pub use clock::Clock;
pub use error::LocalError;
pub use in_process::InProcess;
pub use kinesis_model::{ControlPlane, Limits, WhenFull};
pub use services::Services;
pub use settings::{LocalSettings, Storage};
