//! Words of the wire: statuses, modes and types, each with its AWS spelling, and how a request names a stream.

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The spelling on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the spelling on the wire.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

wire_enum! {
    /// What a stream is doing.
    StreamStatus {
        /// Being made; it takes no records yet.
        Creating = "CREATING",
        /// Being deleted; it takes and gives no records any more.
        Deleting = "DELETING",
        /// At rest.
        Active = "ACTIVE",
        /// A change is under way; records flow as before.
        Updating = "UPDATING",
    }
}
wire_enum! {
    /// Who decides on the number of shards.
    StreamMode {
        /// The operator.
        Provisioned = "PROVISIONED",
        /// Kinesis; the model keeps the number of shards it started with.
        OnDemand = "ON_DEMAND",
    }
}
wire_enum! {
    /// What a registered consumer is doing.
    ConsumerStatus {
        /// Being registered.
        Creating = "CREATING",
        /// Being deregistered.
        Deleting = "DELETING",
        /// Ready to subscribe.
        Active = "ACTIVE",
    }
}
wire_enum! {
    /// Whether records are encrypted at rest; the model keeps the answer and encrypts nothing.
    EncryptionType {
        /// Not encrypted.
        None = "NONE",
        /// By a key of KMS.
        Kms = "KMS",
    }
}
wire_enum! {
    /// How `UpdateShardCount` chooses the new shards.
    ScalingType {
        /// Shards of equal hash ranges.
        Uniform = "UNIFORM_SCALING",
    }
}

/// How a request names its stream: by name, by ARN, or by both if they agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamRef {
    /// `StreamName`.
    pub name: Option<String>,
    /// `StreamARN`.
    pub arn: Option<String>,
}

impl StreamRef {
    /// The stream called `name`.
    #[must_use]
    pub fn name(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), arn: None }
    }

    /// The stream with this ARN.
    #[must_use]
    pub fn arn(arn: impl Into<String>) -> Self {
        Self { name: None, arn: Some(arn.into()) }
    }

    /// Whether the request names no stream.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.arn.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_round_trip() {
        for status in
            [StreamStatus::Creating, StreamStatus::Deleting, StreamStatus::Active, StreamStatus::Updating]
        {
            assert_eq!(StreamStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(StreamMode::parse("on_demand"), None);
    }
}
