//! Lines of an access log in Apache's "combined" format.
//!
//! `address identity user [time] "request" status bytes "referrer" "user agent"`

use std::borrow::Cow;

use serde_json::Value;

use super::Fields;

/// The fields of a line: `address`, `user`, `timestamp`, `request`, `status`, `bytes`, `referrer`, `user_agent`. A `-` is null, but
/// for the user agent, which is part of who a visitor is: it stays `-`.
///
/// # Errors
/// Which part is missing or malformed.
pub(crate) fn parse_combined_log(line: &str) -> Result<Fields, String> {
    let mut rest = line;
    let address = word(&mut rest, "address")?;
    word(&mut rest, "identity")?;
    let user = word(&mut rest, "user")?;
    let timestamp = enclosed(&mut rest, '[', ']', "time")?;
    let request = quoted(&mut rest, "request")?;
    let status = word(&mut rest, "status")?;
    let bytes = word(&mut rest, "bytes")?;
    let referrer = quoted(&mut rest, "referrer")?;
    let user_agent = quoted(&mut rest, "user agent")?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the user agent", rest.len()));
    }
    let number = |name: &str, text: &str| match text {
        "-" => Ok(Value::Null),
        digits => {
            digits.parse::<u64>().map(Value::from).map_err(|_| format!("{name} {digits:?} is no number"))
        }
    };
    let text = |text: Cow<'_, str>| if text == "-" { Value::Null } else { Value::from(text) };
    let status = number("status", status)?;
    let bytes = number("bytes", bytes)?;
    let fields = [
        ("address", Value::from(address)),
        ("bytes", bytes),
        ("referrer", text(referrer)),
        ("request", text(request)),
        ("status", status),
        ("timestamp", Value::from(timestamp)),
        ("user", text(Cow::Borrowed(user))),
        ("user_agent", Value::from(user_agent)),
    ];
    Ok(Fields::from_sorted(fields, MORE_FIELDS))
}

fn word<'a>(rest: &mut &'a str, name: &str) -> Result<&'a str, String> {
    let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
    if word.is_empty() {
        return Err(format!("the {name} is missing"));
    }
    *rest = after;
    Ok(word)
}

fn enclosed<'a>(rest: &mut &'a str, open: char, close: char, name: &str) -> Result<&'a str, String> {
    let inner = rest.strip_prefix(open).ok_or_else(|| format!("the {name} does not begin with `{open}`"))?;
    let (text, after) =
        inner.split_once(close).ok_or_else(|| format!("the {name} does not end with `{close}`"))?;
    *rest = after.strip_prefix(' ').unwrap_or(after);
    Ok(text)
}

/// A text in double quotes, in which a backslash keeps the next character from ending it.
fn quoted<'a>(rest: &mut &'a str, name: &str) -> Result<Cow<'a, str>, String> {
    let inner = rest.strip_prefix('"').ok_or_else(|| format!("the {name} does not begin with a quote"))?;
    let mut text = Cow::Borrowed("");
    let mut left = inner;
    while let Some(mark) = left.bytes().position(|byte| byte == b'"' || byte == b'\\') {
        let (plain, marked) = left.split_at(mark);
        text += plain;
        if let Some(after) = marked.strip_prefix('"') {
            *rest = after.strip_prefix(' ').unwrap_or(after);
            return Ok(text);
        }
        let escaped = marked[1..].chars().next();
        match escaped {
            Some('"' | '\\') => {}
            Some(_) => text += "\\",
            None => break,
        }
        let (character, after) = marked[1..].split_at(escaped.map_or(0, char::len_utf8));
        text += character;
        left = after;
    }
    Err(format!("the {name} does not end with a quote"))
}

/// Room for what the pipeline adds: derived fields and its own.
const MORE_FIELDS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str =
        r#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 203023 "-" "Mozilla \"5\"""#;

    #[test]
    fn a_line_becomes_its_fields() {
        let fields = parse_combined_log(LINE).expect("parses");
        assert_eq!(fields["address"], "83.149.9.216");
        assert_eq!(fields["timestamp"], "17/May/2015:10:05:03 +0000");
        assert_eq!((&fields["status"], &fields["bytes"]), (&Value::from(200), &Value::from(203_023)));
        assert_eq!((&fields["referrer"], &fields["user"]), (&Value::Null, &Value::Null));
        assert_eq!(fields["user_agent"], "Mozilla \"5\"");
    }

    #[test]
    fn a_visitor_without_a_user_agent_is_still_somebody() {
        let line = r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 - "-" "-""#;
        let fields = parse_combined_log(line).expect("parses");
        assert_eq!((&fields["user_agent"], &fields["bytes"]), (&Value::from("-"), &Value::Null));
    }

    #[test]
    fn a_line_that_is_cut_off_anywhere_is_refused_with_the_part_that_lacks() {
        for end in 0..LINE.len() {
            assert!(parse_combined_log(&LINE[..end]).is_err(), "cut at {end}");
        }
        let cut = parse_combined_log(&LINE[..LINE.len() - 1]).expect_err("refused");
        assert_eq!(cut, "the user agent does not end with a quote");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,120}") {
            let _ = parse_combined_log(&text);
        }
    }
}
