//! What the reconciler of one stream is given, by what it is for.

use std::fs::File;
use std::sync::Arc;

use anyhow::Context as _;
use autoscaler::aws::AuditTableSink;
use autoscaler::reconcile::{AuditTrail, DecisionLog, JsonLines, MemoryRowStore, RowStore as _};
use autoscaler::service::{StreamMemory, StreamParts};
use autoscaler::trigger::{StreamName, TriggerSettings};
use kcl::WorkerId;

use super::connect::Site;
use super::metrics::{Board, Told};

/// What a reconciler is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To keep the stream scaled.
    Apply,
    /// To lead and tell, and change nothing.
    Observe,
    /// To tell beside whoever leads, and leave no trace.
    DryRun,
}

/// Where decisions go, beside the log and the metrics.
#[derive(Debug, Default)]
pub(super) struct AuditPlaces {
    pub(super) file: Option<File>,
    pub(super) table: Option<AuditTableSink>,
}

/// The parts of `stream`'s reconciler.
pub(super) async fn parts(
    site: &Site,
    stream: &StreamName,
    purpose: Purpose,
    places: &AuditPlaces,
    board: &Arc<Board>,
    memory: Arc<StreamMemory>,
) -> anyhow::Result<StreamParts> {
    let connection = &site.connection;
    let steering = site.steering(stream);
    let mut trail = AuditTrail::new().with(DecisionLog).with(board.decisions());
    if let Some(file) = &places.file {
        trail = trail.with(JsonLines::new(file.try_clone().context("the audit file cannot be shared")?));
    }
    if let Some(table) = &places.table {
        trail = trail.with(table.clone());
    }
    let audit = Box::new(trail);
    let rows = connection.rows(stream.as_str());
    if purpose == Purpose::DryRun {
        let row = match site.ledger(stream.as_str()).await? {
            Some(_) => rows.read().await.map_err(|error| site.problem_of_table(error))?,
            None => None,
        };
        let rows = Arc::new(MemoryRowStore::holding(row));
        let gauges = Arc::new(Told::new(stream, Arc::clone(board), None));
        return Ok(StreamParts { rows, gauges, audit, steering: Arc::new(steering.dry()), memory });
    }
    let gauges = Arc::new(Told::new(stream, Arc::clone(board), Some(connection.gauges(stream.as_str()))));
    let steering = steering.with_switch(connection.switch(stream.as_str()));
    let steering = if purpose == Purpose::Observe { steering.dry() } else { steering };
    Ok(StreamParts { rows: Arc::new(rows), gauges, audit, steering: Arc::new(steering), memory })
}

/// The name of a controller, of which no two are alike, and its seed.
pub(super) fn identity() -> (WorkerId, u64) {
    let id = format!("autoscaler-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
    (WorkerId::new(id).expect("shorter than an id may be"), fastrand::u64(..))
}

/// Only the streams that are looked after can be woken, and only by alarms of their region.
pub(super) fn triggers(site: &Site, streams: &[StreamName]) -> TriggerSettings {
    let region = site.sdk.region().and_then(|region| region.as_ref().parse().ok());
    TriggerSettings { region, streams: Some(streams.iter().cloned().collect()), ..TriggerSettings::default() }
}
