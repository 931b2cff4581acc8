//! The real binary, run as a user would run it.

mod autoscale;
mod bad_input;
mod local;
mod support;
mod weblog_sql;
