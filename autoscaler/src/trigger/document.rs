//! A JSON document from a stranger: bounded before it is built, and read by paths that refusals can name.

use serde_json::Value;

use super::Refusal;
use super::refusal::{RefusalKind, WHOLE, shown};

/// Builds the document of one message, if it is as small, flat and short as an alarm's.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        let value = format!("{} bytes", bytes.len());
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            WHOLE,
            &value,
            "send at most 1 MiB, the limit of SQS",
        ));
    }
    let extent = Extent::of(bytes);
    if extent.depth > DEPTH_MAX {
        let value = format!("{} levels", extent.depth);
        return Err(Refusal::new(
            RefusalKind::TooDeep,
            WHOLE,
            &value,
            "send at most 32 levels; alarms have 9",
        ));
    }
    if extent.values > VALUES_MAX {
        let value = format!("{} values", extent.values);
        return Err(Refusal::new(RefusalKind::TooLarge, WHOLE, &value, "send at most 16384 JSON values"));
    }
    serde_json::from_slice(bytes).map_err(|error| not_json(&error))
}

/// The refusal of what is not JSON at all.
pub(super) fn not_json(error: &serde_json::Error) -> Refusal {
    Refusal::new(RefusalKind::NotJson, WHOLE, &error.to_string(), "send the message as AWS wrote it")
}

/// How deep and how large a document would be, told from its punctuation alone.
struct Extent {
    depth: usize,
    values: usize,
}

impl Extent {
    fn of(bytes: &[u8]) -> Self {
        let (mut depth, mut extent) = (0_usize, Self { depth: 0, values: 1 });
        let (mut in_string, mut escaped) = (false, false);
        for byte in bytes {
            if in_string {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    extent.depth = extent.depth.max(depth);
                    extent.values += 1;
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' | b':' => extent.values += 1,
                _ => {}
            }
        }
        extent
    }
}

/// A place in a document: what stands there, if anything, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    value: Option<&'a Value>,
    path: String,
}

impl<'a> Place<'a> {
    /// The whole document.
    pub(super) const fn root(value: &'a Value) -> Self {
        Self { value: Some(value), path: String::new() }
    }

    /// The field of an object. `null` counts as absent, since some routes write it for what they do not have.
    pub(super) fn field(&self, name: &str) -> Self {
        let value = self.value.and_then(|value| value.get(name)).filter(|value| !value.is_null());
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { value, path }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<impl Iterator<Item = Self> + use<'a>, Refusal> {
        let Some(Value::Array(items)) = self.value else { return Err(self.invalid("give a list")) };
        let path = self.path.clone();
        let item = move |(index, value)| Self { value: Some(value), path: format!("{path}[{index}]") };
        Ok(items.iter().enumerate().map(item))
    }

    /// The text that stands here.
    pub(super) fn text(&self) -> Result<&'a str, Refusal> {
        match self.value {
            Some(Value::String(text)) => Ok(text),
            None => Err(self.missing()),
            Some(_) => Err(self.invalid("give a string")),
        }
    }

    /// The text that stands here, read as what it must be.
    pub(super) fn parsed<T: std::str::FromStr>(&self, remedy: &'static str) -> Result<T, Refusal> {
        self.text()?.parse().map_err(|_| self.invalid(remedy))
    }

    /// The way to this place.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn is_present(&self) -> bool {
        self.value.is_some()
    }

    pub(super) const fn is_object(&self) -> bool {
        matches!(self.value, Some(Value::Object(_)))
    }

    pub(super) const fn is_list(&self) -> bool {
        matches!(self.value, Some(Value::Array(_)))
    }

    /// The refusal of what stands here.
    pub(super) fn refuse(&self, kind: RefusalKind, remedy: &'static str) -> Refusal {
        let path = if self.path.is_empty() { WHOLE } else { &self.path };
        Refusal::new(kind, path, &shown(self.value), remedy)
    }

    /// The refusal of a field that does not hold what it should, or of its absence.
    pub(super) fn invalid(&self, remedy: &'static str) -> Refusal {
        if self.is_present() { self.refuse(RefusalKind::InvalidField, remedy) } else { self.missing() }
    }

    fn missing(&self) -> Refusal {
        self.refuse(RefusalKind::MissingField, "send the message as AWS wrote it")
    }
}

/// Neither SQS, SNS nor an asynchronous invocation of Lambda carries more.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// An alarm by EventBridge has nine levels. Bounds the stack, whatever reads the document.
const DEPTH_MAX: usize = 32;
/// An alarm on ten metrics with thirty dimensions each has about a thousand values. Bounds the memory of the built
/// document to a few MiB beside its text.
const VALUES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(bytes: &[u8]) -> RefusalKind {
        parse(bytes).expect_err("refused").kind
    }

    #[test]
    fn size_depth_and_count_are_bounded_before_anything_is_built() {
        let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert!(parse(text(MESSAGE_BYTES_MAX).as_bytes()).is_ok());
        assert_eq!(kind(text(MESSAGE_BYTES_MAX + 1).as_bytes()), RefusalKind::TooLarge);
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(kind(nested(DEPTH_MAX + 1).as_bytes()), RefusalKind::TooDeep);
        assert_eq!(kind("[".repeat(MESSAGE_BYTES_MAX).as_bytes()), RefusalKind::TooDeep);
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert!(parse(list(VALUES_MAX - 1).as_bytes()).is_ok());
        assert_eq!(kind(list(VALUES_MAX + 1).as_bytes()), RefusalKind::TooLarge);
    }

    #[test]
    fn punctuation_within_strings_does_not_count() {
        let text = format!(r#"{{"a": "{}\"[[[["}}"#, "[{,:".repeat(100_000));
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_place_names_the_way_to_it() {
        let value = parse(br#"{"a": [{"b": 7, "c": null, "d": "text"}]}"#).expect("JSON");
        let item = Place::root(&value).field("a").items().expect("a list").next().expect("one item");
        assert_eq!(item.field("d").text(), Ok("text"));
        let refusal = item.field("b").text().expect_err("a number");
        assert_eq!(refusal.to_string(), "invalid_field at a[0].b: 7; give a string");
        let refusal = item.field("c").text().expect_err("null");
        assert_eq!(refusal.to_string(), "missing_field at a[0].c: absent; send the message as AWS wrote it");
        let refusal = Place::root(&value).items().err().expect("an object");
        assert_eq!(refusal.to_string(), "invalid_field at message: an object with a; give a list");
    }

    /// The values of a document, itself included, names of fields counted as values.
    fn count(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
            Value::Object(fields) => 1 + fields.values().map(|value| 1 + count(value)).sum::<usize>(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(8, 128, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_extent_is_never_less_than_the_document(value in document()) {
            let text = value.to_string();
            let extent = Extent::of(text.as_bytes());
            prop_assert!(extent.values >= count(&value), "{} values, {}", extent.values, count(&value));
            prop_assert_eq!(parse(text.as_bytes()), Ok(value));
        }
    }
}
