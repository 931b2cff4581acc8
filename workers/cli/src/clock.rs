//! The services' time where it is shown or compared with theirs, and the machine's for leases.

use std::sync::Arc;

use kcl::SystemClock;
use kcl_core::Millis;
use local::Clock;

/// A clock for programs that run beside services whose clock may be faster: the time of day is the services', so that it
/// fits arrival times and metrics; spans are the machine's, so that a lease of ten seconds lasts ten seconds.
#[derive(Debug)]
pub(crate) struct ServicesClock {
    services: Arc<Clock>,
}

impl ServicesClock {
    pub(crate) const fn new(services: Arc<Clock>) -> Self {
        Self { services }
    }
}

impl kcl::Clock for ServicesClock {
    fn now(&self) -> Millis {
        SystemClock.now()
    }

    fn epoch_millis(&self) -> u64 {
        self.services.now().0
    }
}
