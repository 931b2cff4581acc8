//! Calls with prepared bodies, as fast as a server answers them: no signing, no decoding, one connection per caller.

use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What several callers do at once.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    /// The operation of Kinesis.
    pub(crate) operation: &'static str,
    /// One body per caller.
    pub(crate) bodies: Vec<Bytes>,
    /// Calls of each caller.
    pub(crate) times: usize,
}

impl Calls {
    /// Calls per second of all callers together at `address`, a host and a port.
    pub(crate) async fn rate(&self, address: &str) -> anyhow::Result<f64> {
        let callers = self.bodies.iter().map(|body| Caller::connect(address, self.operation, body.clone()));
        let callers = try_join_all(callers).await?;
        let began = Instant::now();
        let running = callers.into_iter().map(|caller| tokio::spawn(caller.call_times(self.times)));
        for ended in try_join_all(running).await? {
            ended?;
        }
        Ok((self.bodies.len() * self.times) as f64 / began.elapsed().as_secs_f64())
    }

    /// The answer to the first caller's call.
    pub(crate) async fn answer(&self, address: &str) -> anyhow::Result<Bytes> {
        let body = self.bodies.first().context("nobody calls")?;
        let mut caller = Caller::connect(address, self.operation, body.clone()).await?;
        Ok(caller.call().await?.collect().await?.to_bytes())
    }
}

/// One connection that repeats one call.
struct Caller {
    connection: SendRequest<Full<Bytes>>,
    address: String,
    operation: &'static str,
    body: Bytes,
}

impl Caller {
    async fn connect(address: &str, operation: &'static str, body: Bytes) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
        stream.set_nodelay(true)?;
        let (connection, transport) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(transport);
        Ok(Self { connection, address: address.to_owned(), operation, body })
    }

    async fn call_times(mut self, times: usize) -> anyhow::Result<()> {
        for _ in 0..times {
            let mut answer = self.call().await?;
            while let Some(frame) = answer.frame().await {
                frame?;
            }
        }
        Ok(())
    }

    async fn call(&mut self) -> anyhow::Result<Incoming> {
        let request = Request::post("/")
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header(TARGET, format!("{TARGET_PREFIX}{}", self.operation))
            .body(Full::new(self.body.clone()))?;
        self.connection.ready().await?;
        let answer = self.connection.send_request(request).await?;
        anyhow::ensure!(answer.status().is_success(), "{} was refused: {}", self.operation, answer.status());
        Ok(answer.into_body())
    }
}

/// The header that names the operation.
pub(crate) const TARGET: &str = "x-amz-target";
/// What stands before the operation in it.
pub(crate) const TARGET_PREFIX: &str = "Kinesis_20131202.";
