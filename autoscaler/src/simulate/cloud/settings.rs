//! What the simulated cloud is told at its start: limits, faults of the metrics, producers, readers.
//!
//! Plain data with defaults of the order that operators report; every default is one a suite may change.

use std::time::Duration;

use crate::ShardLimits;

/// How the cloud behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudSettings {
    /// Seeds every fault. Two runs of one trace see the same faults whatever the scalers do.
    pub seed: u64,
    /// What one shard takes and gives.
    pub limits: ShardLimits,
    /// Shards at the start. By default (`None`) as many as carry the greatest demand of the first hour at 70 %.
    pub shards: Option<u32>,
    /// Open shards that the account may have, those that exist only while a reshard runs included. Default 20,000.
    pub account_shards_max: u32,
    /// How long reshards take, in percent of the model's times. Default 100.
    pub operation_percent: u32,
    /// How CloudWatch shows the stream's metrics.
    pub metrics: MetricSettings,
    /// What producers do with refused records.
    pub retries: RetrySettings,
    /// The applications that read the stream. Default: one that polls as fast as Kinesis gives.
    pub applications: Vec<ApplicationSettings>,
    /// What workers report; nothing by default.
    pub telemetry: Option<TelemetrySettings>,
    /// Whether metrics by shard are switched on (`EnableEnhancedMonitoring`). Default off.
    pub shard_metrics: bool,
}

/// How CloudWatch shows one-minute points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricSettings {
    /// From the end of a minute until its point can be read. Default 2 minutes.
    pub delay: Duration,
    /// Part of the minutes whose points never appear, 0 to 1. Default 0.002.
    pub lost: f64,
    /// Part of the minutes whose points show too little at first, 0 to 1. Default 0.01.
    pub partial: f64,
    /// From the first sight of such a point until it is right. Default 3 minutes.
    pub correction: Duration,
}

/// What producers do with refused records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetrySettings {
    /// Part of the refused records that is tried again a minute later, 0 to 1; the rest is lost. Default 0.8.
    pub share: f64,
    /// In how many minutes a record is tried again before it is lost; 0 loses it at once. Default 2.
    pub minutes_max: u32,
    /// How often a refused record is tried within its minute: each try counts in the metric of refused records. Default 3.
    pub tries_per_minute: f64,
}

/// An application that reads the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationSettings {
    /// Its name.
    pub name: String,
    /// How it reads.
    pub mode: ReadMode,
    /// What it takes from one shard per second at most, in bytes.
    pub bytes_per_second: f64,
    /// When it is slower than that.
    pub slowdowns: Vec<Slowdown>,
}

/// How an application reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// `GetRecords`: all such applications share what a shard gives.
    Polling,
    /// Enhanced fan-out: what a shard gives is its own.
    FanOut,
}

/// A time in which an application reads less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowdown {
    /// When it begins, from the start of the trace.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// Part of the usual rate that is left, 0 to 1. At 0 the application is stopped: it neither reads nor reports.
    pub rate: f64,
}

/// What workers report about the records they read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TelemetrySettings {
    /// Time between two reports. Default 10 seconds.
    pub interval: Duration,
    /// From a report until it can be read. Default 2 seconds.
    pub delay: Duration,
    /// Equal parts of the hash space that the reports tell apart. Default 1,024.
    pub bins: u32,
    /// Heavy keys that the reports name at most. Default 32.
    pub heavy_keys_max: usize,
}

impl Default for CloudSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            limits: ShardLimits::default(),
            shards: None,
            account_shards_max: 20_000,
            operation_percent: 100,
            metrics: MetricSettings::default(),
            retries: RetrySettings::default(),
            applications: vec![ApplicationSettings::polling("application")],
            telemetry: None,
            shard_metrics: false,
        }
    }
}

impl CloudSettings {
    /// Without faults of the metrics and without retries: what is refused is lost. For exact expectations.
    #[must_use]
    pub fn exact() -> Self {
        Self {
            metrics: MetricSettings { lost: 0.0, partial: 0.0, ..MetricSettings::default() },
            retries: RetrySettings { share: 0.0, minutes_max: 0, tries_per_minute: 1.0 },
            ..Self::default()
        }
    }
}

impl Default for MetricSettings {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(120),
            lost: 0.002,
            partial: 0.01,
            correction: Duration::from_secs(180),
        }
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { share: 0.8, minutes_max: 2, tries_per_minute: 3.0 }
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            delay: Duration::from_secs(2),
            bins: 1_024,
            heavy_keys_max: 32,
        }
    }
}

impl ApplicationSettings {
    /// One that polls as fast as Kinesis gives and never pauses.
    #[must_use]
    pub fn polling(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mode: ReadMode::Polling,
            bytes_per_second: ShardLimits::default().read_bytes_per_second,
            slowdowns: Vec::new(),
        }
    }

    /// The part of its usual rate that it has `elapsed` after the start.
    pub(super) fn rate_at(&self, elapsed: Duration) -> f64 {
        let running = |slow: &&Slowdown| slow.after <= elapsed && elapsed < slow.after + slow.lasts;
        self.slowdowns.iter().filter(running).map(|slow| slow.rate.clamp(0.0, 1.0)).fold(1.0, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_the_running_slowdowns_counts() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let slow = |after, lasts, rate| Slowdown { after: minutes(after), lasts: minutes(lasts), rate };
        let application = ApplicationSettings {
            slowdowns: vec![slow(10, 10, 0.5), slow(15, 2, 0.0)],
            ..ApplicationSettings::polling("a")
        };
        let rates = [9, 10, 15, 17, 20].map(|at| application.rate_at(minutes(at)));
        assert_eq!(rates, [1.0, 0.5, 0.0, 0.5, 1.0]);
    }
}
