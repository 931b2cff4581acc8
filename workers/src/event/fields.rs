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
    entries: Vec<(FieldName, Value)>,
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
        fields.entries.extend(entries.map(|(name, value)| (Cow::Borrowed(name), value)));
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
        self.place(name).ok().map(|at| &self.entries[at].1)
    }

    /// Sets field `name`; gives back the value it had.
    pub fn insert(&mut self, name: impl Into<FieldName>, value: Value) -> Option<Value> {
        let name = name.into();
        match self.place(&name) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (name, value));
                None
            }
        }
    }

    /// Takes field `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.place(name).ok().map(|at| self.entries.remove(at).1)
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Where `name` is, or where it belongs.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(found, _)| found.as_ref().cmp(name))
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
        let mut entries: Vec<_> = entries.into_iter().map(|(name, value)| (name.into(), value)).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        entries.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                std::mem::swap(&mut next.1, &mut kept.1);
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
        fields.entries.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
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

    proptest! {
        #[test]
        fn they_are_an_ordered_map(
            given in prop::collection::vec(("[a-e]{0,2}", any::<u8>()), 0..12),
            changes in prop::collection::vec(("[a-e]{0,2}", prop::option::of(any::<u8>())), 0..12),
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
