//! The policies of many streams as one text: a top level, and sections that say what differs for single streams.
//!
//! ```text
//!  shards_min = 2      ─┬─ top level ──────────────────────────────▶ policy of every stream without a section
//!  aim = 0.6            │
//!                       ▼
//!  [streams.orders]  ─▶ laid over it, field by field ─▶ validate ──▶ policy of `orders`
//!  shards_min = 8
//! ```
//!
//! A table is laid over a table, key by key; any other value takes the place of the one that it meets, lists too. Sections see
//! the top level alone, never each other. The text holds as a whole or not at all: one wrong section refuses all of it.
//!
//! Nothing here reads a file. Values keep their places in the text, so that a message can show the line.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::Policy;
use crate::trigger::{Excerpt, StreamName};

/// How each of many streams is to be scaled. By default all by the default policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    top_level: Policy,
    sections: BTreeMap<StreamName, Policy>,
}

impl Policies {
    /// Reads a text of TOML: the fields of a [`Policy`], and under `streams.<name>` those that differ for a stream.
    ///
    /// # Errors
    /// [`PoliciesProblem`] for the first thing that cannot be.
    pub fn parse(text: &str) -> Result<Self, PoliciesProblem> {
        let mut document = DeTable::parse(text).map_err(|error| PoliciesProblem(shown(&error)))?.into_inner();
        let sections = document.remove(SECTIONS);
        let top_level = policy_in(&document, text, SECTIONS_REMEDY).map_err(PoliciesProblem)?;
        top_level.validate().map_err(|problem| PoliciesProblem(problem.to_string()))?;
        let mut policies = Self { top_level, sections: BTreeMap::new() };
        let Some(sections) = sections else { return Ok(policies) };
        for (name, section) in table_of(SECTIONS, sections, text)? {
            let stream: StreamName = name
                .get_ref()
                .parse()
                .map_err(|problem| PoliciesProblem(format!("{SECTIONS}: {problem}")))?;
            let place = place_of(&stream);
            let section = table_of(&place, section, text)?;
            let policy = policy_under(&document, &section, &place, text)?;
            policies.sections.insert(stream, policy);
        }
        Ok(policies)
    }

    /// The policy of every stream without a section.
    #[must_use]
    pub const fn top_level(&self) -> &Policy {
        &self.top_level
    }

    /// The policy of `stream`.
    #[must_use]
    pub fn for_stream(&self, stream: &StreamName) -> &Policy {
        self.sections.get(stream).unwrap_or(&self.top_level)
    }

    /// The streams that have a section.
    pub fn sections(&self) -> impl Iterator<Item = &StreamName> {
        self.sections.keys()
    }
}

/// Why a text is no policies: the place in it, the value and what it may be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PoliciesProblem(String);

/// The policy of the stream whose section this is.
fn policy_under(
    top_level: &DeTable<'_>,
    section: &DeTable<'_>,
    place: &str,
    text: &str,
) -> Result<Policy, PoliciesProblem> {
    let mut merged = top_level.clone();
    lay_over(&mut merged, section);
    let policy = policy_in(&merged, text, DOTTED_NAME_REMEDY)
        .map_err(|problem| PoliciesProblem(format!("{place}: {problem}")))?;
    policy.validate().map_err(|problem| {
        let key = problem.field.split('.').next().unwrap_or(problem.field);
        PoliciesProblem(if section.contains_key(key) {
            format!("{place}.{problem}")
        } else {
            let (field, value, remedy) = (problem.field, problem.value, problem.remedy);
            format!("{place}: {field} = {value}, as outside the section: {remedy}")
        })
    })?;
    Ok(policy)
}

/// Puts what `upper` says in the place of what `lower` says.
fn lay_over<'t>(lower: &mut DeTable<'t>, upper: &DeTable<'t>) {
    for (key, value) in upper {
        if let DeValue::Table(upper) = value.get_ref()
            && let Some(DeValue::Table(lower)) = lower.get_mut(key).map(Spanned::get_mut)
        {
            lay_over(lower, upper);
        } else {
            lower.insert(key.clone(), value.clone());
        }
    }
}

/// The policy that a table of `text` says, not yet validated. A field that is unknown and a table is told with `remedy`.
fn policy_in(table: &DeTable<'_>, text: &str, remedy: &str) -> Result<Policy, String> {
    let whole = Spanned::new(0..text.len(), table.clone());
    Policy::deserialize(Deserializer::from(whole)).map_err(|mut error| {
        error.set_input(Some(text));
        let is_unknown_table = table.iter().any(|(key, value)| {
            matches!(value.get_ref(), DeValue::Table(_)) && error.span() == Some(key.span())
        });
        shown(&error) + if is_unknown_table { remedy } else { "" }
    })
}

fn shown(error: &toml::de::Error) -> String {
    error.to_string().trim_end().to_owned()
}

fn table_of<'t>(
    place: &str,
    value: Spanned<DeValue<'t>>,
    text: &str,
) -> Result<DeTable<'t>, PoliciesProblem> {
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        let value = Excerpt::of(text.get(span).unwrap_or_default(), VALUE_CHARS_MAX);
        let remedy = "give a table of what differs, as [streams.orders]";
        return Err(PoliciesProblem(format!("{place} = {value}: {remedy}")));
    };
    Ok(table)
}

/// What a stream's section is called in TOML.
fn place_of(stream: &StreamName) -> String {
    let name = stream.as_str();
    if name.contains('.') { format!("{SECTIONS}.{name:?}") } else { format!("{SECTIONS}.{name}") }
}

const SECTIONS: &str = "streams";
const SECTIONS_REMEDY: &str = "; what differs for a stream stands under a header as [streams.orders]";
const DOTTED_NAME_REMEDY: &str = "; a stream's name with a dot stands in quotes, as [streams.\"clicks.raw\"]";
/// Enough to recognise a wrong value.
const VALUE_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ShardLimits;

    fn parsed(text: &str) -> Policies {
        Policies::parse(text).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn policy(text: &str, stream: &str) -> Policy {
        parsed(text).for_stream(&stream.parse().expect("a name")).clone()
    }

    fn refused(text: &str) -> String {
        Policies::parse(text).expect_err("refused").to_string()
    }

    #[test]
    fn a_section_changes_its_fields_of_its_stream_and_nothing_else() {
        let text = "shards_min = 2\nlag_max = \"9m\"\n[streams.orders]\nshards_min = 8\nshards_max = 64\n[streams.idle]\n";
        let top_level = Policy { shards_min: 2, lag_max: Duration::from_secs(540), ..Policy::default() };
        assert_eq!(policy(text, "orders"), Policy { shards_min: 8, shards_max: 64, ..top_level.clone() });
        for stream in ["idle", "clicks"] {
            assert_eq!(policy(text, stream), top_level);
        }
        assert_eq!(parsed(text).top_level(), &top_level);
        let sections: Vec<_> = parsed(text).sections().map(ToString::to_string).collect();
        assert_eq!(sections, ["idle", "orders"]);
        assert_eq!(parsed(""), Policies::default());
    }

    #[test]
    fn tables_are_laid_over_tables_and_lists_take_the_place_of_lists() {
        let text = r#"
            limits = { write_records_per_second = 500 }
            freezes = [{ from = "08:00", until = "10:00" }]
            [[floors]]
            shards_min = 4
            span = { from = "18:00", until = "20:00" }
            [streams.orders]
            freezes = []
            limits.read_bytes_per_second = 1e6
            [[streams.orders.floors]]
            shards_min = 9
            span = { days = ["fri"], from = "18:00", until = "20:00" }
        "#;
        let (orders, other) = (policy(text, "orders"), policy(text, "clicks"));
        let limits = ShardLimits { write_records_per_second: 500.0, ..ShardLimits::default() };
        assert_eq!(orders.limits, ShardLimits { read_bytes_per_second: 1e6, ..limits });
        assert_eq!(other.limits, limits);
        assert_eq!((orders.freezes.len(), other.freezes.len()), (0, 1));
        let floors =
            |policy: &Policy| -> Vec<u32> { policy.floors.iter().map(|floor| floor.shards_min).collect() };
        assert_eq!((floors(&orders), floors(&other)), (vec![9], vec![4]));
    }

    #[test]
    fn a_name_with_a_dot_stands_in_quotes() {
        let quoted = "[streams.\"clicks.raw\"]\nshards_min = 3\n";
        assert_eq!(policy(quoted, "clicks.raw").shards_min, 3);
        let problem = refused(&quoted.replace('3', "0"));
        assert_eq!(problem, "streams.\"clicks.raw\".shards_min = 0: give at least 1");
        let problem = refused("[streams.clicks.raw]\nshards_min = 3\n");
        assert!(
            problem.starts_with("streams.clicks: ") && problem.contains("unknown field `raw`"),
            "{problem}"
        );
        assert!(problem.ends_with("stands in quotes, as [streams.\"clicks.raw\"]"), "{problem}");
    }

    #[test]
    fn a_field_that_cannot_be_read_is_shown_in_its_line() {
        for (line, expected) in [
            ("shard_min = 3", "unknown field `shard_min`, expected one of `shards_min`"),
            ("shards_min = \"3\"", "invalid type: string \"3\", expected u32"),
            ("limits = 3", "invalid type: integer `3`, expected struct ShardLimits"),
            ("limits.write = 3", "unknown field `write`, expected one of `write_bytes_per_second`"),
            ("lag_max = \"soon\"", "soon"),
            ("streams.clicks = {}", "unknown field `streams`"),
        ] {
            let problem = refused(&format!("aim = 0.5\n\n[streams.orders]\n{line}\n"));
            assert!(problem.starts_with("streams.orders: TOML parse error at line 4,"), "{problem}");
            assert!(problem.contains(line) && problem.contains(expected), "{problem}");
        }
        let problem = refused("aim = 0.5\nam = 1\n[streams.orders]\naim = 0.6\n");
        assert!(problem.starts_with("TOML parse error at line 2,"), "{problem}");
        let problem = refused("[stream.orders]\naim = 0.6\n");
        assert!(problem.contains("unknown field `stream`"), "{problem}");
        assert!(problem.ends_with("under a header as [streams.orders]"), "{problem}");
        assert!(refused("[streams.a]\n[streams.a]\n").contains("duplicate key"));
    }

    #[test]
    fn a_value_that_cannot_be_is_named_with_its_section() {
        for (text, expected) in [
            ("shards_min = 0", "shards_min = 0: give at least 1"),
            ("[streams.orders]\nshards_min = 0", "streams.orders.shards_min = 0: give at least 1"),
            (
                "[streams.orders.limits]\nread_bytes_per_second = 0",
                "streams.orders.limits.read_bytes_per_second = 0: give a rate above 0",
            ),
            (
                "[streams.orders]\nfreezes = [{ from = \"08:00\", until = \"10:00\", days = [] }]",
                "streams.orders.freezes.days = []: name at least one day, or leave the field out for all",
            ),
            (
                "shards_max = 4\n[streams.orders]\nshards_min = 8",
                "streams.orders: shards_max = 4, as outside the section: give at least shards_min",
            ),
            (
                "[[floors]]\nshards_min = 9\nspan = { from = \"08:00\", until = \"10:00\" }\n[streams.orders]\nshards_max = 8",
                "streams.orders: floors.shards_min = 9, as outside the section: give at most shards_max",
            ),
        ] {
            assert_eq!(refused(text), expected);
        }
    }

    #[test]
    fn a_section_is_a_table_under_the_name_of_a_stream() {
        let remedy = "give a table of what differs, as [streams.orders]";
        assert_eq!(refused("streams = 3"), format!("streams = 3: {remedy}"));
        assert_eq!(refused("[streams]\nshards_min = 3"), format!("streams.shards_min = 3: {remedy}"));
        assert!(refused("[[streams.orders]]\naim = 0.5").ends_with(remedy));
        assert_eq!(
            refused("[streams.\"a b\"]\naim = 0.5"),
            "streams: a b is no stream name: give 1 to 128 of a-z A-Z 0-9 _ . -"
        );
    }

    #[test]
    fn the_documented_file_says_what_its_page_says() {
        let page = include_str!("../../docs/policy.md");
        let (_, example) = page.split_once("```toml\n").expect("an example");
        let (example, _) = example.split_once("```").expect("its end");
        let orders = policy(example, "orders");
        assert_eq!((orders.shards_min, orders.shards_max, orders.freezes.len()), (8, 64, 0));
        assert_eq!(orders.limits.write_records_per_second.to_bits(), 500.0_f64.to_bits());
        let raw = policy(example, "clicks.raw");
        assert_eq!((raw.shards_min, raw.freezes.len(), raw.is_paused), (2, 1, true));
    }

    #[test]
    fn sections_stand_below_a_policy_as_it_is_printed() {
        let written = toml::to_string(&Policy::default()).expect("TOML");
        assert_eq!(parsed(&written), Policies::default());
        let text = format!("{written}\n[streams.orders]\nis_paused = true\n");
        assert_eq!(policy(&text, "orders"), Policy { is_paused: true, ..Policy::default() });
    }
}
