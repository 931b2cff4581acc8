//! A Kinesis Client Library for Rust.

mod context;
mod port;
mod processor;
mod record;

pub use context::ShardContext;
pub use port::{
    Application, Clock, ControlError, FetchError, Fetched, LeaseStore, NextFetch, OpenError, ShardIterator,
    StartAt, StreamControl, StreamIdentity, StreamSource,
};
pub use processor::{ProcessorFactory, Progress, RecordProcessor};
pub use record::{Record, RecordBatch};
