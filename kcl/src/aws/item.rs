//! Reading attributes of an item by name and type.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use thiserror::Error;

/// One item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The hash key of every item.
pub(super) const KEY: &str = "leaseKey";
/// What kind of item it is; absent on lease rows of older writers.
pub(super) const ENTITY_TYPE: &str = "entityType";

/// An attribute that is missing or not of its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("attribute {attribute} {problem}")]
pub struct InvalidItem {
    attribute: String,
    problem: String,
}

impl InvalidItem {
    pub(super) fn new(attribute: &str, problem: impl ToString) -> Self {
        Self { attribute: attribute.to_owned(), problem: problem.to_string() }
    }
}

/// A text that may be absent.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Result<Option<&'a str>, InvalidItem> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidItem::new(name, "is not a string")),
    }
}

/// A text that is parsed, and may be absent.
pub(super) fn parsed<'a, T, E: ToString>(
    item: &'a Item,
    name: &str,
    parse: impl FnOnce(&'a str) -> Result<T, E>,
) -> Result<Option<T>, InvalidItem> {
    text(item, name)?.map(parse).transpose().map_err(|error| InvalidItem::new(name, error))
}

/// A number that may be absent.
pub(super) fn number<T: FromStr>(item: &Item, name: &str) -> Result<Option<T>, InvalidItem> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::N(digits)) => match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(InvalidItem::new(name, format!("is {digits}, which is out of range"))),
        },
        Some(_) => Err(InvalidItem::new(name, "is not a number")),
    }
}

/// A set of texts, empty if absent.
pub(super) fn text_set<'a, T: Ord, E: ToString>(
    item: &'a Item,
    name: &str,
    parse: impl Fn(&'a str) -> Result<T, E>,
) -> Result<BTreeSet<T>, InvalidItem> {
    match item.get(name) {
        None => Ok(BTreeSet::new()),
        Some(AttributeValue::Ss(texts)) => {
            let members = texts.iter().map(|text| parse(text));
            members.collect::<Result<_, _>>().map_err(|error| InvalidItem::new(name, error))
        }
        Some(_) => Err(InvalidItem::new(name, "is not a set of strings")),
    }
}

/// What must be there.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Result<T, InvalidItem> {
    value.ok_or_else(|| InvalidItem::new(name, "is missing"))
}

/// A string value.
pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number value.
pub(super) fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
