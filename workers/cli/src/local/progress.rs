//! One line of text that follows a run.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that changes on a terminal, and one every few seconds elsewhere.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_quiet: bool,
    is_plain: bool,
    /// Where there is no terminal, one text of so many is printed.
    plain_every: u64,
    shown: u64,
}

impl Progress {
    /// Nothing at all if `is_quiet`.
    pub(crate) fn new(is_quiet: bool, plain_every: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal && !is_quiet { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_style(
            ProgressStyle::with_template("{spinner} {elapsed}  {wide_msg}").expect("the template is valid"),
        );
        Self { bar, is_quiet, is_plain: !is_terminal && !is_quiet, plain_every, shown: 0 }
    }

    /// Says something that stays.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_quiet {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }

    /// Shows how far the run is.
    pub(crate) fn show(&mut self, text: String) {
        if self.is_plain && self.shown.is_multiple_of(self.plain_every) {
            eprintln!("{text}");
        }
        self.shown += 1;
        self.bar.set_message(text);
        self.bar.tick();
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
