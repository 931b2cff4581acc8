//! Where an object lies: object keys as relative paths, one path component per part between slashes.
//!
//! An ordinary key is its own path. Parts that a file system cannot hold get a name of their own, so that the mapping
//! is one to one and no key can leave its bucket:
//!
//! ```text
//! part of the key   component   why
//! (empty)           .%empty     `a//b`, `a/`, `/a`
//! .                 .%dot       this folder
//! ..                .%dotdot    the folder above
//! .%x               .%%x        keeps the three above unambiguous
//! anything else     itself
//! ```

use std::borrow::Cow;
use std::path::PathBuf;

use s3s::{S3Error, S3ErrorCode, s3_error};

/// The path of `key` below its bucket.
pub(super) fn path_of_key(key: &str) -> Result<PathBuf, S3Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("the key has {} bytes: it must have 1 to {KEY_BYTES_MAX}", key.len());
        return Err(S3Error::with_message(S3ErrorCode::KeyTooLongError, message));
    }
    if key.contains('\0') {
        return Err(s3_error!(
            InvalidArgument,
            "the key contains a NUL character, which no file name can hold"
        ));
    }
    let components: Vec<_> = key.split('/').map(component_of_part).collect();
    if let Some(long) = components.iter().find(|component| component.len() > COMPONENT_BYTES_MAX) {
        let message = format!(
            "a part of the key between slashes has {} bytes: the local store keeps objects as files and takes at most \
             {COMPONENT_BYTES_MAX}",
            long.len()
        );
        return Err(S3Error::with_message(S3ErrorCode::KeyTooLongError, message));
    }
    Ok(components.iter().map(|component| component.as_ref()).collect())
}

/// The part of a key that a file or folder called `component` stands for; `None` if no key maps to that name.
pub(super) fn part_of_component(component: &str) -> Option<Cow<'_, str>> {
    match component.strip_prefix(ESCAPE) {
        None => Some(Cow::Borrowed(component)),
        Some("empty") => Some(Cow::Borrowed("")),
        Some("dot") => Some(Cow::Borrowed(".")),
        Some("dotdot") => Some(Cow::Borrowed("..")),
        Some(escaped) => escaped.strip_prefix('%').map(|rest| Cow::Owned(format!("{ESCAPE}{rest}"))),
    }
}

fn component_of_part(part: &str) -> Cow<'_, str> {
    match part {
        "" => Cow::Borrowed(".%empty"),
        "." => Cow::Borrowed(".%dot"),
        ".." => Cow::Borrowed(".%dotdot"),
        _ => match part.strip_prefix(ESCAPE) {
            Some(rest) => Cow::Owned(format!("{ESCAPE}%{rest}")),
            None => Cow::Borrowed(part),
        },
    }
}

const ESCAPE: &str = ".%";
/// The bound of S3.
const KEY_BYTES_MAX: usize = 1024;
/// The bound of the common file systems.
const COMPONENT_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_keys_are_their_own_paths() {
        let key = "events/dt=2026-01-01/site=a%2Fb/part-1.json.gz";
        assert_eq!(path_of_key(key).expect("valid"), PathBuf::from(key));
    }

    #[test]
    fn too_long_keys_and_parts_are_refused_by_name() {
        for key in ["k/".repeat(513), "k".repeat(256), String::new()] {
            let error = path_of_key(&key).expect_err("too long");
            assert_eq!(error.code(), &S3ErrorCode::KeyTooLongError);
        }
        assert!(path_of_key(&"k".repeat(255)).is_ok());
        assert!(path_of_key(&"k/".repeat(512)).is_ok());
        assert!(path_of_key("a\0b").is_err());
    }

    proptest! {
        #[test]
        fn every_key_stays_in_its_bucket_and_comes_back(key in r"([a-z.%é]{0,3}/){0,4}[a-z.%é]{0,3}") {
            prop_assume!(!key.is_empty());
            let path = path_of_key(&key).expect("short enough");
            let mut parts = Vec::new();
            for component in path.components() {
                let Component::Normal(name) = component else {
                    return Err(TestCaseError::fail(format!("{component:?} leaves the bucket")));
                };
                parts.push(part_of_component(name.to_str().expect("UTF-8")).expect("our own name"));
            }
            prop_assert_eq!(parts.join("/"), key);
        }
    }
}
