//! Why one shard stands still while its lease is kept: something that waiting cannot repair.

use std::fmt;

/// A reason to stop one shard, visibly, until an operator acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltReason {
    /// What kind of trouble.
    pub kind: HaltKind,
    /// What was found, with names and numbers, and what to do.
    pub detail: String,
}

/// Kinds of trouble that stop a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HaltKind {
    /// An object of the batch exists with other contents, while this worker still holds the lease.
    Conflict,
    /// A pending batch cannot be made again: its range aged out, its configuration is missing, its counts differ.
    Unreplayable,
    /// The state of the shard passes its limit.
    StateTooLarge,
    /// A state snapshot that the row points to is missing or damaged.
    StateMissing,
    /// The processor broke its contract: it mixed one-phase and two-phase checkpoints, or reported progress that was
    /// never delivered.
    Contract,
}

impl HaltReason {
    /// The reason as the lease row tells it, cut to a length that keeps the row small.
    pub(crate) fn row_text(&self) -> String {
        let mut text = self.to_string();
        text.truncate(text.floor_char_boundary(ROW_TEXT_BYTES_MAX));
        text
    }
}

/// A row of 1 KB costs one write unit; a reason of this size leaves room for the rest of most rows.
const ROW_TEXT_BYTES_MAX: usize = 512;

impl HaltKind {
    /// The kind of a reason as a lease row tells it; `None` if another release wrote it.
    #[must_use]
    pub fn of_row_text(text: &str) -> Option<Self> {
        let (kind, _) = text.split_once(": ")?;
        Self::ALL.into_iter().find(|known| known.to_string() == kind)
    }

    const ALL: [Self; 5] =
        [Self::Conflict, Self::Unreplayable, Self::StateTooLarge, Self::StateMissing, Self::Contract];
}

impl fmt::Display for HaltReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind, self.detail)
    }
}

impl fmt::Display for HaltKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Conflict => "conflict",
            Self::Unreplayable => "unreplayable",
            Self::StateTooLarge => "state too large",
            Self::StateMissing => "state missing",
            Self::Contract => "processor contract broken",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_the_kind_and_as_much_of_the_reason_as_fits() {
        for kind in HaltKind::ALL {
            let text = HaltReason { kind, detail: "ü: ".repeat(300) }.row_text();
            assert!(text.len() <= ROW_TEXT_BYTES_MAX);
            assert_eq!(HaltKind::of_row_text(&text), Some(kind));
        }
        assert_eq!(HaltKind::of_row_text("something new: x"), None);
    }
}
