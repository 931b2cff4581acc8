//! Alarms as AWS delivers them, by every route: what is accepted, what is refused, and the loops that read them.

mod accepted;
mod fixture;
#[cfg(feature = "lambda")]
mod lambda;
#[cfg(feature = "lambda")]
mod lambda_runtime_api;
mod mutated;
mod official_types;
mod refused;
#[cfg(feature = "aws")]
mod sqs;
