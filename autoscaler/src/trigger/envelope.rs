//! The envelopes around an alarm: batches of records, bodies of SQS messages, notifications of SNS.
//!
//! ```text
//!  event of Lambda ─┬─ Records[].Sns.Message ──────────────┐
//!                   ├─ Records[].body ─┐                   │
//!                   │                  ▼                   ▼
//!                   └─────────────▶ message ─┬─ Message ─▶ document of the alarm
//!  body from SQS ─────────────────▶          └────────────▶
//! ```
//!
//! Each envelope is opened once: records within records, or a notification within a notification, are refused.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::document::{self, Place};
use super::refusal::{RefusalKind, WHOLE};
use super::{Refusal, TriggerSettings, Wake, alarm};

/// One message of an event, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The id by which SQS wants to hear of a failure; other senders repeat the whole event.
    pub message_id: Option<String>,
    /// The streams to look at, at least one.
    pub wakes: Result<Vec<Wake>, Refusal>,
}

/// Reads an event as Lambda is given it: a batch of SQS or SNS records, an event of EventBridge, an alarm's Lambda action,
/// or `{"stream": …}`. What is wrong with one record concerns that record only.
///
/// # Errors
/// [`Refusal`] if the event as a whole cannot be read.
pub fn read_event(bytes: &[u8], settings: &TriggerSettings) -> Result<Vec<Delivery>, Refusal> {
    if bytes.len() > EVENT_BYTES_MAX {
        let value = format!("{} bytes", bytes.len());
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            WHOLE,
            &value,
            "send at most 6 MiB, the limit of Lambda",
        ));
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Ok(vec![Delivery { message_id: None, wakes: read_message(bytes, settings) }]);
    }
    let event: Event<'_> = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            let remedy = "send the event as AWS wrote it";
            Refusal::new(RefusalKind::InvalidField, "Records", &error.to_string(), remedy)
        } else {
            document::not_json(&error)
        }
    })?;
    let Some(Records { records, left_off }) = event.records else {
        return Ok(vec![Delivery { message_id: None, wakes: read_message(bytes, settings) }]);
    };
    if left_off > 0 {
        let value = format!("{} records", records.len() + left_off);
        let remedy = "send at most 10000 records, the limit of SQS";
        return Err(Refusal::new(RefusalKind::TooLarge, "Records", &value, remedy));
    }
    Ok(records.into_iter().enumerate().map(|(index, record)| read_record(index, record, settings)).collect())
}

/// Reads the body of an SQS message: an alarm by any route, in the envelope of SNS or without.
///
/// # Errors
/// [`Refusal`] with the reason, the field and its value.
pub fn read_message(bytes: &[u8], settings: &TriggerSettings) -> Result<Vec<Wake>, Refusal> {
    let document = document::parse(bytes)?;
    let root = Place::root(&document);
    if root.field("TopicArn").is_present() || root.field("SubscribeURL").is_present() {
        return read_notification(&root, settings);
    }
    alarm::wakes(&document, settings)
}

fn read_record(index: usize, record: &RawValue, settings: &TriggerSettings) -> Delivery {
    let outer = format!("{RECORDS}[{index}]");
    let mut message_id = None;
    let wakes = document::parse(record.get().as_bytes())
        .and_then(|document| {
            let root = Place::root(&document);
            let (notification, body) = (root.field("Sns"), root.field("body"));
            if notification.is_present() {
                return read_notification(&notification, settings);
            }
            if body.is_present() {
                message_id = Some(read_message_id(&root.field("messageId"))?);
                let text = body.text()?;
                return read_message(text.as_bytes(), settings).map_err(|refusal| refusal.within("body"));
            }
            Err(root
                .refuse(RefusalKind::NotAnAlarm, "subscribe the function to a topic or queue of alarms only"))
        })
        .map_err(|refusal| refusal.within(&outer));
    Delivery { message_id, wakes }
}

fn read_message_id(place: &Place<'_>) -> Result<String, Refusal> {
    let id = place.text()?;
    let is_valid = (1..=MESSAGE_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_valid { Ok(id.to_owned()) } else { Err(place.invalid("give 1 to 100 of a-z A-Z 0-9 - _")) }
}

fn read_notification(envelope: &Place<'_>, settings: &TriggerSettings) -> Result<Vec<Wake>, Refusal> {
    let kind = envelope.field("Type");
    match kind.text()? {
        "Notification" => {}
        "SubscriptionConfirmation" => {
            let remedy =
                "confirm the subscription with aws sns confirm-subscription; the autoscaler opens no links";
            return Err(kind.refuse(RefusalKind::Confirmation, remedy));
        }
        "UnsubscribeConfirmation" => {
            let remedy = "subscribe again if the topic is to wake the autoscaler; it opens no links";
            return Err(kind.refuse(RefusalKind::Confirmation, remedy));
        }
        _ => return Err(kind.invalid("give Notification")),
    }
    let message = envelope.field("Message");
    let text = message.text()?;
    document::parse(text.as_bytes())
        .and_then(|document| alarm::wakes(&document, settings))
        .map_err(|refusal| refusal.within(message.path()))
}

/// An event, its records unread.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "Records")]
    records: Option<Records<'a>>,
}

/// As many records as may be, and the count of the others.
struct Records<'a> {
    records: Vec<&'a RawValue>,
    left_off: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Records<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Records<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Records<'de>, A::Error> {
                let mut collected = Records { records: Vec::new(), left_off: 0 };
                while collected.records.len() < RECORDS_MAX {
                    let Some(record) = items.next_element()? else { return Ok(collected) };
                    collected.records.push(record);
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    collected.left_off += 1;
                }
                Ok(collected)
            }
        }

        deserializer.deserialize_seq(Collect)
    }
}

/// The length of an id in SQS; its own are UUIDs.
const MESSAGE_ID_BYTES_MAX: usize = 100;
const RECORDS: &str = "Records";
/// Lambda's limit of an event.
const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// The largest batch that Lambda takes from a queue.
const RECORDS_MAX: usize = 10_000;
