//! Calls into a processor: fenced by the lease, bounded when draining, isolated when they panic.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use kcl_core::Millis;

use super::tenure::Tenure;
use crate::clock::sleep_until;

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Called<T> {
    /// It returned.
    Returned(T),
    /// It panicked; the processor must not be used any more.
    Panicked(String),
    /// It was cancelled because the tenure is over.
    Fenced,
    /// It was cancelled because its time for draining is over.
    CutOff,
}

/// Runs `call` until it returns, the tenure is over, or, once an order to drain was given, `cut_off` of that order.
pub(crate) async fn call<T>(
    tenure: &Tenure,
    cut_off: impl Fn(Millis, Millis) -> Millis,
    call: impl Future<Output = T>,
) -> Called<T> {
    let overdue = async {
        let (_, until) = tenure.drain_ordered().await;
        let now = tenure.clock().now();
        sleep_until(&**tenure.clock(), cut_off(now, until)).await;
    };
    tokio::select! {
        biased;
        () = tenure.ended() => Called::Fenced,
        () = overdue => Called::CutOff,
        called = AssertUnwindSafe(call).catch_unwind() => match called {
            Ok(returned) => Called::Returned(returned),
            Err(panic) => Called::Panicked(panic_text(&*panic)),
        },
    }
}

/// Runs a synchronous `call` and keeps a panic of it from spreading.
pub(crate) fn isolated<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panic_text(&*panic))
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
