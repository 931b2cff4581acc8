//! An alarm's change of state, out of the three shapes in which CloudWatch writes it.
//!
//! | shape | told by | the alarm is in | dimensions |
//! |---|---|---|---|
//! | notification (SNS) | `NewStateValue` | the document itself | list of `{name, value}` |
//! | event (EventBridge) | `detail-type` | `detail` | map |
//! | Lambda action | `alarmData` | `alarmData` | map |
//!
//! Two more documents wake that are no alarms: `{"stream": …}`, and an event of a schedule for all streams of the settings.
//!
//! Unknown fields are passed over, so that CloudWatch may add some. Either form of dimensions is read in every shape.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::Place;
use super::refusal::RefusalKind;
use super::settings::STREAMS_OF_ALARM_MAX;
use super::{
    AccountId, AlarmChange, AlarmState, Excerpt, Refusal, Region, StreamName, TriggerSettings, Wake,
    WakeSource,
};
use crate::EpochMillis;

/// The streams that a document without envelope asks to look at: one wake each, in the order of their names.
pub(super) fn wakes(document: &Value, settings: &TriggerSettings) -> Result<Vec<Wake>, Refusal> {
    let root = Place::root(document);
    if root.field("detail-type").is_present() && check_event(&root)? == EventKind::Schedule {
        return by_schedule(&root, settings);
    }
    let inner = [root.field("alarmData"), root.field("detail")].into_iter().find(Place::is_present);
    if let Some(inner) = inner {
        let arn = match root.field("alarmArn") {
            arn if arn.is_present() => arn,
            _ => first_resource(&root)?,
        };
        return of_event(&inner, &arn, settings);
    }
    if root.field("NewStateValue").is_present() || root.field("AlarmArn").is_present() {
        return of_notification(&root, settings);
    }
    if root.field("stream").is_present() {
        return by_operator(&root, settings);
    }
    Err(root.refuse(
        RefusalKind::NotAnAlarm,
        "send alarms by SNS, EventBridge or as a Lambda action, or {\"stream\": …}",
    ))
}

/// The events of EventBridge that wake.
#[derive(PartialEq, Eq)]
enum EventKind {
    Alarm,
    Schedule,
}

fn check_event(root: &Place<'_>) -> Result<EventKind, Refusal> {
    let (source, kind) = (root.field("source"), root.field("detail-type"));
    let remedy = "let the rule match source aws.cloudwatch and detail-type CloudWatch Alarm State Change";
    let refuse = |place: &Place<'_>| Err(place.refuse(RefusalKind::NotAnAlarm, remedy));
    let (wanted, event) = match source.text()? {
        "aws.cloudwatch" => ("CloudWatch Alarm State Change", EventKind::Alarm),
        "aws.events" | "aws.scheduler" => ("Scheduled Event", EventKind::Schedule),
        _ => return refuse(&source),
    };
    if kind.text()? == wanted { Ok(event) } else { refuse(&kind) }
}

/// A schedule names no stream; the settings do.
fn by_schedule(root: &Place<'_>, settings: &TriggerSettings) -> Result<Vec<Wake>, Refusal> {
    let streams = settings.streams.iter().flatten().cloned();
    let wake = |stream| Wake { stream, region: None, source: WakeSource::Schedule };
    let wakes: Vec<_> = streams.map(wake).collect();
    if wakes.is_empty() {
        let remedy =
            "list the streams under `streams`, or give the schedule the constant input {\"stream\": …}";
        return Err(root.field("detail-type").refuse(RefusalKind::NoStream, remedy));
    }
    Ok(wakes)
}

/// Where the alarm's ARN stands if not in `alarmArn`.
fn first_resource<'a>(root: &Place<'a>) -> Result<Place<'a>, Refusal> {
    let resources = root.field("resources");
    if !resources.is_present() {
        let is_event = root.field("detail").is_present();
        return Ok(if is_event { resources } else { root.field("alarmArn") });
    }
    let first = resources.items()?.next();
    first.ok_or_else(|| resources.invalid("give the alarm's ARN as the first resource"))
}

fn of_event(inner: &Place<'_>, arn: &Place<'_>, settings: &TriggerSettings) -> Result<Vec<Wake>, Refusal> {
    let state = inner.field("state");
    let change = Change {
        arn: arn.clone(),
        state: state.field("value"),
        changed_at: state.field("timestamp"),
        reason: state.field("reason"),
    };
    let configuration = inner.field("configuration");
    let mut named = Named::default();
    let metrics = configuration.field("metrics");
    if metrics.is_present() {
        for query in metrics.items()? {
            named.read_query(&query, &EVENT_FIELDS, settings)?;
        }
    }
    accept(&change, named, &configuration.field("alarmRule"), settings)
}

fn of_notification(root: &Place<'_>, settings: &TriggerSettings) -> Result<Vec<Wake>, Refusal> {
    let change = Change {
        arn: root.field("AlarmArn"),
        state: root.field("NewStateValue"),
        changed_at: root.field("StateChangeTime"),
        reason: root.field("NewStateReason"),
    };
    let trigger = root.field("Trigger");
    let mut named = Named::default();
    let metrics = trigger.field("Metrics");
    if metrics.is_present() {
        for query in metrics.items()? {
            named.read_query(&query, &NOTIFICATION_FIELDS, settings)?;
        }
    } else if trigger.field("Namespace").is_present() {
        named.read_metric(&trigger, &NOTIFICATION_FIELDS, settings)?;
    }
    accept(&change, named, &root.field("AlarmRule"), settings)
}

/// `{"stream": "clicks"}`: by hand, or as the constant input of a schedule.
fn by_operator(root: &Place<'_>, settings: &TriggerSettings) -> Result<Vec<Wake>, Refusal> {
    let stream: StreamName = root.field("stream").parsed(STREAM_REMEDY)?;
    check_stream(&stream, "stream", settings)?;
    let region = root.field("region");
    let region: Option<Region> = if region.is_present() { Some(region.parsed(REGION_REMEDY)?) } else { None };
    if let Some(region) = &region {
        check_region(region, "region", settings)?;
    }
    Ok(vec![Wake::by_operator(stream, region)])
}

/// Where the parts of a change stand.
struct Change<'a> {
    arn: Place<'a>,
    state: Place<'a>,
    changed_at: Place<'a>,
    reason: Place<'a>,
}

impl Change<'_> {
    fn read(&self) -> Result<AlarmChange, Refusal> {
        let state = AlarmState::from_name(self.state.text()?)
            .ok_or_else(|| self.state.invalid("give OK, ALARM or INSUFFICIENT_DATA"))?;
        let reason = if self.reason.is_present() { self.reason.text()? } else { "" };
        Ok(AlarmChange {
            arn: self.arn.parsed("give arn:<partition>:cloudwatch:<region>:<account>:alarm:<name>")?,
            state,
            changed_at: self.read_time()?,
            reason: Excerpt::of(reason, REASON_CHARS_MAX),
        })
    }

    /// CloudWatch writes `+0000` where RFC 3339 has `Z` or `+00:00`; all are read.
    fn read_time(&self) -> Result<EpochMillis, Refusal> {
        let text = self.changed_at.text()?;
        let invalid =
            || self.changed_at.invalid("give a time since 1970 such as 2026-01-31T09:05:00.000+0000");
        if text.len() > TIME_BYTES_MAX {
            return Err(invalid());
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
        u64::try_from(time.as_millisecond()).map(EpochMillis).map_err(|_| invalid())
    }
}

/// What the metrics of an alarm name.
#[derive(Default)]
struct Named {
    streams: BTreeSet<StreamName>,
    /// The first namespace that is none of streams, for the refusal if no metric names one.
    foreign_namespace: Option<Refusal>,
    /// An account that a metric is read from, if it is said.
    accounts: Vec<(AccountId, String)>,
}

impl Named {
    /// Reads one query of an alarm: a metric, or an expression over others, which names nothing.
    fn read_query(
        &mut self,
        query: &Place<'_>,
        fields: &Fields,
        settings: &TriggerSettings,
    ) -> Result<(), Refusal> {
        if !query.is_object() {
            return Err(query.invalid("give an object"));
        }
        let stat = query.field(fields.stat);
        if !stat.is_present() {
            return Ok(());
        }
        let account = query.field(fields.account);
        if account.is_present() {
            let id = account.parsed("give 12 digits")?;
            self.accounts.push((id, account.path().to_owned()));
        }
        self.read_metric(&stat.field(fields.metric), fields, settings)
    }

    fn read_metric(
        &mut self,
        metric: &Place<'_>,
        fields: &Fields,
        settings: &TriggerSettings,
    ) -> Result<(), Refusal> {
        let namespace = metric.field(fields.namespace);
        if !settings.namespaces.contains(namespace.text()?) {
            let remedy = "let the alarm watch a metric of a stream, or list the namespace under `namespaces`";
            let refusal = || namespace.refuse(RefusalKind::ForeignNamespace, remedy);
            self.foreign_namespace.get_or_insert_with(refusal);
            return Ok(());
        }
        if let Some(value) = dimension(&metric.field(fields.dimensions))? {
            let stream: StreamName = value.parsed(STREAM_REMEDY)?;
            check_stream(&stream, value.path(), settings)?;
            self.streams.insert(stream);
        }
        Ok(())
    }
}

/// The value of the dimension `StreamName`, from a list or a map.
fn dimension<'a>(dimensions: &Place<'a>) -> Result<Option<Place<'a>>, Refusal> {
    if !dimensions.is_present() {
        return Ok(None);
    }
    if dimensions.is_list() {
        for item in dimensions.items()? {
            if item.field("name").text()? == STREAM_DIMENSION {
                return Ok(Some(item.field("value")));
            }
        }
        return Ok(None);
    }
    if !dimensions.is_object() {
        return Err(dimensions.invalid("give a list or an object"));
    }
    Ok(Some(dimensions.field(STREAM_DIMENSION)).filter(Place::is_present))
}

/// Decides whether a change may wake, and whom.
fn accept(
    change: &Change<'_>,
    named: Named,
    rule: &Place<'_>,
    settings: &TriggerSettings,
) -> Result<Vec<Wake>, Refusal> {
    let alarm = change.read()?;
    check_account(alarm.arn.account(), change.arn.path(), settings.account.as_ref())?;
    check_region(alarm.arn.region(), change.arn.path(), settings)?;
    for (account, path) in &named.accounts {
        check_account(account, path, Some(alarm.arn.account()))?;
    }
    let mapped = || settings.alarms.get(alarm.arn.name()).cloned();
    let streams = match named.streams {
        streams if streams.is_empty() => mapped().ok_or_else(|| {
            if rule.is_present() {
                let remedy =
                    "name the streams of the composite alarm under `alarms`, or send its metric alarms";
                return rule.refuse(RefusalKind::CompositeAlarm, remedy);
            }
            named.foreign_namespace.unwrap_or_else(|| {
                let remedy =
                    "give a metric the dimension StreamName, or name the alarm's streams under `alarms`";
                change.arn.refuse(RefusalKind::NoStream, remedy)
            })
        })?,
        streams => streams,
    };
    if streams.len() > STREAMS_OF_ALARM_MAX {
        let value = format!("{} streams", streams.len());
        let remedy = "let an alarm watch at most 10 streams";
        return Err(Refusal::new(RefusalKind::TooLarge, change.arn.path(), &value, remedy));
    }
    let wake = |stream| Wake {
        stream,
        region: Some(alarm.arn.region().clone()),
        source: WakeSource::Alarm(alarm.clone()),
    };
    Ok(streams.into_iter().map(wake).collect())
}

fn check_account(account: &AccountId, path: &str, wanted: Option<&AccountId>) -> Result<(), Refusal> {
    if wanted.is_none_or(|wanted| wanted == account) {
        return Ok(());
    }
    let remedy = "put the alarm into the account of its streams, or change the pinned `account`";
    Err(Refusal::new(RefusalKind::ForeignAccount, path, account.as_str(), remedy))
}

fn check_region(region: &Region, path: &str, settings: &TriggerSettings) -> Result<(), Refusal> {
    if settings.region.as_ref().is_none_or(|pinned| pinned == region) {
        return Ok(());
    }
    let remedy = "send the alarms of each region to an autoscaler there, or change the pinned `region`";
    Err(Refusal::new(RefusalKind::ForeignRegion, path, region.as_str(), remedy))
}

fn check_stream(stream: &StreamName, path: &str, settings: &TriggerSettings) -> Result<(), Refusal> {
    if settings.streams.as_ref().is_none_or(|listed| listed.contains(stream)) {
        return Ok(());
    }
    let remedy = "list the stream under `streams`, or delete its alarm's action";
    Err(Refusal::new(RefusalKind::ForeignStream, path, stream.as_str(), remedy))
}

/// The names of the fields around a metric, which differ between the shapes.
struct Fields {
    stat: &'static str,
    metric: &'static str,
    namespace: &'static str,
    dimensions: &'static str,
    account: &'static str,
}

const EVENT_FIELDS: Fields = Fields {
    stat: "metricStat",
    metric: "metric",
    namespace: "namespace",
    dimensions: "dimensions",
    account: "accountId",
};
const NOTIFICATION_FIELDS: Fields = Fields {
    stat: "MetricStat",
    metric: "Metric",
    namespace: "Namespace",
    dimensions: "Dimensions",
    account: "AccountId",
};
const STREAM_DIMENSION: &str = "StreamName";
const STREAM_REMEDY: &str = "give 1 to 128 of a-z A-Z 0-9 _ . -";
const REGION_REMEDY: &str = "give the code of a region, such as eu-west-1";
/// CloudWatch's reasons are sentences; their rest tells nothing that the audit would miss.
const REASON_CHARS_MAX: usize = 256;
/// CloudWatch's times have 28 bytes.
const TIME_BYTES_MAX: usize = 40;
