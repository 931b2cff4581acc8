//! The autoscaler through its public interface.

mod traces;
