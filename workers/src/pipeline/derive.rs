//! Builtin derivations: fields computed from others. A step whose input is missing adds nothing.

use serde_json::Value;

use crate::event::Fields;
use crate::settings::Derivation;

/// Applies one derivation to an event.
pub(super) fn derive(step: Derivation, fields: &mut Fields) {
    match step {
        Derivation::RequestParts => request_parts(fields),
        Derivation::PageView => page_view(fields),
        Derivation::ReferrerHost => referrer_host(fields),
        Derivation::StatusClass => status_class(fields),
    }
}

fn request_parts(fields: &mut Fields) {
    let Some(request) = text(fields, "request") else { return };
    let mut parts = request.splitn(3, ' ');
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else { return };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let derived = [
        ("method", Value::from(method)),
        ("path", Value::from(path)),
        ("query", query.map_or(Value::Null, Value::from)),
        ("protocol", parts.next().map_or(Value::Null, Value::from)),
    ];
    for (name, value) in derived {
        fields.insert(name, value);
    }
}

/// A page view is a successful GET of something that is no asset, feed or robots file.
fn page_view(fields: &mut Fields) {
    let Some(path) = text(fields, "path") else { return };
    let is_get = text(fields, "method") == Some("GET");
    let status = fields.get("status").and_then(Value::as_u64);
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_asset = name.rsplit_once('.').is_some_and(|(_, extension)| {
        ASSET_EXTENSIONS.iter().any(|asset| asset.eq_ignore_ascii_case(extension))
    });
    let is_page_view = is_get && matches!(status, Some(200..=299 | 304)) && !is_asset;
    fields.insert("is_page_view", Value::from(is_page_view));
    let kind = if is_page_view { "page_view" } else { "request" };
    fields.insert("type", Value::from(kind));
}

fn referrer_host(fields: &mut Fields) {
    let Some(referrer) = text(fields, "referrer") else { return };
    let Some((_, rest)) = referrer.split_once("://") else { return };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    if !host.is_empty() {
        let host = host.to_ascii_lowercase();
        fields.insert("referrer_host", Value::from(host));
    }
}

fn status_class(fields: &mut Fields) {
    if let Some(status) = fields.get("status").and_then(Value::as_u64) {
        fields.insert("status_class", Value::from(format!("{}xx", status / 100)));
    }
}

fn text<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.get(name).and_then(Value::as_str)
}

const ASSET_EXTENSIONS: [&str; 18] = [
    "css", "js", "png", "jpg", "jpeg", "gif", "ico", "svg", "woff", "woff2", "ttf", "eot", "map", "txt",
    "xml", "rss", "atom", "json",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(fields: Value) -> Fields {
        let mut fields = Fields::from(fields.as_object().expect("an object").clone());
        for step in [
            Derivation::RequestParts,
            Derivation::PageView,
            Derivation::ReferrerHost,
            Derivation::StatusClass,
        ] {
            derive(step, &mut fields);
        }
        fields
    }

    #[test]
    fn a_request_for_a_page_is_a_page_view_and_one_for_an_asset_is_not() {
        let page = derived(serde_json::json!({
            "request": "GET /blog/post?x=1 HTTP/1.1", "status": 200, "referrer": "http://User@Example.com:80/a",
        }));
        assert_eq!((&page["path"], &page["query"]), (&Value::from("/blog/post"), &Value::from("x=1")));
        assert_eq!((&page["type"], &page["status_class"]), (&Value::from("page_view"), &Value::from("2xx")));
        assert_eq!(page["referrer_host"], "example.com");
        let asset = derived(serde_json::json!({"request": "GET /style.CSS HTTP/1.1", "status": 200}));
        assert_eq!(asset["is_page_view"], false);
        let missing = derived(serde_json::json!({"request": "GET /page HTTP/1.1", "status": 404}));
        assert_eq!(missing["type"], "request");
    }

    #[test]
    fn a_step_without_its_input_adds_nothing() {
        assert_eq!(derived(serde_json::json!({"other": 1})).len(), 1);
    }
}
