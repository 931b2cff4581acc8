//! Faults drawn from a seed: a fixed pattern would fall in step with the calls of a coordinator.

use std::time::Duration;

use kcl::StoreFault;

/// Numbers below a bound that depend on nothing but the seed.
pub(crate) fn draws(seed: u64) -> impl FnMut(u64) -> u64 + Send {
    let mut state = seed;
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    }
}

/// One call in three goes wrong, in every way that a store has.
pub(crate) fn store_faults(seed: u64) -> impl FnMut() -> StoreFault + Send {
    let mut draw = draws(seed);
    move || match draw(15) {
        0 => StoreFault::LoseReply,
        1 => StoreFault::LoseRequest,
        2 => StoreFault::Throttle,
        3 => StoreFault::LandLate(Duration::from_millis(draw(800))),
        4 => StoreFault::Delay(Duration::from_millis(draw(300)), Duration::from_millis(draw(300))),
        _ => StoreFault::None,
    }
}
