//! What a measurement is, and what all of them are given.

use std::path::PathBuf;

use anyhow::Context as _;
use futures_util::future::BoxFuture;

use crate::figure::Figure;

/// One measurement, which yields one or more figures.
pub(crate) struct Measurement {
    /// What `--only` selects by and what an error is shown under.
    pub(crate) name: &'static str,
    /// Measures. Whatever it starts must end with it.
    pub(crate) measure: for<'a> fn(&'a Context) -> BoxFuture<'a, anyhow::Result<Vec<Figure>>>,
}

impl Measurement {
    /// Whether `text` is part of its name.
    pub(crate) fn is_called(&self, text: &str) -> bool {
        self.name.contains(text)
    }
}

/// What a measurement is given.
#[derive(Debug)]
pub(crate) struct Context {
    /// How often a measurement is repeated; its median counts.
    pub(crate) runs: usize,
    /// Where the programs of this build are.
    programs: PathBuf,
}

impl Context {
    /// The programs of this build, and so many runs of each measurement.
    pub(crate) fn new(runs: usize) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("the path of this program is unknown")?;
        let programs = own.parent().context("this program is in no folder")?.to_owned();
        let context = Self { runs, programs };
        let leasehold = context.leasehold();
        anyhow::ensure!(leasehold.exists(), "{} is missing; build leasehold as well", leasehold.display());
        Ok(context)
    }

    /// The `leasehold` program of the same build.
    pub(crate) fn leasehold(&self) -> PathBuf {
        self.programs.join("leasehold")
    }

    /// Where cargo lets benches keep their files.
    pub(crate) fn bench_files(&self) -> PathBuf {
        self.programs.join("../tmp")
    }
}

/// The middle one of `values`; of an even number, the lower of the two.
///
/// # Panics
/// Without values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 1.0);
        assert_eq!(median(vec![7.0]), 7.0);
    }
}
