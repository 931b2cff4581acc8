//! The running services: one thread, one runtime, one port.
//!
//! Owns start and stop. The thread is separate so that a busy emulator cannot starve the program that embeds it, and
//! the program's runtime metrics stay its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::front::{self, Front};
use crate::{Clock, LocalError, LocalSettings};

/// Kinesis, DynamoDB, S3, CloudWatch, SNS and SQS on one loopback port, until dropped or [shut down](Services::shutdown).
///
/// ```
/// use local::{LocalSettings, Services};
/// let folder = tempfile::tempdir()?;
/// let services = Services::start(LocalSettings::new(folder.path()))?;
/// assert!(services.endpoint().starts_with("http://127.0.0.1:"));
/// services.shutdown();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Services {
    address: SocketAddr,
    clock: Arc<Clock>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Services {
    /// Opens the stores, binds the port, and serves from a thread of its own.
    ///
    /// When this returns, requests are accepted.
    ///
    /// # Errors
    /// [`LocalError`]: a bad setting, a port in use, a folder or file that cannot be opened.
    pub fn start(settings: LocalSettings) -> Result<Self, LocalError> {
        settings.validate()?;
        let listener = bind(settings.port)?;
        let address =
            listener.local_addr().map_err(|source| LocalError::Listen { port: settings.port, source })?;
        let stop = CancellationToken::new();
        let front = Front::open(&settings, address, stop.clone())?;
        let clock = front.kinesis.clock().clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("leasehold-local")
            .enable_all()
            .build()
            .map_err(LocalError::Thread)?;
        let (sweep, token) = (settings.ttl_sweep_interval, stop.clone());
        let thread = std::thread::Builder::new()
            .name("leasehold-local".to_owned())
            .spawn(move || run(runtime, listener, front, sweep, token))
            .map_err(LocalError::Thread)?;
        Ok(Self { address, clock, stop, thread: Some(thread) })
    }

    /// The URL to give to AWS clients as their endpoint; S3 clients need path-style addressing.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port in use.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The time of the services. Programs that ask for metrics by time, or wait for an alarm, go by it.
    #[must_use]
    pub fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    /// Ends subscriptions, lets requests finish for one second, and waits for the thread.
    pub fn shutdown(mut self) {
        self.stop_and_wait();
    }

    fn stop_and_wait(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the local services panicked");
        }
    }
}

impl Drop for Services {
    /// As [`Services::shutdown`]; it blocks the calling thread meanwhile.
    fn drop(&mut self) {
        self.stop_and_wait();
    }
}

fn bind(port: u16) -> Result<TcpListener, LocalError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            LocalError::PortInUse { port }
        } else {
            LocalError::Listen { port, source }
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

fn run(runtime: Runtime, listener: TcpListener, front: Front, sweep: Duration, stop: CancellationToken) {
    runtime.block_on(async move {
        tokio::spawn(front.kinesis.age());
        tokio::spawn(front.cloudwatch.clone().watch(stop.clone()));
        tokio::spawn(front.dynamodb.clone().sweep_expired(sweep, stop.clone()));
        if let Err(error) = serve(listener, front, stop).await {
            tracing::error!(%error, "the local services stopped serving");
        }
    });
    runtime.shutdown_timeout(STOP_GRACE);
}

async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) -> io::Result<()> {
    // A push of SubscribeToShard is a small write after silence, which Nagle's algorithm would hold back.
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let router = axum::Router::new().fallback(front::answer).with_state(Arc::new(front));
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        biased;
        served = server => served,
        () = overdue => Ok(()),
    }
}

/// How long requests may go on after a stop. A client that has sent half a request would hold it for ever.
const STOP_GRACE: Duration = Duration::from_secs(1);
