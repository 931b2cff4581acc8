//! The model as its users see it: through `Kinesis`, on a virtual clock.

mod concurrency;
mod control_plane;
mod data_plane;
mod fan_out;
mod properties;
mod shards;
mod world;
