//! A server that does nothing but HTTP: it reads each request to its end and gives the same answer every time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::calls::{TARGET, TARGET_PREFIX};
use crate::child::{Child, report, stopped};

/// What the child that serves is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CannedTask {
    /// The file with the answer to each operation.
    answers: BTreeMap<String, PathBuf>,
}

/// The running server as its parent sees it; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct CannedServer {
    child: Child,
    address: String,
}

impl CannedServer {
    /// Starts a server that gives `answers`, which are kept below `folder`.
    pub(crate) async fn start(folder: &Path, answers: &[(&str, Bytes)]) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for (operation, answer) in answers {
            let file = folder.join(operation);
            std::fs::write(&file, answer).with_context(|| format!("{} cannot be written", file.display()))?;
            files.insert((*operation).to_owned(), file);
        }
        let task = super::Task::Canned(CannedTask { answers: files });
        let mut child = Child::spawn(&crate::child::Task::DataPlane(task))?;
        let address = child.next().await?;
        Ok(Self { child, address })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops it.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.child.stop().await
    }
}

impl CannedTask {
    /// Serves until the parent says stop.
    pub(crate) async fn carry_out(self) -> anyhow::Result<()> {
        let read = |(operation, file)| anyhow::Ok((operation, Bytes::from(std::fs::read(file)?)));
        let answers: BTreeMap<String, Bytes> =
            self.answers.into_iter().map(read).collect::<Result<_, _>>()?;
        let answers = Arc::new(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        report(&listener.local_addr()?.to_string())?;
        let parent_says_stop = stopped();
        tokio::pin!(parent_says_stop);
        loop {
            let (stream, _) = tokio::select! {
                biased;
                said = &mut parent_says_stop => return said,
                accepted = listener.accept() => accepted?,
            };
            stream.set_nodelay(true)?;
            let answers = Arc::clone(&answers);
            let service = service_fn(move |request| answer(Arc::clone(&answers), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }
}

async fn answer(
    answers: Arc<BTreeMap<String, Bytes>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.headers().get(TARGET).and_then(|value| value.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix(TARGET_PREFIX));
    let canned = operation.and_then(|operation| answers.get(operation)).cloned();
    let is_whole = request.into_body().collect().await.is_ok();
    let mut response = Response::new(Full::new(canned.clone().unwrap_or_default()));
    if canned.is_none() || !is_whole {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}
