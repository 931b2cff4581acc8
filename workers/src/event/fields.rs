//! The fields of an event or of a row, ordered by name.
//!
//! A sorted list: rows are built once from few fields, read a few times and written in order of their names, for which a
//! list beats a tree. Names that the product gives are never copied. Lists from outside are sorted as a whole, so that a
//! record of very many fields costs no more than its sorting.

use std::borrow::Cow;
use std::ops::Index;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Named values, each name once, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    /// Sorted by name, without repetition.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// The start of the name: it decides nearly every comparison, without a look at the name.
    start: u64,
    name: FieldName,
    value: Value,
}

/// A name of the product's own, or one that came with the data.
pub type FieldName = Cow<'static, str>;

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The fields of `entries`, which are sorted by name without repetition, with room for `more`.
    pub(crate) fn from_sorted<const N: usize>(entries: [(&'static str, Value); N], more: usize) -> Self {
        debug_assert!(entries.is_sorted_by(|(one, _), (next, _)| one < next), "names in order, each once");
        let mut fields = Self { entries: Vec::with_capacity(N + more) };
        fields.entries.extend(entries.map(|(name, value)| Entry::new(Cow::Borrowed(name), value)));
        fields
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of field `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(start_of(name), name).ok().map(|at| &self.entries[at].value)
    }

    /// Sets field `name`; gives back the value it had.
    pub fn insert(&mut self, name: impl Into<FieldName>, value: Value) -> Option<Value> {
        let entry = Entry::new(name.into(), value);
        match self.place(entry.start, &entry.name) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].value, entry.value)),
            Err(at) => {
                self.entries.insert(at, entry);
                None
            }
        }
    }

    /// Takes field `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.place(start_of(name), name).ok().map(|at| self.entries.remove(at).value)
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|entry| (entry.name.as_ref(), &entry.value))
    }

    /// Where `name` is, or where it belongs.
    fn place(&self, start: u64, name: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|found| found.start.cmp(&start).then_with(|| found.name.as_ref().cmp(name)))
    }
}

impl Entry {
    fn new(name: FieldName, value: Value) -> Self {
        Self { start: start_of(&name), name, value }
    }
}

/// The first eight bytes of a name as a number; numbers that differ are ordered like their names.
fn start_of(name: &str) -> u64 {
    let bytes = name.as_bytes();
    match bytes.first_chunk() {
        Some(start) => u64::from_be_bytes(*start),
        None => {
            let mut start = [0; 8];
            start[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(start)
        }
    }
}

impl Index<&str> for Fields {
    type Output = Value;

    /// The value of a field, which must be there.
    fn index(&self, name: &str) -> &Value {
        self.get(name).unwrap_or_else(|| panic!("there is no field `{name}`"))
    }
}

impl<N: Into<FieldName>> FromIterator<(N, Value)> for Fields {
    /// Of a name that occurs twice, the last value counts.
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(entries: I) -> Self {
        let entries = entries.into_iter().map(|(name, value)| Entry::new(name.into(), value));
        let mut entries: Vec<Entry> = entries.collect();
        entries.sort_by(|one, other| (one.start, &one.name).cmp(&(other.start, &other.name)));
        entries.dedup_by(|next, kept| {
            let is_same = next.name == kept.name;
            if is_same {
                std::mem::swap(&mut next.value, &mut kept.value);
            }
            is_same
        });
        Self { entries }
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(map: Map<String, Value>) -> Self {
        map.into_iter().collect()
    }
}

impl From<Fields> for Map<String, Value> {
    fn from(fields: Fields) -> Self {
        fields.entries.into_iter().map(|entry| (entry.name.into_owned(), entry.value)).collect()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Short ones, and some that differ only beyond their eighth byte.
    const NAMES: &str = "(session_)?[\0a-cü]{0,2}";

    proptest! {
        #[test]
        fn they_are_an_ordered_map(
            given in prop::collection::vec((NAMES, any::<u8>()), 0..12),
            changes in prop::collection::vec((NAMES, prop::option::of(any::<u8>())), 0..12),
        ) {
            let given: Vec<_> = given.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
            let mut fields: Fields = given.iter().cloned().collect();
            let mut map: BTreeMap<String, Value> = given.into_iter().collect();
            for (name, change) in changes {
                prop_assert_eq!(fields.get(&name), map.get(&name));
                match change.map(Value::from) {
                    Some(value) => prop_assert_eq!(fields.insert(name.clone(), value.clone()), map.insert(name, value)),
                    None => prop_assert_eq!(fields.remove(&name), map.remove(&name)),
                }
                prop_assert_eq!((fields.len(), fields.is_empty()), (map.len(), map.is_empty()));
            }
            let json = serde_json::to_string(&fields).expect("JSON");
            prop_assert_eq!(&json, &serde_json::to_string(&map).expect("JSON"));
            prop_assert_eq!(serde_json::from_str::<Fields>(&json).expect("JSON"), fields);
        }
    }
}
