//! Marked regions: the part of a file between two comments, written by a program, within a text written by people.

/// Puts `body` between the lines `# >>> name` and `# <<< name` of `text`, whatever is there.
///
/// # Panics
/// If the markers are not there: the texts are compiled in, so this is a fault of the build and every test shows it.
pub(super) fn replace(text: &str, name: &str, body: &str) -> String {
    let (before, rest) = text.split_once(&format!("# >>> {name}")).expect("the region begins");
    let (opening, rest) = rest.split_once('\n').expect("the marker ends its line");
    let end = rest.find(&format!("# <<< {name}")).expect("the region ends");
    let line = rest[..end].rfind('\n').map_or(0, |newline| newline + 1);
    format!("{before}# >>> {name}{opening}\n{body}{}", &rest[line..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_region_changes_and_twice_is_once() {
        let text = "a\n  # >>> list (written by a program)\n  - old\n  # <<< list\nz\n";
        let once = replace(text, "list", "  - new\n");
        assert_eq!(once, "a\n  # >>> list (written by a program)\n  - new\n  # <<< list\nz\n");
        assert_eq!(replace(&once, "list", "  - new\n"), once);
        assert_eq!(replace("# >>> e\n# <<< e\n", "e", ""), "# >>> e\n# <<< e\n");
    }
}
