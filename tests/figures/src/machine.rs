//! What the figures were measured on.

use std::fmt;

use anyhow::Context as _;
use serde::Serialize;

/// Cores, and the load at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Machine {
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Load averages over 1, 5 and 15 minutes.
    pub(crate) load: [f64; 3],
}

impl Machine {
    /// The machine as it is now.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let text =
            std::fs::read_to_string(LOAD_FILE).with_context(|| format!("{LOAD_FILE} cannot be read"))?;
        let load = load(&text).with_context(|| format!("{LOAD_FILE} has no three numbers: {text:?}"))?;
        Ok(Self { cores, load })
    }

    /// The load over the last minute.
    pub(crate) fn load_of_a_minute(&self) -> f64 {
        self.load[0]
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, five, fifteen] = self.load;
        write!(formatter, "{} cores, load {one:.2} {five:.2} {fifteen:.2} before", self.cores)
    }
}

fn load(text: &str) -> Option<[f64; 3]> {
    let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

const LOAD_FILE: &str = "/proc/loadavg";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_averages_are_read() {
        assert_eq!(load("0.42 1.00 2.50 3/812 12345\n"), Some([0.42, 1.0, 2.5]));
        assert_eq!(load("0.42 1.00"), None);
    }
}
