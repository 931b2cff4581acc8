//! One JSON object; a name that occurs twice is refused, because readers disagree about which value counts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Fields;

/// The fields of an object.
///
/// # Errors
/// If the text is no JSON object, or names a field twice.
pub(crate) fn parse_json(text: &str) -> Result<Fields, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    match value {
        Value::Object(fields) => Ok(Fields::from(fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err("the record is JSON, but no object".to_owned())
        }
    }
}

/// A value without repeated names at any depth.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            if fields.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format!("field `{name}` occurs twice")));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_name_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"a":1}}"#, r#"{"x":[{"b":1,"b":1}]}"#] {
            let error = parse_json(text).expect_err("refused");
            assert!(error.contains("occurs twice"), "{error}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_and_values_survive() {
        for text in ["", "[]", "1", "null", "{", "{} x", "{\"a\":}"] {
            assert!(parse_json(text).is_err(), "{text}");
        }
        let text = r#"{"a":[1,-2,1.5,true,null,"x"],"b":{"c":18446744073709551615}}"#;
        let fields = parse_json(text).expect("parses");
        assert_eq!(Value::Object(fields.into()), serde_json::from_str::<Value>(text).expect("JSON"));
    }
}
