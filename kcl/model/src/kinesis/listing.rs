//! Listings, page by page: shards, streams, tags.

use kcl_core::ShardId;

use super::Kinesis;
use crate::api::*;
use crate::filter;
use crate::stream::{Stream, StreamId};
use crate::token::{self, TokenKind};
use crate::topology::{shard_id, shard_number};
use crate::validate;
use crate::{EpochMillis, KinesisError, Result};

impl Kinesis {
    /// `ListShards`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse` while the stream is made, `Validation`, `ExpiredNextToken`; `InvalidArgument`
    /// if a token comes with anything but a page size.
    pub fn list_shards(&self, request: ListShardsRequest, now: EpochMillis) -> Result<ListShardsResponse> {
        let page = validate::page("maxResults", request.max_results, SHARDS_PAGE, SHARDS_PAGE_MAX)?;
        let account = self.settled(now);
        let (stream, cursor) = match &request.next_token {
            Some(text) => {
                require_alone(&request)?;
                let cursor = self.open_cursor(text, now)?;
                let stream = account.stream_by_id(cursor.stream).ok_or_else(invalid_token)?;
                (stream, cursor)
            }
            None => {
                let stream = account.stream(&request.stream)?;
                self.require_creation(stream, request.stream_creation)?;
                let after =
                    request.exclusive_start_shard_id.as_ref().map(require_shard_number).transpose()?;
                (stream, Cursor { stream: stream.id, after, filter: request.shard_filter.clone() })
            }
        };
        if stream.status() == StreamStatus::Creating {
            stream.require_active()?;
        }
        let trim_horizon = stream.trim_horizon(now);
        let is_shown = |filter: &ShardFilter, entry| filter::shows(filter, entry, trim_horizon);
        let mut entries = stream
            .topology()
            .entries_after(cursor.after)
            .filter(|entry| cursor.filter.as_ref().is_none_or(|filter| is_shown(filter, entry)));
        let shown: Vec<_> = entries.by_ref().take(page).collect();
        let next_token = entries
            .next()
            .and(shown.last())
            .map(|last| Cursor { after: Some(last.shard.number), ..cursor.clone() }.seal(now));
        Ok(ListShardsResponse {
            shards: shown.into_iter().map(|entry| entry.describe()).collect(),
            next_token,
        })
    }

    /// `DescribeStream`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `InvalidArgument`, `Validation`.
    pub fn describe_stream(
        &self,
        request: DescribeStreamRequest,
        now: EpochMillis,
    ) -> Result<StreamDescription> {
        let page = validate::page("limit", request.limit, DESCRIPTION_PAGE, SHARDS_PAGE_MAX)?;
        let after = request.exclusive_start_shard_id.as_ref().map(require_shard_number).transpose()?;
        let account = self.settled(now);
        let stream = account.stream(&request.stream)?;
        let listed = stream.serving().map(|snapshot| snapshot.topology.clone());
        let mut shards: Vec<_> = listed
            .iter()
            .flat_map(|topology| topology.entries_after(after))
            .take(page + 1)
            .map(|entry| entry.describe())
            .collect();
        let has_more_shards = shards.len() > page;
        shards.truncate(page);
        Ok(StreamDescription { summary: stream.summary(), shards, has_more_shards })
    }

    /// `ListStreams`.
    ///
    /// # Errors
    /// `Validation`; `InvalidArgument` for a bogus token.
    pub fn list_streams(&self, request: ListStreamsRequest, now: EpochMillis) -> Result<ListStreamsResponse> {
        let page = validate::page("limit", request.limit, STREAMS_PAGE, STREAMS_PAGE_MAX)?;
        let after = match (&request.next_token, &request.exclusive_start_stream_name) {
            (Some(text), _) => {
                let ([], name) = token::open(TokenKind::ListStreams, text).ok_or_else(invalid_token)?;
                name
            }
            (None, Some(name)) => name.clone(),
            (None, None) => String::new(),
        };
        let account = self.settled(now);
        let mut streams = account.streams_after(&after);
        let shown: Vec<_> = streams.by_ref().take(page).map(Stream::summary).collect();
        let next_token = streams
            .next()
            .and(shown.last())
            .map(|last| token::seal(TokenKind::ListStreams, &[], &last.stream_name));
        Ok(ListStreamsResponse { streams: shown, has_more_streams: next_token.is_some(), next_token })
    }

    /// `ListTagsForStream`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `Validation`.
    pub fn list_tags_for_stream(
        &self,
        request: ListTagsForStreamRequest,
        now: EpochMillis,
    ) -> Result<ListTagsForStreamResponse> {
        let page = validate::page("limit", request.limit, TAGS_PAGE, TAGS_PAGE)?;
        let after = request.exclusive_start_tag_key.as_deref().unwrap_or_default();
        let account = self.settled(now);
        let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let mut tags = account.stream(&request.stream)?.tags.range::<str, _>(bounds);
        let shown: Vec<_> =
            tags.by_ref().take(page).map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(ListTagsForStreamResponse { tags: shown, has_more_tags: tags.next().is_some() })
    }

    pub(super) fn require_creation(&self, stream: &Stream, creation: Option<EpochMillis>) -> Result<()> {
        match creation {
            Some(creation) if creation.seconds() != stream.created.seconds() => {
                Err(KinesisError::ResourceNotFound(format!(
                    "Stream {} under account {} was not created at {creation}.",
                    stream.name, self.settings.account_id
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn require_fresh_token(&self, created: EpochMillis, now: EpochMillis) -> Result<()> {
        if created.after(self.settings.list_token_lifetime) < now {
            return Err(KinesisError::ExpiredNextToken(format!(
                "The NextToken of {created} is older than {} seconds: list from the start.",
                self.settings.list_token_lifetime.as_secs()
            )));
        }
        Ok(())
    }

    fn open_cursor(&self, text: &str, now: EpochMillis) -> Result<Cursor> {
        let (created, cursor) = Cursor::open(text).ok_or_else(invalid_token)?;
        self.require_fresh_token(created, now)?;
        Ok(cursor)
    }
}

/// Where a listing of shards goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor {
    stream: StreamId,
    after: Option<u32>,
    filter: Option<ShardFilter>,
}

impl Cursor {
    fn seal(&self, now: EpochMillis) -> String {
        let (kind, value) = match &self.filter {
            None => (0, 0),
            Some(ShardFilter::AfterShardId(id)) => (1, shard_number(id).map_or(u64::MAX, u64::from)),
            Some(ShardFilter::AtTrimHorizon) => (2, 0),
            Some(ShardFilter::FromTrimHorizon) => (3, 0),
            Some(ShardFilter::AtLatest) => (4, 0),
            Some(ShardFilter::AtTimestamp(time)) => (5, time.0),
            Some(ShardFilter::FromTimestamp(time)) => (6, time.0),
        };
        let after = self.after.map_or(u64::MAX, u64::from);
        token::seal(TokenKind::ListShards, &[now.0, self.stream.0, after, kind, value], "")
    }

    fn open(text: &str) -> Option<(EpochMillis, Self)> {
        let ([created, stream, after, kind, value], _) = token::open(TokenKind::ListShards, text)?;
        let filter = match kind {
            0 => None,
            1 => Some(ShardFilter::AfterShardId(shard_id(u32::try_from(value).ok()?))),
            2 => Some(ShardFilter::AtTrimHorizon),
            3 => Some(ShardFilter::FromTrimHorizon),
            4 => Some(ShardFilter::AtLatest),
            5 => Some(ShardFilter::AtTimestamp(EpochMillis(value))),
            6 => Some(ShardFilter::FromTimestamp(EpochMillis(value))),
            _ => return None,
        };
        let after = u32::try_from(after).ok();
        Some((EpochMillis(created), Self { stream: StreamId(stream), after, filter }))
    }
}

fn require_alone(request: &ListShardsRequest) -> Result<()> {
    let misfit = [
        ("StreamName or StreamARN", !request.stream.is_empty()),
        ("ExclusiveStartShardId", request.exclusive_start_shard_id.is_some()),
        ("StreamCreationTimestamp", request.stream_creation.is_some()),
        ("ShardFilter", request.shard_filter.is_some()),
    ];
    match misfit.into_iter().find(|(_, is_present)| *is_present) {
        Some((member, _)) => {
            Err(KinesisError::InvalidArgument(format!("NextToken and {member} cannot be provided together.")))
        }
        None => Ok(()),
    }
}

fn require_shard_number(id: &ShardId) -> Result<u32> {
    shard_number(id).ok_or_else(|| KinesisError::InvalidArgument(format!("{id} is no shard id.")))
}

fn invalid_token() -> KinesisError {
    KinesisError::InvalidArgument("Invalid NextToken.".to_owned())
}

const SHARDS_PAGE: usize = 1_000;
const SHARDS_PAGE_MAX: usize = 10_000;
const DESCRIPTION_PAGE: usize = 100;
const STREAMS_PAGE: usize = 100;
const STREAMS_PAGE_MAX: usize = 10_000;
const TAGS_PAGE: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_their_token() {
        for filter in [
            None,
            Some(ShardFilter::AfterShardId(shard_id(3))),
            Some(ShardFilter::AtTrimHorizon),
            Some(ShardFilter::FromTrimHorizon),
            Some(ShardFilter::AtLatest),
            Some(ShardFilter::AtTimestamp(EpochMillis(5))),
            Some(ShardFilter::FromTimestamp(EpochMillis(6))),
        ] {
            for after in [None, Some(0), Some(7)] {
                let cursor = Cursor { stream: StreamId(9), after, filter: filter.clone() };
                let opened = Cursor::open(&cursor.seal(EpochMillis(1)));
                assert_eq!(opened, Some((EpochMillis(1), cursor)));
            }
        }
    }
}
