//! The columns of the comparison, for one run and for many together.

use serde::Serialize;

use crate::simulate::{Run, Scores};

/// One scaler on one trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The trace.
    pub trace: String,
    /// Its family: the trace's name without the seed.
    pub family: String,
    /// The scaler.
    pub scaler: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// One scaler on several traces.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The traces' family, or `all`.
    pub family: String,
    /// How many traces they are.
    pub traces: usize,
    /// The scaler.
    pub scaler: String,
    /// Means of minutes and shares, geometric means of ratios, the most calls, and sums of everything that is counted.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Minutes a day in which records were refused.
    pub throttled_minutes_per_day: f64,
    /// Part of the load that was lost, in percent.
    pub lost_percent: f64,
    /// Hours of open shards.
    pub shard_hours: f64,
    /// Those hours over the clairvoyant ideal's.
    pub over_ideal: f64,
    /// Those hours over the reactive oracle's, which sees no more than a controller can.
    pub over_reactive: f64,
    /// Most calls of `UpdateShardCount` in 24 hours.
    pub calls_in_24h_max: u32,
    /// Refused calls.
    pub refused: u32,
    /// Changes of capacity.
    pub moves: u32,
    /// Changes that undid another within the hour.
    pub opposite_moves_within_hour: u32,
    /// Shards created.
    pub shards_created: u32,
    /// Doublings and halvings of capacity that lasted.
    pub useful_changes: f64,
    /// Shards created for each of them; nothing without any.
    pub created_per_useful_change: Option<f64>,
}

impl Row {
    pub(super) fn of(run: &Run, ideal_hours: f64, reactive_hours: f64) -> Self {
        Self {
            trace: run.trace.clone(),
            family: family_of(&run.trace).to_owned(),
            scaler: run.scaler.clone(),
            figures: Figures::of(&run.scores, ideal_hours, reactive_hours),
        }
    }
}

impl Figures {
    fn of(scores: &Scores, ideal_hours: f64, reactive_hours: f64) -> Self {
        Self {
            throttled_minutes_per_day: scores.throttled_minutes_per_day,
            lost_percent: 100.0 * scores.lost_share,
            shard_hours: scores.shard_hours,
            over_ideal: scores.shard_hours / ideal_hours,
            over_reactive: scores.shard_hours / reactive_hours,
            calls_in_24h_max: scores.calls_in_24h_max,
            refused: scores.refused,
            moves: scores.moves,
            opposite_moves_within_hour: scores.opposite_moves_within_hour,
            shards_created: scores.shards_created,
            useful_changes: scores.useful_changes,
            created_per_useful_change: scores.shards_created_per_useful_change(),
        }
    }

    fn together(figures: &[&Self]) -> Self {
        let mean =
            |of: fn(&Self) -> f64| figures.iter().map(|&figures| of(figures)).sum::<f64>() / count(figures);
        let geometric = |of: fn(&Self) -> f64| {
            (figures.iter().map(|&figures| of(figures).ln()).sum::<f64>() / count(figures)).exp()
        };
        let sum = |of: fn(&Self) -> u32| figures.iter().map(|&figures| of(figures)).sum::<u32>();
        let shards_created = sum(|figures| figures.shards_created);
        let useful_changes = figures.iter().map(|figures| figures.useful_changes).sum();
        Self {
            throttled_minutes_per_day: mean(|figures| figures.throttled_minutes_per_day),
            lost_percent: mean(|figures| figures.lost_percent),
            shard_hours: figures.iter().map(|figures| figures.shard_hours).sum(),
            over_ideal: geometric(|figures| figures.over_ideal),
            over_reactive: geometric(|figures| figures.over_reactive),
            calls_in_24h_max: figures.iter().map(|figures| figures.calls_in_24h_max).max().unwrap_or(0),
            refused: sum(|figures| figures.refused),
            moves: sum(|figures| figures.moves),
            opposite_moves_within_hour: sum(|figures| figures.opposite_moves_within_hour),
            shards_created,
            useful_changes,
            created_per_useful_change: (useful_changes > 0.0)
                .then(|| f64::from(shards_created) / useful_changes),
        }
    }
}

/// Each scaler over all these rows, in the order in which the scalers come first.
pub(super) fn summaries(family: &str, rows: &[Row]) -> Vec<Summary> {
    let summary = |scaler: &str| {
        let figures: Vec<_> =
            rows.iter().filter(|row| row.scaler == scaler).map(|row| &row.figures).collect();
        Summary {
            family: family.to_owned(),
            traces: figures.len(),
            scaler: scaler.to_owned(),
            figures: Figures::together(&figures),
        }
    };
    in_first_order(rows.iter().map(|row| row.scaler.as_str())).into_iter().map(summary).collect()
}

/// The same for each family by itself.
pub(super) fn family_summaries(rows: &[Row]) -> Vec<Summary> {
    let of = |family: &str| {
        let rows: Vec<_> = rows.iter().filter(|row| row.family == family).cloned().collect();
        summaries(family, &rows)
    };
    in_first_order(rows.iter().map(|row| row.family.as_str())).into_iter().flat_map(of).collect()
}

fn in_first_order<'name>(names: impl Iterator<Item = &'name str>) -> Vec<&'name str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

fn family_of(trace: &str) -> &str {
    match trace.rsplit_once('-') {
        Some((family, seed)) if seed.bytes().all(|byte| byte.is_ascii_digit()) => family,
        Some(_) | None => trace,
    }
}

fn count<T>(items: &[T]) -> f64 {
    items.len() as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row(trace: &str, scaler: &str, throttled: f64, hours: f64) -> Row {
        let figures = Figures {
            throttled_minutes_per_day: throttled,
            lost_percent: throttled / 10.0,
            shard_hours: hours,
            over_ideal: hours / 100.0,
            over_reactive: hours / 120.0,
            calls_in_24h_max: throttled as u32,
            refused: 1,
            moves: 40,
            opposite_moves_within_hour: 1,
            shards_created: 30,
            useful_changes: 4.0,
            created_per_useful_change: Some(7.5),
        };
        let family = family_of(trace).to_owned();
        Row { trace: trace.to_owned(), family, scaler: scaler.to_owned(), figures }
    }

    #[test]
    fn a_family_is_the_name_without_the_seed() {
        assert_eq!(
            ["daily-1", "quiet-nights-12", "nyc_taxi", "a-b"].map(family_of),
            ["daily", "quiet-nights", "nyc_taxi", "a-b"]
        );
    }

    #[test]
    fn minutes_have_means_ratios_geometric_means_and_counts_sums() {
        let rows = [row("a-1", "x", 2.0, 100.0), row("a-1", "y", 0.0, 1.0), row("b-1", "x", 4.0, 400.0)];
        let all = summaries("all", &rows);
        assert_eq!(
            all.iter().map(|summary| (summary.scaler.as_str(), summary.traces)).collect::<Vec<_>>(),
            [("x", 2), ("y", 1)]
        );
        let figures = &all[0].figures;
        assert_eq!(
            (figures.throttled_minutes_per_day, figures.calls_in_24h_max, figures.moves),
            (3.0, 4, 80)
        );
        assert!((figures.over_ideal - 2.0).abs() < 1e-12, "{}", figures.over_ideal);
        assert_eq!(figures.created_per_useful_change, Some(7.5));
        let families = family_summaries(&rows);
        assert_eq!(
            families
                .iter()
                .map(|summary| (summary.family.as_str(), summary.scaler.as_str()))
                .collect::<Vec<_>>(),
            [("a", "x"), ("a", "y"), ("b", "x")]
        );
    }
}
