//! What a stream costs in each capacity mode: provisioned under this planner, on demand, and on-demand Advantage.
//!
//! ```text
//!  Trace ─┬─ bytes, records ─▶ Volume ────────────────┬─▶ cost of each mode by Prices
//!         └─▶ simulate::run under the policy ─▶ hours ─┘
//! ```
//!
//! Pure arithmetic over a replay; a month has 730 hours and repeats the trace.

mod prices;

use std::fmt;

pub use prices::{InvalidPrice, Prices};
use serde::Serialize;

use crate::{CloudSettings, Ours, Policy, Trace, fixed_count, run};

/// Who reads the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Readers {
    /// Applications that poll: free where shards are paid for, by the gigabyte on demand.
    pub polling: u32,
    /// Enhanced fan-out consumers.
    pub fan_out: u32,
}

/// The capacity modes beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The trace.
    pub trace: String,
    /// How much is put.
    pub volume: Volume,
    /// Who reads it.
    pub readers: Readers,
    /// The modes, cheapest first.
    pub modes: Vec<ModeCost>,
    /// What the answer hinges on, and what no price shows.
    pub hinges: Vec<String>,
}

/// How much is put in a month.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Volume {
    /// Bytes.
    pub bytes: f64,
    /// Records.
    pub records: f64,
    /// The busiest minute's bytes per second.
    pub peak_bytes_per_second: f64,
}

/// What one mode costs in a month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModeCost {
    /// Which mode.
    pub mode: Mode,
    /// All of it, in dollars.
    pub dollars: f64,
    /// For shards, for the stream, or for capacity that was committed to.
    pub fixed: f64,
    /// For what is put.
    pub put: f64,
    /// For what is read.
    pub read: f64,
    /// Minutes a day in which records are refused, as replayed; the hinges tell of the other modes.
    pub throttled_minutes_per_day: Option<f64>,
    /// Mean shards.
    pub shards: Option<f64>,
}

/// A capacity mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Provisioned, scaled by this planner.
    Planned,
    /// Provisioned, for good at what its peak fills to 90 %.
    FixedAtPeak,
    /// On demand.
    OnDemand,
    /// On-demand Advantage, which is committed to for the whole account.
    Advantage,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Planned => "provisioned, planned",
            Self::FixedAtPeak => "provisioned, fixed at peak",
            Self::OnDemand => "on demand",
            Self::Advantage => "on-demand Advantage",
        })
    }
}

/// What `trace` costs in a month in each mode.
#[must_use]
pub fn advise(trace: &Trace, policy: &Policy, readers: Readers, prices: &Prices) -> Advice {
    let settings = CloudSettings { limits: policy.limits, ..CloudSettings::default() };
    let planned = run(trace, &settings, &mut Ours::new(policy.clone())).scores;
    let hours = (trace.minutes.len() as f64 / 60.0).max(f64::MIN_POSITIVE);
    let fixed = f64::from(fixed_count(trace, &policy.limits));
    let volume = Volume::of(trace, hours);
    let provisioned = |mode, shards: f64, throttled_minutes_per_day| {
        let hours = shards * HOURS_OF_A_MONTH;
        let fan_out = f64::from(readers.fan_out);
        let cost = ModeCost {
            fixed: hours * (prices.shard_hour + prices.fan_out_shard_hour * fan_out),
            put: volume.put_units() / MILLION * prices.put_units_million,
            read: volume.gigabytes() * prices.fan_out_gigabyte * fan_out,
            throttled_minutes_per_day,
            shards: Some(shards),
            ..ModeCost::of(mode)
        };
        cost.summed()
    };
    let mut modes = vec![
        provisioned(Mode::Planned, planned.shard_hours / hours, Some(planned.throttled_minutes_per_day)),
        provisioned(Mode::FixedAtPeak, fixed, None),
        on_demand(volume, readers, prices),
        advantage(volume, readers, prices),
    ];
    modes.sort_by(|one, other| one.dollars.total_cmp(&other.dollars));
    let hinges = hinges(volume, readers, prices);
    Advice { trace: trace.name.clone(), volume, readers, modes, hinges }
}

impl Volume {
    fn of(trace: &Trace, hours: f64) -> Self {
        let months = hours / HOURS_OF_A_MONTH;
        let sum = |value: fn(&crate::MinuteLoad) -> f64| trace.minutes.iter().map(value).sum::<f64>();
        let peak = trace.minutes.iter().map(|minute| minute.bytes / 60.0).fold(0.0, f64::max);
        let (bytes, records) = (sum(|minute| minute.bytes) / months, sum(|minute| minute.records) / months);
        Self { bytes, records, peak_bytes_per_second: peak }
    }

    fn gigabytes(self) -> f64 {
        self.bytes / GIGABYTE
    }

    /// Mean size, since only sums are known.
    fn record_bytes(self) -> f64 {
        if self.records > 0.0 { self.bytes / self.records } else { 0.0 }
    }

    /// A record counts in units of 25 KB, begun ones whole.
    fn put_units(self) -> f64 {
        self.records * (self.record_bytes() / PUT_UNIT_BYTES).ceil()
    }

    /// On demand a record counts in KB, begun ones whole.
    fn rounded_gigabytes(self) -> f64 {
        self.records * (self.record_bytes() / KILOBYTE).ceil() * KILOBYTE / GIGABYTE
    }
}

impl ModeCost {
    const fn of(mode: Mode) -> Self {
        let throttled_minutes_per_day = None;
        Self { mode, dollars: 0.0, fixed: 0.0, put: 0.0, read: 0.0, throttled_minutes_per_day, shards: None }
    }

    fn summed(self) -> Self {
        Self { dollars: self.fixed + self.put + self.read, ..self }
    }
}

fn on_demand(volume: Volume, readers: Readers, prices: &Prices) -> ModeCost {
    let read = f64::from(readers.polling) * prices.on_demand_out
        + f64::from(readers.fan_out) * prices.on_demand_fan_out;
    let cost = ModeCost {
        fixed: prices.on_demand_stream_hour * HOURS_OF_A_MONTH,
        put: volume.rounded_gigabytes() * prices.on_demand_in,
        read: volume.gigabytes() * read,
        ..ModeCost::of(Mode::OnDemand)
    };
    cost.summed()
}

/// As if this stream were the account's only one: what falls short of the commitment is paid for, too.
fn advantage(volume: Volume, readers: Readers, prices: &Prices) -> ModeCost {
    let (put, read) =
        (volume.rounded_gigabytes(), volume.gigabytes() * f64::from(readers.polling + readers.fan_out));
    let committed = committed_gigabytes(prices);
    let missing = |used: f64, price: f64| (committed - used).max(0.0) * price;
    let cost = ModeCost {
        fixed: missing(put, prices.advantage_in) + missing(read, prices.advantage_out),
        put: put * prices.advantage_in,
        read: read * prices.advantage_out,
        ..ModeCost::of(Mode::Advantage)
    };
    cost.summed()
}

fn committed_gigabytes(prices: &Prices) -> f64 {
    prices.advantage_mebibytes_per_second * MEBIBYTE * 3_600.0 * HOURS_OF_A_MONTH / GIGABYTE
}

fn hinges(volume: Volume, readers: Readers, prices: &Prices) -> Vec<String> {
    let floor = committed_gigabytes(prices) * (prices.advantage_in + prices.advantage_out);
    let mut hinges = vec![
        "skew: the replay takes keys to be even; the provisioned planner cuts a hot range and isolates a hot key, on demand \
         splits evenly and does neither, and its documentation sends very uneven keys back to provisioned mode"
            .to_owned(),
        "order: records of one key stay in order in all of these; service-managed distribution, on demand only, drops keys \
         and order for the sake of even shards"
            .to_owned(),
        format!(
            "fan-out: each consumer adds ${:.3} to every shard-hour, here {} of them; surplus shards are paid for once for \
             each, and Advantage asks no premium",
            prices.fan_out_shard_hour, readers.fan_out
        ),
        "surges: on demand serves twice the peak of the last 30 days and may refuse what more than doubles within 15 minutes; \
         the planner's refusals are those of its row"
            .to_owned(),
        format!(
            "Advantage is one commitment of at least 24 hours for all streams of an account and region, ${floor:.0} a month \
             and no less; it counts here as if this stream were the only one"
        ),
        "switching the mode keeps the shards, and is allowed twice in 24 hours".to_owned(),
    ];
    if volume.record_bytes() < SMALL_RECORD_BYTES {
        hinges.push(format!(
            "records of {:.0} bytes: a PUT unit is 25 KB and on demand rounds up to 1 KB, so aggregating them saves most of \
             what is paid for putting",
            volume.record_bytes()
        ));
    }
    hinges
}

/// AWS's month.
const HOURS_OF_A_MONTH: f64 = 730.0;
const MILLION: f64 = 1e6;
const KILOBYTE: f64 = 1024.0;
const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// As AWS bills it.
const GIGABYTE: f64 = 1024.0 * 1024.0 * 1024.0;
const PUT_UNIT_BYTES: f64 = 25.0 * 1024.0;
/// Below it rounding is most of the price.
const SMALL_RECORD_BYTES: f64 = 700.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EpochMillis, KeySchedule, LoadMap, MinuteLoad};

    /// A day of 8 MiB/s in records of this size.
    fn steady(record_bytes: f64) -> Trace {
        let bytes = 8.0 * MEBIBYTE * 60.0;
        let minute = MinuteLoad { bytes, records: bytes / record_bytes, burst: 1.0 };
        let keys = KeySchedule::constant(LoadMap::even());
        Trace { name: "steady".to_owned(), start: EpochMillis(0), minutes: vec![minute; 1_440], keys }
    }

    const ONE: Readers = Readers { polling: 1, fan_out: 0 };

    fn an_hour(trace: &Trace, readers: Readers, mode: Mode) -> f64 {
        let advice = advise(trace, &Policy::default(), readers, &Prices::default());
        let cost = advice.modes.iter().find(|cost| cost.mode == mode).expect("every mode is there");
        assert!(advice.modes.is_sorted_by_key(|cost| cost.dollars));
        (cost.dollars - cost.fixed * f64::from(u8::from(mode == Mode::Planned))) / HOURS_OF_A_MONTH
    }

    #[test]
    fn worked_figures_of_eight_mebibytes_a_second_come_out() {
        let (large, small) = (steady(25.0 * KILOBYTE), steady(KILOBYTE));
        assert!((an_hour(&large, ONE, Mode::Planned) - 0.0165).abs() < 0.001, "PUT units of 25 KB");
        assert!((an_hour(&small, ONE, Mode::Planned) - 0.413).abs() < 0.001, "PUT units of 1 KB");
        assert!((an_hour(&small, ONE, Mode::OnDemand) - 3.415).abs() < 0.001);
        assert!((an_hour(&small, ONE, Mode::Advantage) - 4.22).abs() < 0.01, "the commitment is not used up");
    }

    #[test]
    fn each_fan_out_consumer_is_paid_for_by_the_shard() {
        let cost = |fan_out| {
            let readers = Readers { polling: 0, fan_out };
            let advice = advise(&steady(KILOBYTE), &Policy::default(), readers, &Prices::default());
            advice.modes.into_iter().find(|cost| cost.mode == Mode::FixedAtPeak).expect("there")
        };
        let (none, two) = (cost(0), cost(2));
        assert!((two.fixed / none.fixed - 3.0).abs() < 1e-9);
        assert!(two.read > 0.0 && none.read == 0.0);
    }
}
