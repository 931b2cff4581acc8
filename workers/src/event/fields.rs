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
///
/// Names and values lie apart: a search reads names only, and both lists of a usual row stay among the small blocks that
/// an allocator has at hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    /// Sorted, without repetition.
    names: Vec<Name>,
    /// One for each name, in the same order.
    values: Vec<Value>,
}

/// A name of the product's own, or one that came with the data.
pub type FieldName = Cow<'static, str>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// The start of the name: it decides nearly every comparison, without a look at the name.
    start: u64,
    name: FieldName,
}

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { names: Vec::new(), values: Vec::new() }
    }

    /// The fields of `entries`, which are sorted by name without repetition, with room for `more`.
    pub(crate) fn from_sorted<const N: usize>(entries: [(&'static str, Value); N], more: usize) -> Self {
        debug_assert!(entries.is_sorted_by(|(one, _), (next, _)| one < next), "names in order, each once");
        let mut fields = Self::with_capacity(N + more);
        for (name, value) in entries {
            fields.push(Name::new(Cow::Borrowed(name)), value);
        }
        fields
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The value of field `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(start_of(name), name).ok().map(|at| &self.values[at])
    }

    /// Sets field `name`; gives back the value it had.
    pub fn insert(&mut self, name: impl Into<FieldName>, value: Value) -> Option<Value> {
        let name = Name::new(name.into());
        match self.place(name.start, &name.name) {
            Ok(at) => Some(std::mem::replace(&mut self.values[at], value)),
            Err(at) => {
                self.names.insert(at, name);
                self.values.insert(at, value);
                None
            }
        }
    }

    /// Takes field `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.place(start_of(name), name).ok()?;
        self.names.remove(at);
        Some(self.values.remove(at))
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.names.iter().map(|name| name.name.as_ref()).zip(&self.values)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { names: Vec::with_capacity(capacity), values: Vec::with_capacity(capacity) }
    }

    /// Adds a field whose name comes after all others.
    fn push(&mut self, name: Name, value: Value) {
        self.names.push(name);
        self.values.push(value);
    }

    /// Where `name` is, or where it belongs.
    fn place(&self, start: u64, name: &str) -> Result<usize, usize> {
        self.names
            .binary_search_by(|found| found.start.cmp(&start).then_with(|| found.name.as_ref().cmp(name)))
    }
}

impl Name {
    fn new(name: FieldName) -> Self {
        Self { start: start_of(&name), name }
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
        let entries = entries.into_iter().map(|(name, value)| (Name::new(name.into()), value));
        let mut entries: Vec<(Name, Value)> = entries.collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut fields = Self::with_capacity(entries.len());
        for (name, value) in entries {
            match fields.names.last() == Some(&name) {
                true => *fields.values.last_mut().expect("each name has a value") = value,
                false => fields.push(name, value),
            }
        }
        fields
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(map: Map<String, Value>) -> Self {
        map.into_iter().collect()
    }
}

impl From<Fields> for Map<String, Value> {
    fn from(fields: Fields) -> Self {
        let names = fields.names.into_iter().map(|name| name.name.into_owned());
        names.zip(fields.values).collect()
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
