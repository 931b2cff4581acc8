//! Listing: one page of a bucket, in the order of its keys, read from the folders that can contain them.
//!
//! Folders are visited in key order (a folder sorts as its name followed by a slash), so a page ends the walk as soon
//! as it is full, and folders outside prefix and start are never opened.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::key::part_of_component;
use super::store::is_absence;

/// Which keys are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    /// Only keys greater than this, and not below it if it is a common prefix.
    pub(super) after: Option<After>,
    pub(super) items_max: usize,
}

/// Where the page before ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    Key(String),
    CommonPrefix(String),
}

/// One page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    pub(super) common_prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<After>,
}

impl After {
    /// An opaque text for the wire.
    pub(super) fn to_token(&self) -> String {
        match self {
            Self::Key(text) => super::attributes::hex(format!("k{text}").as_bytes()),
            Self::CommonPrefix(text) => super::attributes::hex(format!("p{text}").as_bytes()),
        }
    }

    pub(super) fn from_token(token: &str) -> Option<Self> {
        let digits = token.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
        let text = String::from_utf8(bytes?).ok()?;
        match text.split_at_checked(1)? {
            ("k", key) => Some(Self::Key(key.to_owned())),
            ("p", prefix) => Some(Self::CommonPrefix(prefix.to_owned())),
            _ => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Key(text) | Self::CommonPrefix(text) => text,
        }
    }

    /// Whether `key` was shown, or stands before what was shown.
    fn covers(&self, key: &str) -> bool {
        match self {
            Self::Key(last) => key <= last.as_str(),
            Self::CommonPrefix(last) => key <= last.as_str() || key.starts_with(last.as_str()),
        }
    }
}

/// One page of the bucket in `folder`.
pub(super) fn list(folder: &Path, query: &Query) -> io::Result<Page> {
    let mut page = Page::default();
    if query.items_max > 0 {
        let _ended = visit(folder, "", query, &mut page)?;
    }
    Ok(page)
}

/// Whether the bucket in `folder` has no object.
pub(super) fn is_empty(folder: &Path) -> io::Result<bool> {
    let page = list(folder, &Query { items_max: 1, ..Query::default() })?;
    Ok(page.keys.is_empty())
}

fn visit(folder: &Path, base: &str, query: &Query, page: &mut Page) -> io::Result<ControlFlow<()>> {
    for (key, path) in entries_in_order(folder, base)? {
        let flow = match path {
            Some(folder) if query.may_lie_below(&key) => visit(&folder, &key, query, page)?,
            None if query.selects(&key) => page.offer(key, query),
            Some(_) | None => ControlFlow::Continue(()),
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The keys of the files in `folder`, and the key prefixes of its folders with their paths.
fn entries_in_order(folder: &Path, base: &str) -> io::Result<Vec<(String, Option<PathBuf>)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Deleted since its parent was read.
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(part) = part_of_component(&name) else { continue };
        if entry.file_type()?.is_dir() {
            found.push((format!("{base}{part}/"), Some(entry.path())));
        } else {
            found.push((format!("{base}{part}"), None));
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Query {
    fn selects(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.after.as_ref().is_none_or(|after| !after.covers(key))
    }

    /// Whether a key that begins with `base` can be selected.
    fn may_lie_below(&self, base: &str) -> bool {
        let in_prefix = base.starts_with(&self.prefix) || self.prefix.starts_with(base);
        let behind = |after: &After| match after {
            After::CommonPrefix(last) if base.starts_with(last.as_str()) => true,
            After::Key(_) | After::CommonPrefix(_) => base <= after.text() && !after.text().starts_with(base),
        };
        in_prefix && !self.after.as_ref().is_some_and(behind)
    }

    fn common_prefix<'a>(&self, key: &'a str) -> Option<&'a str> {
        let delimiter = self.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
        let start = key[self.prefix.len()..].find(delimiter)?;
        Some(&key[..self.prefix.len() + start + delimiter.len()])
    }
}

impl Page {
    fn offer(&mut self, key: String, query: &Query) -> ControlFlow<()> {
        let common_prefix = query.common_prefix(&key);
        if common_prefix.is_some() && common_prefix == self.common_prefixes.last().map(String::as_str) {
            return ControlFlow::Continue(());
        }
        if self.keys.len() + self.common_prefixes.len() == query.items_max {
            let key = self.keys.last().cloned().map(After::Key);
            let prefix = self.common_prefixes.last().cloned().map(After::CommonPrefix);
            self.next = [key, prefix].into_iter().flatten().max_by(|a, b| a.text().cmp(b.text()));
            return ControlFlow::Break(());
        }
        match common_prefix.map(str::to_owned) {
            Some(prefix) => self.common_prefixes.push(prefix),
            None => self.keys.push(key),
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::s3::key::path_of_key;

    fn bucket_of<'a>(keys: impl IntoIterator<Item = &'a String>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for key in keys {
            let path = folder.path().join(path_of_key(key).expect("valid"));
            fs::create_dir_all(path.parent().expect("in the bucket")).expect("made");
            fs::write(path, "").expect("written");
        }
        folder
    }

    /// What S3 documents, without paging.
    fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> BTreeSet<String> {
        let shown = keys.iter().filter(|key| key.starts_with(prefix)).map(|key| {
            let end = delimiter.and_then(|delimiter| {
                key[prefix.len()..].find(delimiter).map(|at| prefix.len() + at + delimiter.len())
            });
            end.map_or(key.clone(), |end| key[..end].to_owned())
        });
        shown.collect()
    }

    #[test]
    fn a_token_comes_back_and_garbage_does_not() {
        for after in [After::Key("ä/b".to_owned()), After::CommonPrefix("x/".to_owned())] {
            assert_eq!(After::from_token(&after.to_token()), Some(after));
        }
        for token in ["", "zz", "6", "ff", "78"] {
            assert_eq!(After::from_token(token), None, "{token:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pages_together_show_each_key_or_common_prefix_once_and_in_order(
            keys in proptest::collection::btree_set("[ab.]{1,2}(/[ab.]{0,2}){0,3}", 0..12),
            prefix in "([ab]{1,2}/?)?", delimiter in proptest::option::of("[/b]"), items_max in 1_usize..5,
        ) {
            let is_folder = |key: &String| keys.iter().any(|other| other.starts_with(&format!("{key}/")));
            let keys: BTreeSet<_> = keys.iter().filter(|key| !is_folder(key)).cloned().collect();
            let folder = bucket_of(&keys);
            let mut query = Query { prefix, delimiter, after: None, items_max };
            let (mut shown, mut last) = (Vec::new(), None);
            loop {
                let page = list(folder.path(), &query).expect("lists");
                let mut items: Vec<_> = page.keys.into_iter().chain(page.common_prefixes).collect();
                items.sort_unstable();
                prop_assert!(items.len() <= items_max);
                prop_assert!(last.as_ref() < items.first() || items.is_empty());
                last = items.last().cloned();
                shown.extend(items);
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            let expected = expected(&keys, &query.prefix, query.delimiter.as_deref());
            prop_assert_eq!(shown, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
