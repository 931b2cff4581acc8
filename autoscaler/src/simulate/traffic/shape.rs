//! What shapes a load over time: each function multiplies its effect into a series of minutes.
//!
//! ```text
//!   load(t) = season(t) · noise(t) · regime(t) · crowds(t) · …       relative; the family scales it
//! ```

use std::f64::consts::TAU;

use super::draws::Draws;

/// Daily and weekly waves: three and two harmonics, the first of each of this amplitude.
pub(super) fn season(load: &mut [f64], draws: &mut Draws, daily: f64, weekly: f64) {
    let mut waves = Vec::new();
    for (harmonic, weight) in [(1.0, 1.0), (2.0, 0.4), (3.0, 0.2)] {
        waves.push((harmonic * TAU / DAY, daily * weight * draws.between(0.6, 1.0), draws.between(0.0, TAU)));
    }
    for (harmonic, weight) in [(1.0, 1.0), (2.0, 0.5)] {
        let pace = harmonic * TAU / (7.0 * DAY);
        waves.push((pace, weekly * weight * draws.between(0.6, 1.0), draws.between(0.0, TAU)));
    }
    for (minute, load) in load.iter_mut().enumerate() {
        let wave: f64 =
            waves.iter().map(|(pace, height, phase)| height * libm::cos(pace * minute as f64 + phase)).sum();
        *load *= (1.0 + wave).max(SEASON_MIN);
    }
}

/// Fluctuations of this deviation that fade over ten minutes or so.
pub(super) fn noise(load: &mut [f64], draws: &mut Draws, deviation: f64) {
    let innovation = deviation * (1.0 - NOISE_MEMORY * NOISE_MEMORY).sqrt();
    let mut level = deviation * draws.normal();
    for load in load {
        *load *= libm::exp(level - deviation * deviation / 2.0);
        level = NOISE_MEMORY * level + innovation * draws.normal();
    }
}

/// Levels from `low` to `high` that hold for hours or days and change at once.
pub(super) fn regimes(load: &mut [f64], draws: &mut Draws, low: f64, high: f64) {
    let mut until = 0;
    let mut level = 1.0;
    for (minute, load) in load.iter_mut().enumerate() {
        if minute >= until {
            level = draws.log_between(low, high);
            until = minute + draws.minutes(6 * 60, 48 * 60);
        }
        *load *= level;
    }
}

/// Flash crowds: 2 to 20 times the load by Pareto's law, within minutes, for up to three hours, fading away.
pub(super) fn crowds(load: &mut [f64], draws: &mut Draws, per_day: f64) {
    let mut factors = vec![1.0_f64; load.len()];
    for start in draws.arrivals(per_day, load.len()) {
        let height = draws.pareto(2.0, 20.0, 1.3) - 1.0;
        let (ramp, plateau) = (draws.minutes(1, 15), draws.minutes(20, 180));
        let fading = draws.between(10.0, 30.0);
        for (minute, factor) in factors[start..].iter_mut().enumerate() {
            let part = match minute.checked_sub(ramp + plateau) {
                None => ((minute + 1) as f64 / ramp as f64).min(1.0),
                Some(since) => libm::exp(-(since as f64) / fading),
            };
            if part < 0.01 {
                break;
            }
            *factor = factor.max(1.0 + height * part);
        }
    }
    multiply(load, &factors);
}

/// Jobs that run on the clock: each adds a square wave of up to three times the base.
pub(super) fn batches(load: &mut [f64], draws: &mut Draws) {
    let mut factors = vec![1.0; load.len()];
    for _ in 0..draws.minutes(1, 3) {
        let period = draws.one_of(&[60, 120, 180, 240, 360]);
        let busy = (period as f64 * draws.between(0.1, 0.4)) as usize;
        let (offset, height) = (draws.index(period), draws.between(0.5, 3.0));
        for (minute, factor) in factors.iter_mut().enumerate() {
            if (minute + offset) % period < busy {
                *factor += height;
            }
        }
    }
    multiply(load, &factors);
}

/// Producers cut off for up to an hour, who then deliver what they kept, at 2 to 5 times their pace.
pub(super) fn outages(load: &mut [f64], draws: &mut Draws, per_day: f64) {
    for start in draws.arrivals(per_day, load.len()) {
        let down = draws.minutes(5, 60);
        let pace = draws.between(2.0, 5.0);
        let mut kept = 0.0;
        for (minute, load) in load[start..].iter_mut().enumerate() {
            if minute < down {
                let cut_off = *load * 0.98;
                *load -= cut_off;
                kept += cut_off;
            } else if kept > 0.0 {
                let delivered = (*load * (pace - 1.0)).min(kept);
                *load += delivered;
                kept -= delivered;
            } else {
                break;
            }
        }
    }
}

/// A stream that becomes 4 to 12 times as large, most of it within some days.
pub(super) fn growth(load: &mut [f64], draws: &mut Draws) {
    let ratio = draws.between(4.0, 12.0);
    let middle = load.len() as f64 * draws.between(0.3, 0.7);
    let pace = DAY * draws.between(0.3, 1.5);
    for (minute, load) in load.iter_mut().enumerate() {
        *load *= 1.0 + (ratio - 1.0) / (1.0 + libm::exp((middle - minute as f64) / pace));
    }
}

/// Almost nothing at night, and for every other stream at the weekend: the load comes and goes within an hour.
pub(super) fn quiet_nights(load: &mut [f64], draws: &mut Draws) {
    let night = draws.log_between(0.002, 0.02);
    let (dawn, day) = (draws.between(5.0, 9.0) * 60.0, draws.between(9.0, 14.0) * 60.0);
    let ramp = draws.between(20.0, 90.0);
    let rests_at_weekends = draws.unit() < 0.5;
    for (minute, load) in load.iter_mut().enumerate() {
        let of_day = (minute % 1_440) as f64;
        let is_weekend = minute / 1_440 % 7 >= 5;
        let rising = ((of_day - dawn) / ramp).clamp(0.0, 1.0);
        let falling = ((dawn + day - of_day) / ramp).clamp(0.0, 1.0);
        let awake = if is_weekend && rests_at_weekends { 0.0 } else { rising.min(falling) };
        *load *= libm::pow(night, 1.0 - awake);
    }
}

/// The busiest second of minutes in which thousands of producers send independently of each other.
pub(super) fn calm_seconds(minutes: usize, draws: &mut Draws) -> Vec<f64> {
    let height = draws.between(0.03, 0.12);
    (0..minutes).map(|_| 1.0 + height * draws.between(0.7, 1.3)).collect()
}

/// Some episodes a day in which producers flush on a common clock: the busiest second is up to three times the mean.
pub(super) fn bursts(seconds: &mut [f64], draws: &mut Draws) {
    let per_day = draws.between(2.0, 6.0);
    for start in draws.arrivals(per_day, seconds.len()) {
        let height = draws.between(1.4, 3.0);
        let length = draws.minutes(5, 90);
        for second in seconds[start..].iter_mut().take(length) {
            *second = second.max(height * draws.between(0.9, 1.1));
        }
    }
}

/// Bytes of the mean record by minute: a mixture of small and large ones whose part changes every few hours, so that
/// records bind at times and bytes at others.
pub(super) fn record_sizes(minutes: usize, draws: &mut Draws) -> Vec<f64> {
    let small = draws.between(200.0, 500.0) * log_normal_mean(0.6);
    let large = draws.between(5_000.0, 12_000.0) * log_normal_mean(0.8);
    let (mut part, mut next, mut until) = (0.0, 0.0, 0);
    let mut many_are_large = false;
    (0..minutes)
        .map(|minute| {
            if minute >= until {
                many_are_large = !many_are_large;
                next = if many_are_large { draws.between(0.12, 0.35) } else { draws.between(0.0, 0.04) };
                until = minute + draws.minutes(2 * 60, 12 * 60);
            }
            part += (next - part) / 10.0;
            small * (1.0 - part) + large * part
        })
        .collect()
}

fn log_normal_mean(deviation: f64) -> f64 {
    libm::exp(deviation * deviation / 2.0)
}

fn multiply(load: &mut [f64], factors: &[f64]) {
    load.iter_mut().zip(factors).for_each(|(load, factor)| *load *= factor);
}

/// Minutes.
const DAY: f64 = 1_440.0;
/// Harmonics may add up to more than the mean; a season never takes the load below this part of it.
const SEASON_MIN: f64 = 0.1;
/// The correlation of one minute with the next.
const NOISE_MEMORY: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_delays_the_load_and_loses_none() {
        let mut draws = Draws::of("outage", 3);
        let mut load = vec![1.0; 20_160];
        outages(&mut load, &mut draws, 0.5);
        assert!((load.iter().sum::<f64>() - 20_160.0).abs() < 60.0);
        assert!(load.iter().any(|&load| load < 0.1) && load.iter().any(|&load| load > 1.9));
    }

    #[test]
    fn a_crowd_comes_within_minutes_and_fades() {
        let mut load = vec![1.0; 20_160];
        crowds(&mut load, &mut Draws::of("crowd", 5), 0.3);
        let peak = load.iter().copied().fold(0.0, f64::max);
        let calm = load.iter().filter(|&&load| load == 1.0).count();
        assert!((2.0..=20.0).contains(&peak) && calm > 15_000, "{peak} {calm}");
    }

    #[test]
    fn noise_keeps_the_mean() {
        let mut load = vec![1.0; 20_160];
        noise(&mut load, &mut Draws::of("noise", 1), 0.1);
        let mean = load.iter().sum::<f64>() / 20_160.0;
        let deviation =
            (load.iter().map(|load| (load - mean) * (load - mean)).sum::<f64>() / 20_160.0).sqrt();
        assert!((mean - 1.0).abs() < 0.02 && (0.08..0.12).contains(&deviation), "{mean} {deviation}");
    }
}
