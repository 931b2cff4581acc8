//! The real binary, run as a user would run it.

mod autoscale;
mod autoscale_bed;
mod autoscale_lambda;
mod autoscale_policy;
mod autoscale_streams;
mod bad_input;
mod local;
mod scaling;
mod support;
mod weblog_sql;
