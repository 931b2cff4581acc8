//! Settings of one pipeline: plain data read from TOML, checked before anything starts.
//!
//! Owns the names, defaults and documentation of every setting, the check for contradictions, and the identity of a
//! configuration (`config_hash`). Never opens a file: whoever loads settings hands over the texts they refer to.
//!
//! ```text
//! TOML text ─ from_toml ─▶ PipelineSettings ─ resolve(read) ─▶ ResolvedSettings ─▶ Pipeline::compile
//!   unknown fields refused      validate()        schema inlined       canonical_json, config_hash
//! ```
//!
//! The commented file of `leasehold init` is rendered from the doc comments of the structs here, so that file and code
//! cannot drift.

mod check;
mod choices;
mod duration_text;
mod load;
mod problem;
mod render;
mod resolved;
mod section;
mod sections;

pub use choices::{
    Boundary, Compression, Derivation, Emit, FirstEvent, Format, InitialPosition, LatePolicy, SessionIdKind,
    SessionMode, TimeUnit,
};
pub use problem::{Problem, SettingsError};
pub use resolved::{ResolvedSettings, SEMANTICS_VERSION, WRITER_VERSION};
pub use sections::{
    ApplicationSettings, DeriveSettings, FetchSettings, LeaseSettings, ParseSettings, PipelineSettings,
    SessionSettings, SinkSettings, StreamSettings, TelemetrySettings, ValidateSettings,
};
