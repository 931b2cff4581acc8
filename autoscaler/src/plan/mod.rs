//! What is to be done with a stream, and why.

mod ledger;
mod outcome;
pub mod partition;

pub use ledger::{Ledger, LedgerCall, Origin};
pub use outcome::{Action, Constraint, Decision, Plan, Rejected, Step};
