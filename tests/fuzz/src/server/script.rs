//! Scripts: requests as text, so that a corpus can be read, and tokens of answers used in later requests.
//!
//! ```text
//! POST /                                            method, path and query
//! x-amz-target: Kinesis_20131202.GetRecords         headers; Host is added unless it is named
//!
//! {"ShardIterator":"$ShardIterator"}                body, up to the line `%%`; $Name is the last answer's Name
//! %%
//! ```

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// The tokens that answers named.
#[derive(Debug, Default)]
pub(super) struct Memory {
    tokens: BTreeMap<&'static str, Vec<u8>>,
}

/// The requests of a script; what is no request is left out.
pub(super) fn calls(script: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut rest = script;
    while !rest.is_empty() && calls.len() < CALLS_MAX {
        let (text, after) = split_once(rest, b"\n%%\n").unwrap_or((rest, b""));
        calls.extend(call(text));
        rest = after;
    }
    calls
}

fn call(text: &[u8]) -> Option<Call> {
    let (head, body) = split_once(text, b"\n\n").unwrap_or((text, b""));
    let mut lines = std::str::from_utf8(head).ok()?.lines();
    let (method, uri) = lines.next()?.split_once(' ')?;
    let headers = lines.map_while(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
    });
    Some(Call {
        method: method.parse().ok()?,
        uri: uri.to_owned(),
        headers: headers.collect(),
        body: Bytes::copy_from_slice(body),
    })
}

impl Call {
    /// The request; `None` if HTTP cannot carry it.
    pub(super) fn request(&self) -> Option<Request> {
        let mut builder = Request::builder().method(&self.method).uri(&self.uri);
        if !self.headers.iter().any(|(name, _)| name == header::HOST) {
            builder = builder.header(header::HOST, "localhost");
        }
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Body::from(self.body.clone())).ok()
    }

    /// A plain request for what lies under its key.
    pub(super) fn as_get(&self) -> Request {
        let get = Self { method: Method::GET, body: Bytes::new(), ..self.clone() };
        get.request().expect("the same target was carried before")
    }

    /// The operation of Kinesis that it calls.
    pub(super) fn kinesis_operation(&self) -> Option<&str> {
        let target = self.headers.iter().find(|(name, _)| name == "x-amz-target")?;
        target.1.to_str().ok()?.strip_prefix("Kinesis_20131202.")
    }

    /// The encoded key of the S3 object that it names, if nothing but the key is named.
    pub(super) fn key(&self) -> Option<&str> {
        let path = self.uri.strip_prefix('/').filter(|path| !path.contains(['?', '#']))?;
        path.split_once('/').map(|(_, key)| key)
    }
}

impl Memory {
    /// Remembers the tokens of an answer in JSON or XML.
    pub(super) fn note(&mut self, answer: &[u8]) {
        for name in TOKENS {
            let quoted = between(answer, format!("\"{name}\":\"").as_bytes(), b"\"");
            let tagged = || between(answer, format!("<{name}>").as_bytes(), b"</");
            if let Some(token) = quoted.or_else(tagged) {
                self.tokens.insert(name, token.to_vec());
            }
        }
    }

    /// `call` with `$Name` replaced in target and body.
    pub(super) fn filled_in(&self, call: &Call) -> Call {
        let (mut uri, mut body) = (call.uri.clone().into_bytes(), call.body.to_vec());
        for (name, token) in &self.tokens {
            let mark = format!("${name}").into_bytes();
            uri = replaced(&uri, &mark, token);
            body = replaced(&body, &mark, token);
        }
        let uri = String::from_utf8(uri).unwrap_or_else(|_| call.uri.clone());
        Call { uri, body: Bytes::from(body), ..call.clone() }
    }
}

fn between<'a>(text: &'a [u8], start: &[u8], end: &[u8]) -> Option<&'a [u8]> {
    split_once(split_once(text, start)?.1, end).map(|(token, _)| token)
}

fn replaced(text: &[u8], mark: &[u8], token: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    for _ in 0..MARKS_MAX {
        let Some((before, after)) = split_once(rest, mark) else { break };
        out.extend_from_slice(before);
        out.extend_from_slice(token);
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

fn split_once<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}

const TOKENS: [&str; 9] = [
    "ConsumerARN",
    "ETag",
    "NextContinuationToken",
    "NextMarker",
    "NextShardIterator",
    "NextToken",
    "SequenceNumber",
    "ShardIterator",
    "UploadId",
];
/// Enough to create, fill, reshard, read and list; more makes runs slower and nothing deeper.
const CALLS_MAX: usize = 16;
/// A body full of marks would grow by the length of a token each.
const MARKS_MAX: usize = 16;
