//! The comparison as text: aligned columns, at most 110 wide.

use std::fmt::{self, Write};

use super::row::Figures;
use super::{Bar, Comparison};

impl Comparison {
    /// Every scaler on every trace.
    #[must_use]
    pub fn traces_table(&self) -> String {
        let mut text = String::new();
        let rows = self.rows.iter().map(|row| (row.trace.clone(), row.scaler.as_str(), &row.figures));
        write_groups(&mut text, rows).expect("a string takes everything");
        text
    }
}

/// Families, all traces together, and the bars.
impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summaries = self.families.iter().chain(&self.overall).map(|summary| {
            let plural = if summary.traces == 1 { "" } else { "s" };
            let title = format!("{} ({} trace{plural})", summary.family, summary.traces);
            (title, summary.scaler.as_str(), &summary.figures)
        });
        write_groups(formatter, summaries)?;
        writeln!(formatter)?;
        self.bars.iter().try_for_each(|bar| write_bar(formatter, bar))
    }
}

fn write_groups<'row>(
    to: &mut impl Write,
    rows: impl Iterator<Item = (String, &'row str, &'row Figures)>,
) -> fmt::Result {
    let mut group = String::new();
    for (title, scaler, figures) in rows {
        if title != group {
            if group.is_empty() {
                write_header(to)?;
            }
            writeln!(to, "{title}")?;
            group = title;
        }
        write_row(to, scaler, figures)?;
    }
    Ok(())
}

fn write_header(to: &mut impl Write) -> fmt::Result {
    let line = |cells: [&str; 8]| {
        let [throttled, lost, ideal, reactive, calls, refused, opposite, created] = cells;
        format!(
            "{:NAME$}{throttled:>10}{lost:>8}{ideal:>9}{reactive:>10}{calls:>7}{refused:>9}{opposite:>10}{created:>9}",
            ""
        )
    };
    writeln!(
        to,
        "{}",
        line(["throttled", "lost", "hours", "hours", "calls", "refused", "opposite", "created"])
    )?;
    writeln!(to, "{}", line(["min/day", "%", "÷ ideal", "÷ oracle", "/24 h", "calls", "in 1 h", "÷ useful"]))
}

fn write_row(to: &mut impl Write, scaler: &str, figures: &Figures) -> fmt::Result {
    let created =
        figures.created_per_useful_change.map_or_else(|| "–".to_owned(), |created| format!("{created:.1}"));
    let width = NAME - 2;
    writeln!(
        to,
        "  {scaler:width$}{:>10.1}{:>8.2}{:>9.2}{:>10.2}{:>7}{:>9}{:>10}{created:>9}",
        figures.throttled_minutes_per_day,
        figures.lost_percent,
        figures.over_ideal,
        figures.over_reactive,
        figures.calls_in_24h_max,
        figures.refused,
        figures.opposite_moves_within_hour,
    )
}

fn write_bar(to: &mut impl Write, bar: &Bar) -> fmt::Result {
    let verdict = if bar.holds { "holds" } else { "FAILS" };
    let measured =
        if bar.measured < 1_000.0 { format!("{:.2}", bar.measured) } else { "≥ 1000".to_owned() };
    writeln!(to, "{verdict}  {:45} {measured:>7} ≤ {:<5} {}", bar.name, bar.at_most, bar.binds)
}

/// Columns for a scaler's name.
const NAME: usize = 36;

#[cfg(test)]
mod tests {
    use super::super::bar;
    use super::super::row::tests::row;
    use super::super::row::{family_summaries, summaries};
    use super::*;

    fn comparison() -> Comparison {
        let rows = vec![
            row("daily-1", "target tracking, no quota plan", 12_345.6, 1_234.0),
            row("daily-1", bar::AWS_SAMPLES, 0.04, 100.0),
            row("daily-2", "target tracking, no quota plan", 0.0, 100.0),
            row("daily-2", bar::AWS_SAMPLES, 0.0, 100.0),
        ];
        let overall = summaries("all", &rows);
        Comparison { families: family_summaries(&rows), bars: bar::judge(&rows, &overall), overall, rows }
    }

    #[test]
    fn columns_are_aligned_and_fit() {
        let comparison = comparison();
        let text = comparison.traces_table();
        let widths: Vec<_> =
            text.lines().filter(|line| line.starts_with("  ")).map(|line| line.chars().count()).collect();
        assert_eq!(widths.len(), 2 + 4, "header and rows: {text}");
        assert!(widths.iter().all(|&width| width == widths[0]), "{text}");
        assert!(comparison.to_string().lines().all(|line| line.chars().count() <= 110), "{comparison}");
    }

    #[test]
    fn each_group_is_named_once() {
        let text = comparison().to_string();
        assert_eq!(text.matches("daily (2 traces)").count(), 1);
        assert_eq!(text.matches("all (2 traces)").count(), 1);
        assert_eq!(text.matches("throttled minutes").count(), 1, "a bar");
        assert_eq!(text.matches("min/day").count(), 1, "the header: {text}");
    }
}
