//! `leasehold autoscale apply`: the autoscaler as a process.
//!
//! ```text
//!  queue ─▶ WakePoller ─▶ wakes ─┐
//!  policy file, kill switch ─────┼─▶ Attendance: a reconciler for each stream ─┬─▶ log, audit file, audit table
//!  SIGINT, SIGTERM ─▶ stop ──────┘                                             └─▶ CloudWatch, /metrics
//! ```

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autoscaler::reconcile::RunFor;
use autoscaler::service::Attendance;
use autoscaler::trigger::{SqsWakeQueue, WakePoller};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connect::Site;
use super::metrics::Board;
use super::parts::{AuditPlaces, Purpose, identity, parts, triggers};
use crate::arguments::ApplyArguments;
use crate::command::{start_logging, stdin_closed};
use crate::problem::{FAILED, Problem};

/// Keeps the streams scaled until a signal, or looks at each once.
pub(super) async fn apply(arguments: ApplyArguments) -> anyhow::Result<()> {
    start_logging(arguments.log);
    let site = Site::of(&arguments.streams).await?;
    for stream in &arguments.streams.streams {
        site.look(stream.as_str()).await?;
    }
    if !arguments.dry_run {
        site.open_table(arguments.create_table).await?;
    }
    let file = arguments.audit.as_deref().map(open_audit).transpose()?;
    let (table, writing) = site
        .open_audit_table(arguments.audit_table.as_deref(), arguments.audit_days, arguments.create_table)
        .await?
        .unzip();
    let writing = writing.map(|writer| tokio::spawn(writer.run()));
    let places = AuditPlaces { file, table };
    let board = Arc::new(Board::new());
    let stop = CancellationToken::new();
    let signals = tokio::spawn(end_on_signals(stop.clone(), arguments.stop_with_stdin)?);
    let serving = match arguments.metrics {
        Some(address) => Some(board.serve(address).await?),
        None => None,
    };

    let purpose = if arguments.dry_run { Purpose::DryRun } else { Purpose::Apply };
    let mut attendance = Attendance::new();
    for stream in &arguments.streams.streams {
        let parts = parts(&site, stream, purpose, &places, &board, Arc::default()).await?;
        let (me, seed) = identity();
        attendance =
            attendance.with(stream.clone(), site.connection.reconciler(stream.as_str(), me, seed, parts));
    }
    drop(places);
    let (sender, wakes) = mpsc::channel(WAKES_MAX);
    let polling = arguments.queue.map(|url| {
        let queue = Arc::new(SqsWakeQueue::new(&site.sdk, url));
        let poller = WakePoller::new(queue, triggers(&site, &arguments.streams.streams), board.tally());
        tokio::spawn(poller.run(sender, stop.clone()))
    });
    let run_for = if arguments.once { RunFor::OneRound } else { RunFor::Ever };
    let bounded = attendance.run(run_for, wakes, stop.clone());
    tokio::pin!(bounded);
    let rounds = tokio::select! {
        biased;
        rounds = &mut bounded => rounds,
        () = tokio::time::sleep(ONCE_MAX), if arguments.once => {
            stop.cancel();
            bounded.await
        }
        _ = signals => return Err(Problem::with_code(FAILED, "stopped at once: what is under way is not written down")),
    };
    stop.cancel();
    if let Some(polling) = polling {
        polling.await?;
    }
    if let Some(writing) = writing
        && tokio::time::timeout(AUDIT_MAX, writing).await.is_err()
    {
        tracing::error!(within = ?AUDIT_MAX, "the audit table was not written to in time: records are lost");
    }
    if let Some(serving) = serving {
        serving.abort();
    }
    let missed: Vec<_> =
        rounds.iter().filter(|(_, rounds)| **rounds == 0).map(|(stream, _)| stream.as_str()).collect();
    if arguments.once && !missed.is_empty() {
        let (streams, table) = (missed.join(", "), site.connection.table());
        let message = format!(
            "{streams} could not be looked at: another controller acts for it by table {table}, or the services do not \
             answer within {} s; the log says which",
            ONCE_MAX.as_secs()
        );
        return Err(Problem::with_code(FAILED, message));
    }
    Ok(())
}

fn open_audit(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|error| {
        Problem::usage(format!("audit file {} cannot be opened: {error}; give another one", path.display()))
    })
}

/// Cancels `stop` at the first signal, and completes at the second.
pub(super) fn end_on_signals(
    stop: CancellationToken,
    is_stdin_watched: bool,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = stdin_closed(is_stdin_watched) => {}
        }
        tracing::info!("stopping; another signal stops at once");
        stop.cancel();
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A few records wait when everything else is over.
const AUDIT_MAX: Duration = Duration::from_secs(10);
/// A wake is a name; what waits longer is given back to the queue.
const WAKES_MAX: usize = 64;
/// Longer than the row of a controller that died is held, and than a look and a call take after that.
const ONCE_MAX: Duration = Duration::from_secs(150);
