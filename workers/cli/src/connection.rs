//! Clients for AWS or another endpoint.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::Credentials;

/// Configuration of all clients. A loopback endpoint gets a region and credentials of its own, because local services
/// check none; everything else uses the SDK's usual sources.
pub(crate) async fn sdk_config(region: Option<&str>, endpoint: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(url) = endpoint {
        loader = loader.endpoint_url(url);
        if is_loopback(url) {
            loader = loader
                .region(Region::new(region.unwrap_or(LOCAL_REGION).to_owned()))
                .credentials_provider(Credentials::new("local", "local", None, None, "leasehold-local"));
        }
    }
    loader.load().await
}

/// Whether `url` is on this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let authority = url.split("://").nth(1).unwrap_or(url);
    let host = authority.split(['/', ':']).next().unwrap_or(authority);
    host == "localhost" || host == "127.0.0.1" || authority.starts_with("[::1]")
}

const LOCAL_REGION: &str = "us-east-1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_gets_made_up_credentials() {
        for url in ["http://127.0.0.1:4566", "http://localhost/", "http://[::1]:80"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://kinesis.eu-central-1.amazonaws.com", "http://127.0.0.1.example.org"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
