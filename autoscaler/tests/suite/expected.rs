//! The list of bars that do not hold everywhere, and what a measurement means beside it.

use std::fmt;

use autoscaler::Bar;
use serde::Deserialize;

/// The list. A bar that is not on it must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    bar: Vec<Listed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    on: List,
    name: String,
    expect: Expectation,
    because: String,
}

/// What was replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum List {
    /// Synthetic traffic, and the trials.
    Seeds,
    /// The five recorded traces.
    Recorded,
}

/// What is known of a bar that does not hold everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expectation {
    /// Near its limit: some seeds hold it.
    Varies,
    /// It does not hold.
    Fails,
}

/// A bar beside the list.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    kind: Kind,
    bar: Bar,
    because: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Holds,
    Known,
    Better,
    Worse,
}

impl Expected {
    /// The one of the repository.
    pub(crate) fn shipped() -> Self {
        Self::parse(include_str!("bars.toml"))
    }

    fn parse(text: &str) -> Self {
        let list: Self = toml::from_str(text).expect("bars.toml is a list of bars");
        assert!(list.bar.iter().all(|bar| !bar.because.is_empty()), "a bar on the list has a reason");
        list
    }

    /// What is listed for `list`.
    pub(crate) fn names(&self, list: List) -> impl Iterator<Item = &str> {
        self.bar.iter().filter(move |bar| bar.on == list).map(|bar| bar.name.as_str())
    }

    /// What `bars` mean beside it.
    pub(crate) fn judge(&self, list: List, bars: &[Bar]) -> Vec<Verdict> {
        let verdict = |bar: &Bar| {
            let listed = self.bar.iter().find(|listed| listed.on == list && listed.name == bar.name);
            let kind = match (listed.map(|listed| listed.expect), bar.holds) {
                (None | Some(Expectation::Varies), true) => Kind::Holds,
                (None, false) => Kind::Worse,
                (Some(Expectation::Varies | Expectation::Fails), false) => Kind::Known,
                (Some(Expectation::Fails), true) => Kind::Better,
            };
            let because = listed.map_or_else(String::new, |listed| listed.because.clone());
            Verdict { kind, bar: bar.clone(), because }
        };
        bars.iter().map(verdict).collect()
    }
}

impl Verdict {
    /// Whether it must hold and does not.
    pub(crate) fn is_worse(&self) -> bool {
        self.kind == Kind::Worse
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bar { name, measured, at_most, binds, .. } = &self.bar;
        match self.kind {
            Kind::Holds => write!(formatter, "holds             {name}: {measured:.2} of {at_most}"),
            Kind::Known => {
                write!(formatter, "FAILS as listed   {name}: {measured:.2} of {at_most}: {}", self.because)
            }
            Kind::Better => {
                write!(formatter, "HOLDS, take it off bars.toml   {name}: {measured:.2} of {at_most}")
            }
            Kind::Worse => {
                write!(formatter, "FAILS, not listed {name}: {measured:.2} of {at_most}; binding: {binds}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        [[bar]]
        on = "seeds"
        name = "near"
        expect = "varies"
        because = "half of the seeds"

        [[bar]]
        on = "seeds"
        name = "far"
        expect = "fails"
        because = "nobody knows how"
    "#;

    fn kinds(list: List, bars: &[(&str, f64)]) -> Vec<Kind> {
        let bars: Vec<_> = bars.iter().map(|&(name, measured)| Bar::new(name, measured, 1.0, "")).collect();
        Expected::parse(LIST).judge(list, &bars).iter().map(|verdict| verdict.kind).collect()
    }

    #[test]
    fn what_is_not_listed_must_hold_and_what_holds_again_is_told() {
        assert_eq!(kinds(List::Seeds, &[("new", 0.9), ("new", 1.1)]), [Kind::Holds, Kind::Worse]);
        assert_eq!(kinds(List::Seeds, &[("near", 0.9), ("near", 1.1)]), [Kind::Holds, Kind::Known]);
        assert_eq!(kinds(List::Seeds, &[("far", 0.9), ("far", 1.1)]), [Kind::Better, Kind::Known]);
        assert_eq!(kinds(List::Recorded, &[("far", 1.1)]), [Kind::Worse], "listed for seeds alone");
    }
}
