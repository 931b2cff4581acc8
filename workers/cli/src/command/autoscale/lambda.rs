//! `leasehold autoscale lambda`: one look at each stream that an event names.
//!
//! A function that is ended in the middle leaves its row held, and the next one must wait until it has stood still: so rows
//! are held for less time here than by a process, and a look ends by itself well before the function is ended.

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;
use std::time::Duration;

use autoscaler::Policies;
use autoscaler::reconcile::{ReconcileSettings, RunFor};
use autoscaler::service::StreamMemory;
use autoscaler::trigger::{StreamName, Wake, serve_lambda};
use tokio_util::sync::CancellationToken;

use super::connect::Site;
use super::metrics::Board;
use super::parts::{AuditPlaces, Purpose, identity, parts, triggers};
use super::policy::policies_in;
use crate::arguments::{LambdaArguments, StreamsArguments};
use crate::command::start_logging;
use crate::problem::{Problem, text};

/// Serves Lambda's runtime.
pub(super) async fn lambda(arguments: LambdaArguments) -> anyhow::Result<()> {
    start_logging(arguments.log);
    let environment = Environment::read(|name| env::var(name).ok())?;
    let Environment { purpose, streams, table, policies, applications, audit_table } = environment;
    let settings =
        ReconcileSettings { lease: LEASE, call_timeout: CALL_TIMEOUT, ..ReconcileSettings::default() };
    let reached = StreamsArguments {
        streams: streams.clone(),
        policy: None,
        applications,
        table,
        endpoint: arguments.endpoint,
        clock: None,
    };
    let site = Site::under(&reached, policies, settings).await;
    if arguments.create_table || site.is_local() {
        site.open_table(arguments.create_table).await?;
    }
    let board = Arc::new(Board::new());
    let memories = streams.iter().map(|stream| (stream.clone(), Arc::default())).collect();
    let function =
        Function { site, board, purpose, audit_table, may_create: arguments.create_table, memories };
    let triggers = triggers(&function.site, &streams);
    let tally = function.board.tally();
    let handler = |wake| function.look(wake);
    serve_lambda(triggers, tally, handler).await.map_err(|error| Problem::usage(text(&error.into())))
}

struct Function {
    site: Site,
    board: Arc<Board>,
    purpose: Purpose,
    audit_table: Option<String>,
    may_create: bool,
    /// Kept from one event to the next for as long as Lambda keeps the process.
    memories: BTreeMap<StreamName, Arc<StreamMemory>>,
}

impl Function {
    /// One round of one stream.
    async fn look(&self, wake: Wake) -> Result<(), String> {
        let stream = &wake.stream;
        let audit =
            self.site.open_audit_table(self.audit_table.as_deref(), AUDIT_DAYS, self.may_create).await;
        let (table, writing) = audit.map_err(|error| text(&error))?.unzip();
        let places = AuditPlaces { file: None, table };
        let memory = self.memories.get(stream).cloned().unwrap_or_default();
        let parts = parts(&self.site, stream, self.purpose, &places, &self.board, memory).await;
        drop(places);
        let (me, seed) = identity();
        let parts = parts.map_err(|error| text(&error))?;
        let reconciler = self.site.connection.reconciler(stream.as_str(), me, seed, parts);
        let stop = CancellationToken::new();
        let running = reconciler.run(RunFor::OneRound, Arc::default(), stop.clone());
        tokio::pin!(running);
        let rounds = tokio::select! {
            biased;
            rounds = &mut running => rounds,
            () = tokio::time::sleep(LOOK_MAX) => {
                stop.cancel();
                running.await
            }
        };
        if let Some(writing) = writing {
            writing.run().await;
        }
        if rounds == 0 {
            return Err(format!(
                "{stream} could not be looked at within {} s: another controller acts for it by table {}, or AWS does not \
                 answer",
                LOOK_MAX.as_secs(),
                self.site.connection.table()
            ));
        }
        Ok(())
    }
}

/// What the function's environment says.
#[derive(Debug)]
struct Environment {
    purpose: Purpose,
    streams: Vec<StreamName>,
    table: String,
    policies: Policies,
    applications: Vec<String>,
    audit_table: Option<String>,
}

impl Environment {
    fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let missing = |name: &str, remedy: &str| Problem::usage(format!("{name} is not set: {remedy}"));
        let list = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let purpose = match given(MODE).as_deref() {
            None | Some("observe") => Purpose::Observe,
            Some("apply") => Purpose::Apply,
            Some(other) => return Err(Problem::usage(format!("{MODE} = {other:?}: give observe or apply"))),
        };
        let streams =
            given(STREAMS).ok_or_else(|| missing(STREAMS, "name the streams, separated by commas"))?;
        let streams = list(&streams).iter().map(|name| name.parse::<StreamName>()).collect::<Result<_, _>>();
        let streams = streams.map_err(|error| Problem::usage(format!("{STREAMS}: {error}")))?;
        let table = given(TABLE).ok_or_else(|| missing(TABLE, "name the table that control.yaml makes"))?;
        let policies = match given(POLICY) {
            Some(text) => policies_in(&text, &POLICY)?,
            None => Policies::default(),
        };
        let applications = given(APPLICATIONS).map(|text| list(&text)).unwrap_or_default();
        Ok(Self { purpose, streams, table, policies, applications, audit_table: given(AUDIT_TABLE) })
    }
}

const MODE: &str = "LEASEHOLD_AUTOSCALE_MODE";
const STREAMS: &str = "LEASEHOLD_AUTOSCALE_STREAMS";
const TABLE: &str = "LEASEHOLD_AUTOSCALE_TABLE";
const POLICY: &str = "LEASEHOLD_AUTOSCALE_POLICY";
const APPLICATIONS: &str = "LEASEHOLD_AUTOSCALE_APPLICATIONS";
const AUDIT_TABLE: &str = "LEASEHOLD_AUTOSCALE_AUDIT_TABLE";
const AUDIT_DAYS: u16 = 30;
/// A function that was ended is followed after this time, within one invocation.
const LEASE: Duration = Duration::from_secs(15);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The templates give an invocation a minute. What is under way then is finished and written down.
const LOOK_MAX: Duration = Duration::from_secs(35);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let of = |name: &str| {
            variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
        };
        Environment::read(of).map_err(|error| error.to_string())
    }

    const USUAL: [(&str, &str); 2] = [(STREAMS, "orders, clicks"), (TABLE, "autoscaler")];

    #[test]
    fn a_function_only_observes_unless_it_is_told_to_apply() {
        let environment = read(&USUAL).expect("complete");
        assert_eq!((environment.purpose, environment.streams.len()), (Purpose::Observe, 2));
        assert_eq!(environment.policies, Policies::default());
        let policy = "shards_min = 4\n[streams.orders]\nshards_min = 8";
        let apply = [USUAL[0], USUAL[1], (MODE, "apply"), (POLICY, policy)];
        let environment = read(&apply).expect("complete");
        assert_eq!(environment.purpose, Purpose::Apply);
        let least = |stream| environment.policies.for_stream(stream).shards_min;
        assert_eq!(environment.streams.iter().map(least).collect::<Vec<_>>(), [8, 4]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let refused = |variables: &[(&str, &str)]| read(variables).expect_err("refused");
        assert!(refused(&[USUAL[1]]).starts_with("LEASEHOLD_AUTOSCALE_STREAMS is not set"));
        assert!(refused(&[USUAL[0], (TABLE, " ")]).starts_with("LEASEHOLD_AUTOSCALE_TABLE is not set"));
        assert!(refused(&[(MODE, "scale"), USUAL[0], USUAL[1]]).contains("give observe or apply"));
        assert!(refused(&[(STREAMS, "a/b"), USUAL[1]]).contains("LEASEHOLD_AUTOSCALE_STREAMS"));
        let policy = refused(&[USUAL[0], USUAL[1], (POLICY, "shards_min = 0")]);
        assert_eq!(policy, "LEASEHOLD_AUTOSCALE_POLICY: shards_min = 0: give at least 1");
        let policy = refused(&[USUAL[0], USUAL[1], (POLICY, "[streams.orders]\nshards_min = 0")]);
        assert_eq!(policy, "LEASEHOLD_AUTOSCALE_POLICY: streams.orders.shards_min = 0: give at least 1");
    }

    #[test]
    fn its_settings_are_sound() {
        let settings =
            ReconcileSettings { lease: LEASE, call_timeout: CALL_TIMEOUT, ..ReconcileSettings::default() };
        assert_eq!(settings.validate(), Ok(()));
    }
}
