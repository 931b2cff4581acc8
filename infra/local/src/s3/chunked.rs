//! The `aws-chunked` framing in which SDKs send bodies whose checksum follows them.
//!
//! ```text
//!  5;chunk-signature=…\r\n  hello\r\n  0;chunk-signature=…\r\n  x-amz-checksum-crc32:…\r\n  \r\n
//!  └ head (signature optional)  └ data     └ last head               └ trailers
//! ```
//!
//! Takes the framing off and keeps the trailers. Signatures are read past, not checked.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use parking_lot::Mutex;
use thiserror::Error;

/// The trailers of a request, filled when its body has been read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Trailers(Arc<Mutex<HeaderMap>>);

impl Trailers {
    /// The value of the trailer `name`.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.0.lock().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }
}

/// `body` without its framing; its trailers go to `trailers`.
pub(super) fn without_framing(body: Body, trailers: Trailers) -> s3s::Body {
    let state = (body.into_data_stream(), Decoder::default(), trailers, false);
    let frames = stream::unfold(state, |(mut input, mut decoder, trailers, over)| async move {
        if over {
            return None;
        }
        let (result, over) = match input.next().await {
            Some(Ok(bytes)) => (decoder.decode(bytes), false),
            Some(Err(error)) => (Err(ChunkedError::Input(error.to_string())), true),
            None => (decoder.finish(&trailers), true),
        };
        let over = over || result.is_err();
        Some((stream::iter(split(result)), (input, decoder, trailers, over)))
    });
    s3s::Body::http_body_unsync(StreamBody::new(frames.flatten()))
}

fn split(result: Result<Vec<Bytes>, ChunkedError>) -> Vec<Result<Frame<Bytes>, ChunkedError>> {
    match result {
        Ok(chunks) => chunks.into_iter().map(|bytes| Ok(Frame::data(bytes))).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// A body that is not framed as it claims.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum ChunkedError {
    #[error("aws-chunked body: the size of a chunk is not a hexadecimal number below 2^63")]
    Head,
    #[error("aws-chunked body: a chunk is not followed by a line end")]
    ChunkEnd,
    #[error("aws-chunked body: a line has more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("aws-chunked body: a trailer is no header, or there are more than {TRAILERS_MAX}")]
    Trailer,
    #[error("aws-chunked body: it ends before its last chunk")]
    Incomplete,
    #[error("aws-chunked body: {0}")]
    Input(String),
}

#[derive(Debug, Default)]
struct Decoder {
    expected: Expected,
    line: Vec<u8>,
    trailers: HeaderMap,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Expected {
    #[default]
    Head,
    Data {
        left: u64,
    },
    ChunkEnd,
    Trailer,
    Nothing,
}

impl Decoder {
    /// The payload found in `input`, which may begin and end anywhere.
    fn decode(&mut self, mut input: Bytes) -> Result<Vec<Bytes>, ChunkedError> {
        let mut payload = Vec::new();
        while !input.is_empty() {
            if let Expected::Data { left } = self.expected {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                payload.push(input.split_to(taken));
                let left = left - taken as u64;
                self.expected = if left == 0 { Expected::ChunkEnd } else { Expected::Data { left } };
            } else if self.take_line(&mut input)? {
                let line = std::mem::take(&mut self.line);
                self.expected = self.read_line(&line)?;
            }
        }
        Ok(payload)
    }

    /// The body is over.
    fn finish(&mut self, trailers: &Trailers) -> Result<Vec<Bytes>, ChunkedError> {
        match self.expected {
            Expected::Trailer | Expected::Nothing => {
                *trailers.0.lock() = std::mem::take(&mut self.trailers);
                Ok(Vec::new())
            }
            Expected::Head | Expected::Data { .. } | Expected::ChunkEnd => Err(ChunkedError::Incomplete),
        }
    }

    /// Moves bytes up to the next line feed into `self.line`; whether the line is complete.
    fn take_line(&mut self, input: &mut Bytes) -> Result<bool, ChunkedError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = input.split_to(end.map_or(input.len(), |end| end + 1));
        if self.line.len() + taken.len() > LINE_BYTES_MAX {
            return Err(ChunkedError::LineTooLong);
        }
        self.line.extend_from_slice(&taken);
        Ok(end.is_some())
    }

    fn read_line(&mut self, line: &[u8]) -> Result<Expected, ChunkedError> {
        let text = std::str::from_utf8(line).map_err(|_| ChunkedError::Head)?.trim_end_matches(['\r', '\n']);
        match self.expected {
            Expected::Head => {
                let digits = text.split(';').next().unwrap_or_default().trim();
                match i64::from_str_radix(digits, 16) {
                    Ok(0) => Ok(Expected::Trailer),
                    Ok(size) if size > 0 => Ok(Expected::Data { left: size.unsigned_abs() }),
                    Ok(_) | Err(_) => Err(ChunkedError::Head),
                }
            }
            Expected::ChunkEnd if text.is_empty() => Ok(Expected::Head),
            Expected::ChunkEnd => Err(ChunkedError::ChunkEnd),
            Expected::Trailer if text.is_empty() => Ok(Expected::Nothing),
            Expected::Trailer => {
                let (name, value) = text.split_once(':').ok_or(ChunkedError::Trailer)?;
                let name: HeaderName = name.trim().parse().map_err(|_| ChunkedError::Trailer)?;
                let value: HeaderValue = value.trim().parse().map_err(|_| ChunkedError::Trailer)?;
                if self.trailers.len() == TRAILERS_MAX {
                    return Err(ChunkedError::Trailer);
                }
                self.trailers.insert(name, value);
                Ok(Expected::Trailer)
            }
            Expected::Data { .. } | Expected::Nothing => Ok(self.expected),
        }
    }
}

/// A head with a signature has about 100 bytes, a trailer less.
const LINE_BYTES_MAX: usize = 1024;
/// SDKs send one checksum and one signature.
const TRAILERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(framed: &[u8], cuts: usize) -> Result<(Vec<u8>, Trailers), ChunkedError> {
        let (mut decoder, trailers, mut payload) = (Decoder::default(), Trailers::default(), Vec::new());
        for piece in framed.chunks(cuts) {
            for bytes in decoder.decode(Bytes::copy_from_slice(piece))? {
                payload.extend_from_slice(&bytes);
            }
        }
        decoder.finish(&trailers)?;
        Ok((payload, trailers))
    }

    #[test]
    fn a_truncated_or_malformed_body_is_an_error() {
        for (framed, error) in [
            ("", ChunkedError::Incomplete),
            ("5\r\nhel", ChunkedError::Incomplete),
            ("5\r\nhello\r\n", ChunkedError::Incomplete),
            ("x\r\n", ChunkedError::Head),
            ("-5\r\n", ChunkedError::Head),
            ("ffffffffffffffff\r\n", ChunkedError::Head),
            ("1\r\nabc\r\n", ChunkedError::ChunkEnd),
            ("0\r\nno header\r\n\r\n", ChunkedError::Trailer),
        ] {
            assert_eq!(decode(framed.as_bytes(), 3).expect_err(framed), error, "{framed:?}");
        }
        assert_eq!(decode(&[b'1'; 2000], 7).expect_err("no line end"), ChunkedError::LineTooLong);
    }

    proptest! {
        #[test]
        fn the_payload_comes_back_however_it_is_cut(
            chunks: Vec<Vec<u8>>, signed: bool, cuts in 1_usize..40
        ) {
            let mut framed = Vec::new();
            let signature = if signed { ";chunk-signature=abc" } else { "" };
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                framed.extend_from_slice(format!("{:x}{signature}\r\n", chunk.len()).as_bytes());
                framed.extend_from_slice(chunk);
                framed.extend_from_slice(b"\r\n");
            }
            framed.extend_from_slice(format!("0{signature}\r\nx-amz-checksum-crc32:AAAA==\r\n\r\n").as_bytes());
            let (payload, trailers) = decode(&framed, cuts).expect("well formed");
            prop_assert_eq!(payload, chunks.concat());
            prop_assert_eq!(trailers.value("x-amz-checksum-crc32"), Some("AAAA==".to_owned()));
        }
    }
}
