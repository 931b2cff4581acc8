//! The stream as AWS serves it, or anything that speaks its protocol.

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;

use super::entry::Entry;
use super::target::{EntryError, OpenShard, PutError, Target};

/// A Kinesis data stream.
#[derive(Clone, Debug)]
pub struct KinesisTarget {
    client: Client,
    stream: String,
}

impl KinesisTarget {
    /// The stream of this name.
    #[must_use]
    pub fn new(client: Client, stream: impl Into<String>) -> Self {
        Self { client, stream: stream.into() }
    }

    fn put_error<E>(&self, error: SdkError<E>) -> PutError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let stream = self.stream.clone();
        match &error {
            SdkError::ServiceError(refused)
                if !is_passing(refused.err().code(), refused.raw().status().as_u16()) =>
            {
                let code = refused.err().code().unwrap_or("no code");
                let message = refused.err().message().unwrap_or("no message");
                let remedy = remedy(code);
                PutError::Lasting { stream, reason: format!("{code}: {message}; {remedy}") }
            }
            SdkError::ConstructionFailure(_) => {
                PutError::Lasting { stream, reason: format!("the request cannot be built: {error:?}") }
            }
            SdkError::TimeoutError(_)
            | SdkError::DispatchFailure(_)
            | SdkError::ResponseError(_)
            | SdkError::ServiceError(_)
            | _ => PutError::Passing { stream, source: Box::new(error) },
        }
    }
}

#[async_trait]
impl Target for KinesisTarget {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Option<EntryError>>, PutError> {
        let mut call = self.client.put_records().stream_name(&self.stream);
        for entry in entries {
            let record = PutRecordsRequestEntry::builder()
                .partition_key(&entry.partition_key)
                .set_explicit_hash_key(entry.explicit_hash_key.clone())
                .data(Blob::new(entry.data.to_vec()))
                .build()
                .expect("key and data are set");
            call = call.records(record);
        }
        let answer = call.send().await.map_err(|error| self.put_error(error))?;
        if answer.records().len() != entries.len() {
            let reason = format!(
                "{} results for {} records; check the endpoint",
                answer.records().len(),
                entries.len()
            );
            return Err(PutError::Lasting { stream: self.stream.clone(), reason });
        }
        let outcome = |code: Option<&str>, message: Option<&str>| {
            code.map(|code| EntryError {
                is_throttle: code == THROTTLED,
                reason: format!("{code}: {}", message.unwrap_or("no message")),
            })
        };
        Ok(answer
            .records()
            .iter()
            .map(|record| outcome(record.error_code(), record.error_message()))
            .collect())
    }

    async fn open_shards(&self) -> Result<Vec<OpenShard>, PutError> {
        let mut shards = Vec::new();
        let mut next_token = None;
        for _ in 0..SHARD_PAGES_MAX {
            // A page is asked for by its token alone.
            let name = next_token.is_none().then(|| self.stream.clone());
            let answer = self
                .client
                .list_shards()
                .set_stream_name(name)
                .set_next_token(next_token)
                .send()
                .await
                .map_err(|error| self.put_error(error))?;
            let is_open = |shard: &&aws_sdk_kinesis::types::Shard| {
                shard.sequence_number_range().is_none_or(|range| range.ending_sequence_number().is_none())
            };
            for shard in answer.shards().iter().filter(is_open) {
                let starting_hash_key =
                    shard.hash_key_range().map_or("0", |range| range.starting_hash_key()).to_owned();
                shards.push(OpenShard { shard: shard.shard_id().to_owned(), starting_hash_key });
            }
            next_token = answer.next_token().map(str::to_owned);
            if next_token.is_none() {
                break;
            }
        }
        Ok(shards)
    }
}

fn is_passing(code: Option<&str>, status: u16) -> bool {
    let is_passing_code = code.is_some_and(|code| {
        code.contains("Throttl")
            || [THROTTLED, "LimitExceededException", "RequestTimeout", "RequestTimeoutException"]
                .contains(&code)
    });
    is_passing_code || status >= 500 || status == 429
}

fn remedy(code: &str) -> &'static str {
    match code {
        "ResourceNotFoundException" => "create the stream, or correct its name or region",
        "AccessDeniedException" => "allow kinesis:PutRecords and kinesis:ListShards on the stream",
        "UnrecognizedClientException" | "ExpiredTokenException" | "InvalidSignatureException" => {
            "correct or renew the credentials"
        }
        _ => "correct the call's settings",
    }
}

const THROTTLED: &str = "ProvisionedThroughputExceededException";
/// A million shards, far beyond any account's quota.
const SHARD_PAGES_MAX: usize = 1_000;
