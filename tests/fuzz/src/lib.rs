//! Everything that Leasehold decodes, under hostile input; and its coordinators, under schedules chosen by bytes.
//!
//! Each target is a plain function of bytes: it decodes them through the product's own entry points and asserts what
//! must hold of the result (what was decoded is encoded and decoded to the same, each record has one outcome, no answer
//! is a server error). A panic is a bug, and so is memory out of proportion to the input.
//!
//! ```text
//!                              ┌─ tests/replay/: the corpus, then generated inputs, with a bound on memory
//! corpus/<target>/* ──▶ target ┤
//!                              └─ fuzz/: coverage-guided, `just fuzz <target> <seconds>`
//! ```
//!
//! A checksum that guards the input is made right first, so that the fuzzer gets behind it. An input that once crashed a
//! target lies in its corpus for ever.

mod lease_item;
mod pipeline;
mod schedule;
mod server;
mod settings;
mod sink;
mod stream;
mod target;

pub use lease_item::lease_item;
pub use pipeline::{json_event, log_line};
pub use schedule::schedule;
pub use server::server_request;
pub use settings::settings_toml;
pub use sink::{intent, manifest, snapshot};
pub use stream::{aggregate, sequence_number};
pub use target::{TARGETS, Target};
