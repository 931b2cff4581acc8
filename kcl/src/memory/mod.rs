//! The ports in memory: for tests, examples and simulations, with the faults that the real ones have.
//!
//! The lease store is the executable meaning of the protocol behind a lock; the stream is the model of Kinesis. Workers
//! that share clones of one store and one stream are a fleet.

mod faults;
mod store;
mod stream;
mod telemetry_store;

pub use faults::{FaultyLeaseStore, FaultyStream, StoreFault, StreamCall, StreamFault};
pub use store::MemoryLeaseStore;
pub use stream::MemoryStream;
pub use telemetry_store::MemoryTelemetryStore;
