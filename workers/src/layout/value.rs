//! Makes any value safe as a part of an object key and of a file name.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// The text of a layout value: ASCII letters, digits, `-`, `_`, `.` and `%XX`, 1 to 64 bytes, never `.` or `..`.
pub(super) fn encoded(value: Option<&Value>) -> String {
    let text: Cow<'_, str> = match value {
        None | Some(Value::Null) => return MISSING.to_owned(),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            Cow::Owned(other.to_string())
        }
    };
    if text.is_empty() {
        return EMPTY.to_owned();
    }
    let mut encoded = String::new();
    for (index, byte) in text.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric()
            || byte == b'-'
            // A leading dot would allow `..` and hidden files; two leading underscores are our own markers.
            || (byte == b'.' && index > 0)
            || (byte == b'_' && !(index == 0 && text.starts_with("__")));
        if is_plain {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String never fails");
        }
        if encoded.len() > VALUE_BYTES_MAX {
            return shortened(&encoded, &text);
        }
    }
    encoded
}

/// The start of the encoded text, never cut within a `%XX`, and a digest of the whole value.
fn shortened(encoded: &str, text: &str) -> String {
    let end = match encoded[..KEPT_BYTES].rfind('%') {
        Some(escape) if escape + 3 > KEPT_BYTES => escape,
        Some(_) | None => KEPT_BYTES,
    };
    let digest = hex(&Sha256::digest(text.as_bytes()));
    format!("{}-{}", &encoded[..end], &digest[..DIGEST_DIGITS])
}

const EMPTY: &str = "__empty__";
const MISSING: &str = "__missing__";
/// Eight values of this size and the object's name stay within the 1024 bytes of an S3 key.
pub(super) const VALUE_BYTES_MAX: usize = 64;
const KEPT_BYTES: usize = 48;
/// With the hyphen they fill 64 bytes; 60 bits tell apart the long values of any real field.
const DIGEST_DIGITS: usize = 15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> String {
        encoded(Some(&json!(text)))
    }

    #[test]
    fn hostile_values_become_harmless_names() {
        assert_eq!(of("/"), "%2F");
        assert_eq!(of(".."), "%2E.");
        assert_eq!(of("."), "%2E");
        assert_eq!(of("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd");
        assert_eq!(of(""), "__empty__");
        assert_eq!(of("__empty__"), "%5F_empty__");
        assert_eq!(of("a b=c%"), "a%20b%3Dc%25");
        assert_eq!(of("ü\0\n"), "%C3%BC%00%0A");
        assert_eq!(encoded(None), "__missing__");
        assert_eq!(encoded(Some(&Value::Null)), "__missing__");
        assert_eq!(encoded(Some(&json!(200))), "200");
        assert_eq!(encoded(Some(&json!(true))), "true");
    }

    #[test]
    fn long_values_keep_their_start_and_stay_distinct() {
        let (first, second) = (of(&"a".repeat(4096)), of(&"a".repeat(4097)));
        assert_eq!(first.len(), 64);
        assert!(first.starts_with(&"a".repeat(48)));
        assert_ne!(first, second);
        assert_eq!(of(&"a".repeat(64)), "a".repeat(64));
        assert_eq!(of(&"/".repeat(4096)).len(), 64);
        assert!(!of(&format!("a{}", "/".repeat(4096))).contains("%-"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_short_plain_segment(text in ".{0,200}") {
            let name = of(&text);
            prop_assert!((1..=VALUE_BYTES_MAX).contains(&name.len()));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.%".contains(&byte)));
            prop_assert!(!name.starts_with('.'));
        }
    }
}
