//! The same services without a port: a request is a call.
//!
//! For tests that send what no client would, and for programs that bring a server of their own. Owns nothing but the
//! stores; the timers that free old records and expired items and judge alarms run with [`Services`](crate::Services)
//! only.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::front::{self, Front};
use crate::{LocalError, LocalSettings};

/// All services behind one call; its port is not used. Subscriptions end when it is dropped.
pub struct InProcess {
    front: Arc<Front>,
    _stop: DropGuard,
}

impl InProcess {
    /// Opens the stores.
    ///
    /// # Errors
    /// [`LocalError`]: a bad setting, a folder or file that cannot be opened.
    pub fn open(settings: &LocalSettings) -> Result<Self, LocalError> {
        settings.validate()?;
        let stop = CancellationToken::new();
        let front = Front::open(settings, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), stop.clone())?;
        Ok(Self { front: Arc::new(front), _stop: stop.drop_guard() })
    }

    /// Answers one request, as the port would; needs a tokio runtime.
    pub async fn call(&self, request: Request) -> Response<Body> {
        front::answer(State(Arc::clone(&self.front)), request).await
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InProcess").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header};
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_request_is_answered_as_over_the_port() {
        let folder = tempfile::tempdir().expect("a folder");
        let services = InProcess::open(&LocalSettings::new(folder.path())).expect("opens");
        let request = |host| {
            Request::post("/")
                .header(header::HOST, host)
                .header("x-amz-target", "Kinesis_20131202.ListStreams")
                .body(Body::from("{}"))
                .expect("a request")
        };
        let response = services.call(request("localhost")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.expect("in memory").to_bytes();
        assert_eq!(body, r#"{"StreamNames":[],"HasMoreStreams":false,"StreamSummaries":[]}"#);
        assert_eq!(services.call(request("rebound.example")).await.status(), StatusCode::FORBIDDEN);
    }
}
