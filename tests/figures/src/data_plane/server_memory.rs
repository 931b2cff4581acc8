//! What a record costs the local server beyond its own bytes.

use aws_sdk_kinesis::Client;

use super::stream::FullStream;
use crate::figure::{Bar, Figure};
use crate::measurement::Context;
use crate::services::{Services, sdk_config};

/// Fills an empty server with a million records and compares its growth with their bytes.
pub(crate) async fn measure(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let services = Services::start(context).await?;
    let client = Client::new(&sdk_config(services.endpoint()));
    let warm_up =
        FullStream { name: "warm-up".to_owned(), shards: 1, records_per_shard: 5_000, record_bytes: 300 };
    warm_up.create(&client).await?;
    let before = services.memory()?.resident_bytes;
    let million =
        FullStream { name: "million".to_owned(), shards: 4, records_per_shard: 250_000, record_bytes: 300 };
    million.create(&client).await?;
    let grown = services.memory()?.resident_bytes.saturating_sub(before);
    services.stop().await?;
    let bytes = million.bytes();
    Ok(vec![Figure {
        quantity: "local server: memory for 1 M records of 300 B ÷ (data + partition key)".to_owned(),
        bar: Bar::AtMost(1.6),
        value: grown as f64 / bytes as f64,
        unit: "",
        peer: None,
        detail: format!("resident memory grew by {} MB for {} MB", grown / MB, bytes as u64 / MB),
    }])
}

const MB: u64 = 1_000_000;
