//! Pipelines that ship with the product, as the TOML that `leasehold init --preset` writes.

use std::fmt;
use std::str::FromStr;

use crate::settings::PipelineSettings;

/// A pipeline that ships with the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Access log lines to page views and sessions of 30 minutes by address and user agent.
    Weblog,
    /// Click events to session starts after 10 seconds of inactivity, as the published pipeline numbers them.
    Clicks,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 2] = [Self::Weblog, Self::Clicks];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weblog => "weblog",
            Self::Clicks => "clicks",
        }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(self) -> PipelineSettings {
        let text = match self {
            Self::Weblog => include_str!("weblog.toml"),
            Self::Clicks => include_str!("clicks.toml"),
        };
        PipelineSettings::from_toml(text).expect("a preset that ships is valid TOML")
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.name() == name)
            .ok_or_else(|| format!("preset {name:?} does not exist; there are `weblog` and `clicks`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_found_by_name() {
        for preset in Preset::ALL {
            assert_eq!(preset.settings().validate(), [], "{preset}");
            assert_eq!(preset.name().parse(), Ok(preset));
        }
        assert!("nitro".parse::<Preset>().is_err());
    }
}
