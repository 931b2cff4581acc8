//! The kill switch of one stream: an item beside its row, so that nobody has to deploy anything to stop the autoscaler.
//!
//! ```text
//!  leasehold autoscale pause ──▶ item "<stream>/pause" ──▶ read in every round, before anything is decided
//!  leasehold autoscale resume ─▶        "
//! ```
//!
//! It is an item of its own because the row's belongs to whoever leads: its conditions would fail if others wrote there. No
//! stream's name has a `/`.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::{failed, timeouts};
use super::rows::STREAM;
use crate::EpochMillis;
use crate::reconcile::PortError;

/// The kill switch of one stream.
#[derive(Clone, Debug)]
pub struct PauseSwitch {
    client: Client,
    table: String,
    stream: String,
}

/// A pause that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: EpochMillis,
}

impl PauseSwitch {
    /// The switch of `stream` in the table of the rows; each attempt of a call is given up after `call_timeout`.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        table: impl Into<String>,
        stream: impl Into<String>,
        call_timeout: Duration,
    ) -> Self {
        let config = Builder::from(config)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts(call_timeout));
        Self { client: Client::from_conf(config.build()), table: table.into(), stream: stream.into() }
    }

    /// The pause, if one is on.
    ///
    /// # Errors
    /// [`PortError`] if that cannot be told.
    pub async fn read(&self) -> Result<Option<Pause>, PortError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(self.key()));
        let item = get.consistent_read(true).send().await;
        let item = item.map_err(|error| failed("GetItem", &self.target(), error))?.item;
        Ok(item.as_ref().and_then(decode))
    }

    /// Stops every change of the stream from the next round on, until [`PauseSwitch::resume`].
    ///
    /// # Errors
    /// [`PortError`] if the pause may not be on.
    pub async fn pause(&self, pause: &Pause) -> Result<(), PortError> {
        let since = AttributeValue::N(pause.since.0.to_string());
        let values = [
            (":by", AttributeValue::S(pause.by.clone())),
            (":reason", AttributeValue::S(pause.reason.clone())),
            (":since", since),
        ];
        let names = [("#by", BY), ("#reason", REASON), ("#since", SINCE)];
        self.update("SET #by = :by, #reason = :reason, #since = :since", &names, &values).await
    }

    /// Ends a pause, if one is on.
    ///
    /// # Errors
    /// [`PortError`] if the pause may still be on.
    pub async fn resume(&self) -> Result<(), PortError> {
        self.update("REMOVE #since", &[("#since", SINCE)], &[]).await
    }

    async fn update(
        &self,
        expression: &str,
        names: &[(&str, &str)],
        values: &[(&str, AttributeValue)],
    ) -> Result<(), PortError> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(self.key()));
        let names =
            names.iter().map(|&(placeholder, name)| (placeholder.to_owned(), name.to_owned())).collect();
        let values: HashMap<_, _> =
            values.iter().map(|(placeholder, value)| ((*placeholder).to_owned(), value.clone())).collect();
        let update = update
            .update_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values));
        update.send().await.map(drop).map_err(|error| failed("UpdateItem", &self.target(), error))
    }

    fn key(&self) -> HashMap<String, AttributeValue> {
        let key = AttributeValue::S(format!("{}{SUFFIX}", self.stream));
        HashMap::from([(STREAM.to_owned(), key)])
    }

    fn target(&self) -> String {
        format!("{}{SUFFIX} in {}", self.stream, self.table)
    }
}

fn decode(item: &HashMap<String, AttributeValue>) -> Option<Pause> {
    let text = |name| match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        Some(_) | None => String::new(),
    };
    // A pause of which only the moment is unreadable is a pause.
    let since = item.get(SINCE)?.as_n().ok().and_then(|number| number.parse().ok()).unwrap_or_default();
    Some(Pause { by: text(BY), reason: text(REASON), since: EpochMillis(since) })
}

const SUFFIX: &str = "/pause";
const BY: &str = "pausedBy";
const REASON: &str = "pauseReason";
/// There while the pause is on.
const SINCE: &str = "pausedSince";
