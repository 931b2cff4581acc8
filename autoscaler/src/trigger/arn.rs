//! The name of an alarm across accounts and regions: the one field of an alarm's message that says where it is.
//!
//! The other fields for it contradict each other between routes (SNS writes "US East (Ohio)" as the region), so account
//! and region are taken from here only.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{AccountId, Excerpt, InvalidName, Region};

/// `arn:<partition>:cloudwatch:<region>:<account>:alarm:<name>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmArn {
    text: Arc<str>,
    region: Region,
    account: AccountId,
    name_at: usize,
}

impl AlarmArn {
    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region of the alarm.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The account of the alarm.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The alarm's name, which may contain spaces and colons.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name_at..]
    }
}

impl FromStr for AlarmArn {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            kind: "alarm ARN",
            value: Excerpt::of(text, ARN_CHARS_SHOWN_MAX),
            rule: "arn:<partition>:cloudwatch:<region>:<account>:alarm:<name>",
        };
        let mut parts = text.splitn(7, ':');
        let mut part = || parts.next().ok_or_else(invalid);
        let [arn, partition, service, region, account, resource, name] =
            [part()?, part()?, part()?, part()?, part()?, part()?, part()?];
        let is_partition = partition == "aws"
            || partition
                .strip_prefix("aws-")
                .is_some_and(|rest| (1..=16).contains(&rest.len()) && rest.bytes().all(is_partition_byte));
        let is_name = !name.is_empty()
            && name.len() <= NAME_CHARS_MAX * 4
            && name.chars().count() <= NAME_CHARS_MAX
            && !name.chars().any(char::is_control);
        if arn != "arn" || !is_partition || service != "cloudwatch" || resource != "alarm" || !is_name {
            return Err(invalid());
        }
        Ok(Self {
            region: region.parse().map_err(|_: InvalidName| invalid())?,
            account: account.parse().map_err(|_: InvalidName| invalid())?,
            name_at: text.len() - name.len(),
            text: text.into(),
        })
    }
}

impl fmt::Display for AlarmArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for AlarmArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.as_str())
    }
}

const fn is_partition_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte == b'-'
}

/// The length of an alarm's name in CloudWatch.
const NAME_CHARS_MAX: usize = 255;
/// An ARN without its name, and some of the name.
const ARN_CHARS_SHOWN_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_where_and_which() {
        let arn: AlarmArn =
            "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:clicks: too full".parse().expect("valid");
        assert_eq!(arn.region().as_str(), "eu-west-1");
        assert_eq!(arn.account().as_str(), "123456789012");
        assert_eq!(arn.name(), "clicks: too full");
        assert!("arn:aws-us-gov:cloudwatch:us-gov-west-1:123456789012:alarm:ä".parse::<AlarmArn>().is_ok());
        assert!("arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm:a".parse::<AlarmArn>().is_ok());
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{}", "x".repeat(256));
        for text in [
            "",
            "clicks",
            "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:",
            "arn:aws:cloudwatch:eu-west-1:123456789012:alarm",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks",
            "arn:aws:cloudwatch:US East (Ohio):123456789012:alarm:a",
            "arn:aws:cloudwatch:eu-west-1: 123456789012:alarm:a",
            "arn:aws:cloudwatch:eu-west-1:1234:alarm:a",
            "arn:gcp:cloudwatch:eu-west-1:123456789012:alarm:a",
            "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a\nb",
            long.as_str(),
        ] {
            assert!(text.parse::<AlarmArn>().is_err(), "{text:?}");
        }
    }
}
