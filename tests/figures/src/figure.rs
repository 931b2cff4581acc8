//! Figures with their bars, and the table that shows them. Measures nothing.

use std::fmt;

use serde::Serialize;

use crate::machine::Machine;

/// A measured quantity beside what it must be.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured, as the table of bars names it.
    pub(crate) quantity: String,
    /// What it must be.
    pub(crate) bar: Bar,
    /// What it is.
    pub(crate) value: f64,
    /// Unit of the bar and the value; empty for ratios.
    pub(crate) unit: &'static str,
    /// What was measured of a peer, where that is known.
    pub(crate) peer: Option<&'static str>,
    /// How the value came about.
    pub(crate) detail: String,
}

/// The least or the most that a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bar {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Figure {
    /// Whether the value is within the bar. A value that is no number is not.
    pub(crate) fn holds(&self) -> bool {
        match self.bar {
            Bar::AtLeast(bar) => self.value >= bar,
            Bar::AtMost(bar) => self.value <= bar,
        }
    }
}

/// All rows of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Row {
    Figure {
        #[serde(flatten)]
        figure: Figure,
        /// Load of the machine over the minute before the measurement.
        load: f64,
        holds: bool,
    },
    Error {
        quantity: &'static str,
        error: String,
        load: f64,
        holds: bool,
    },
}

impl Report {
    /// An empty report of a run on `machine`.
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, rows: Vec::new() }
    }

    /// Adds what the measurement called `name`, begun at `load`, yielded; a failure, and no figure at all, are rows too.
    pub(crate) fn add(&mut self, name: &'static str, load: f64, measured: anyhow::Result<Vec<Figure>>) {
        let error = |error| Row::Error { quantity: name, error, load, holds: false };
        match measured {
            Ok(figures) if figures.is_empty() => self.rows.push(error("yielded no figure".to_owned())),
            Ok(figures) => self.rows.extend(figures.into_iter().map(|figure| {
                let holds = figure.holds();
                Row::Figure { figure, load, holds }
            })),
            Err(problem) => self.rows.push(error(format!("{problem:#}"))),
        }
    }

    /// Whether every row holds.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(|row| match row {
            Row::Figure { holds, .. } | Row::Error { holds, .. } => *holds,
        })
    }

    /// The report as one JSON object.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["quantity", "bar", "figure", "peer", "load", ""].map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let [quantity, bar, figure, peer, load] = [width(0), width(1), width(2), width(3), width(4)];
        writeln!(formatter, "{}", self.machine)?;
        for [a, b, c, d, e, f] in &lines {
            writeln!(formatter, "{a:quantity$}  {b:>bar$}  {c:>figure$}  {d:peer$}  {e:>load$}  {f}")?;
        }
        let mut shown = "";
        for row in &self.rows {
            let (quantity, detail) = match row {
                Row::Figure { figure, .. } => (figure.quantity.as_str(), figure.detail.as_str()),
                Row::Error { quantity, error, .. } => (*quantity, error.as_str()),
            };
            // Figures of one measurement have their detail in common.
            if detail != shown {
                writeln!(formatter, "\n{quantity}\n  {detail}")?;
                shown = detail;
            }
        }
        Ok(())
    }
}

impl Row {
    fn cells(&self) -> [String; 6] {
        match self {
            Self::Figure { figure, load, holds } => {
                let (sign, bar) = match figure.bar {
                    Bar::AtLeast(bar) => ('≥', bar),
                    Bar::AtMost(bar) => ('≤', bar),
                };
                [
                    figure.quantity.clone(),
                    format!("{sign} {}", number(bar, figure.unit)),
                    number(figure.value, figure.unit),
                    figure.peer.unwrap_or("–").to_owned(),
                    format!("{load:.1}"),
                    if *holds { "pass" } else { "FAIL" }.to_owned(),
                ]
            }
            Self::Error { quantity, load, .. } => {
                let load = format!("{load:.1}");
                [quantity, "", "error", "–", &load, "FAIL"].map(str::to_owned)
            }
        }
    }
}

/// Up to three decimals, as few as the size of the number needs.
fn number(value: f64, unit: &str) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if unit.is_empty() { text.to_owned() } else { format!("{text} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(bar: Bar, value: f64) -> Figure {
        Figure {
            quantity: "gap".to_owned(),
            bar,
            value,
            unit: "s",
            peer: Some("30 s"),
            detail: String::new(),
        }
    }

    fn report() -> Report {
        Report::new(Machine { cores: 4, load: [0.5, 0.25, 0.1] })
    }

    #[test]
    fn a_bar_holds_at_its_value_and_never_for_no_number() {
        assert!(figure(Bar::AtLeast(0.95), 0.95).holds());
        assert!(!figure(Bar::AtLeast(0.95), 0.94).holds());
        assert!(figure(Bar::AtMost(2.0), 2.0).holds());
        assert!(!figure(Bar::AtMost(2.0), 2.1).holds());
        assert!(!figure(Bar::AtMost(2.0), f64::NAN).holds());
        assert!(!figure(Bar::AtLeast(2.0), f64::NAN).holds());
    }

    #[test]
    fn numbers_have_the_decimals_they_need() {
        assert_eq!(number(0.9512, ""), "0.951");
        assert_eq!(number(40.0, "MB"), "40 MB");
        assert_eq!(number(12.34, "MB"), "12.3 MB");
        assert_eq!(number(1234.5, "MB/s"), "1234 MB/s");
        assert_eq!(number(-3.0, "MB"), "-3 MB");
    }

    #[test]
    fn a_table_shows_figures_and_failures_in_columns() {
        let mut report = report();
        report.add("one", 1.25, Ok(vec![figure(Bar::AtMost(1.0), 0.25)]));
        assert!(report.holds());
        report.add("second", 2.0, Err(anyhow::anyhow!("cause").context("it broke")));
        report.add("third", 10.0, Ok(vec![]));
        assert!(!report.holds());
        let expected = "\
4 cores, load 0.50 0.25 0.10 before
quantity    bar  figure  peer  load  
gap       ≤ 1 s  0.25 s  30 s   1.2  pass
second            error  –      2.0  FAIL
third             error  –     10.0  FAIL

second
  it broke: cause

third
  yielded no figure
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn json_has_bar_value_and_verdict() {
        let mut report = report();
        report.add("one", 1.25, Ok(vec![figure(Bar::AtMost(1.0), 0.25)]));
        let json: serde_json::Value =
            serde_json::from_str(&report.json().expect("a report is JSON")).expect("JSON");
        assert_eq!(json["machine"]["cores"], 4);
        assert_eq!(json["rows"][0]["bar"]["at_most"], 1.0);
        assert_eq!(json["rows"][0]["value"], 0.25);
        assert_eq!(json["rows"][0]["holds"], true);
    }
}
