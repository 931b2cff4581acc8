//! Prices of Kinesis Data Streams, as plain data.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Dollars, without taxes and discounts. The default is us-east-1 as of the end of 2025: AWS's price card for provisioned
/// and on-demand streams; prices of fan-out and of on-demand Advantage by secondary sources, since no price list was at
/// hand. Check them against the bill before they decide anything.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// An hour of a provisioned shard. Default 0.015.
    pub shard_hour: f64,
    /// A million PUT payload units of 25 KB. Default 0.014.
    pub put_units_million: f64,
    /// An hour of a shard for each enhanced fan-out consumer. Default 0.015.
    pub fan_out_shard_hour: f64,
    /// A gigabyte read by fan-out from a provisioned stream. Default 0.013.
    pub fan_out_gigabyte: f64,
    /// An hour of an on-demand stream. Default 0.04.
    pub on_demand_stream_hour: f64,
    /// A gigabyte put on demand. Default 0.08.
    pub on_demand_in: f64,
    /// A gigabyte read on demand by polling. Default 0.04.
    pub on_demand_out: f64,
    /// A gigabyte read on demand by fan-out. Default 0.05.
    pub on_demand_fan_out: f64,
    /// A gigabyte put under Advantage. Default 0.032.
    pub advantage_in: f64,
    /// A gigabyte read under Advantage, by whatever way. Default 0.016.
    pub advantage_out: f64,
    /// What Advantage commits to in each direction, in MiB a second. Default 25, the least.
    pub advantage_mebibytes_per_second: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            shard_hour: 0.015,
            put_units_million: 0.014,
            fan_out_shard_hour: 0.015,
            fan_out_gigabyte: 0.013,
            on_demand_stream_hour: 0.04,
            on_demand_in: 0.08,
            on_demand_out: 0.04,
            on_demand_fan_out: 0.05,
            advantage_in: 0.032,
            advantage_out: 0.016,
            advantage_mebibytes_per_second: 25.0,
        }
    }
}

impl Prices {
    /// Checks every price.
    ///
    /// # Errors
    /// [`InvalidPrice`] for the first that cannot be.
    pub fn validate(&self) -> Result<(), InvalidPrice> {
        let all = [
            ("shard_hour", self.shard_hour),
            ("put_units_million", self.put_units_million),
            ("fan_out_shard_hour", self.fan_out_shard_hour),
            ("fan_out_gigabyte", self.fan_out_gigabyte),
            ("on_demand_stream_hour", self.on_demand_stream_hour),
            ("on_demand_in", self.on_demand_in),
            ("on_demand_out", self.on_demand_out),
            ("on_demand_fan_out", self.on_demand_fan_out),
            ("advantage_in", self.advantage_in),
            ("advantage_out", self.advantage_out),
            ("advantage_mebibytes_per_second", self.advantage_mebibytes_per_second),
        ];
        match all.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
            Some((field, value)) => Err(InvalidPrice { field, value }),
            None => Ok(()),
        }
    }
}

/// A price that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{field} = {value}: give dollars, 0 or more")]
pub struct InvalidPrice {
    /// The field's name.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_a_wrong_price_is_named() {
        assert_eq!(Prices::default().validate(), Ok(()));
        let wrong = Prices { on_demand_in: -1.0, ..Prices::default() };
        assert_eq!(
            wrong.validate().expect_err("refused").to_string(),
            "on_demand_in = -1: give dollars, 0 or more"
        );
    }
}
