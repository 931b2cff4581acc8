//! CPU time and memory of processes, as the kernel counts them.

use std::time::Duration;

use anyhow::Context as _;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// CPU time, user and system, that this process has used.
pub(crate) fn cpu_time() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("this process's own usage cannot be read")?;
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// CPU time, user and system, that the process `id` has used.
pub(crate) fn cpu_time_of(id: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{id}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    ticks(&stat).with_context(|| format!("{path} tells no CPU time: {stat:?}"))
}

/// User and system time. The name of the program, in brackets, may hold anything.
fn ticks(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(FIELDS_BEFORE_USER_TIME);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis((user + system) * TICK_MILLIS))
}

/// Memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident bytes at this moment.
    pub(crate) resident_bytes: u64,
    /// The most that were resident at once, since the program was started.
    ///
    /// Not `ru_maxrss`, which a program inherits from the one that started it.
    pub(crate) resident_bytes_max: u64,
}

impl Memory {
    /// Memory of this process.
    pub(crate) fn own() -> anyhow::Result<Self> {
        Self::read("self")
    }

    /// Memory of the process `id`.
    pub(crate) fn of(id: u32) -> anyhow::Result<Self> {
        Self::read(&id.to_string())
    }

    fn read(process: &str) -> anyhow::Result<Self> {
        let path = format!("/proc/{process}/status");
        let status = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        Self::parse(&status).with_context(|| format!("{path} tells no memory"))
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kibibytes * 1024)
        };
        Some(Self { resident_bytes: bytes("VmRSS:")?, resident_bytes_max: bytes("VmHWM:")? })
    }
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let microseconds = u64::try_from(time.tv_usec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

/// Between the name of the program and its user time.
const FIELDS_BEFORE_USER_TIME: usize = 11;
/// The unit of `/proc`, the same on every architecture.
const TICK_MILLIS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_from_a_stat() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 5 0 100 200 300";
        assert_eq!(ticks(stat), Some(Duration::from_millis(420)));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_read_from_a_status() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t    70 kB\nVmRSS:\t    50 kB\nThreads:\t1\n";
        let expected = Memory { resident_bytes: 50 << 10, resident_bytes_max: 70 << 10 };
        assert_eq!(Memory::parse(status), Some(expected));
        assert_eq!(Memory::parse("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_sees_its_own_use() {
        let own = Memory::own().expect("readable");
        assert!(own.resident_bytes > 0 && own.resident_bytes_max >= own.resident_bytes);
        let before = cpu_time().expect("readable");
        let mut sum = 0_u64;
        while cpu_time().expect("readable") == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time().expect("readable") > before);
    }
}
