//! SNS and SQS: topics that send to queues, and queues that may be waited at.
//!
//! ```text
//!  Publish, alarm ─▶ topics ─▶ envelope, or raw ─▶ queues ─▶ ReceiveMessage (long poll)
//!  event of an alarm ──────────────────────────────▶
//! ```
//!
//! Owns the wiring of the `rustack` crates that serve both, and nothing of what they do. Their own HTTP services are not
//! used: those want sockets of their own, and let pages of any site read their answers. Nothing is made before the first
//! call. Queues go by the system's time, not by the services' clock: whoever receives works at its own pace, and a
//! visibility timeout of 30 s must give it 30 s.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::http::Response;
use rustack_sns_core::config::SnsConfig;
use rustack_sns_core::handler::RustackSnsHandler;
use rustack_sns_core::provider::RustackSns;
use rustack_sns_core::publisher::{DeliveryError, SqsPublisher};
use rustack_sns_model::error::SnsError;
use rustack_sns_model::input::PublishInput;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_model::error::SqsError;
use rustack_sqs_model::input::SendMessageInput;
use rustack_sqs_model::operations::SqsOperation;
use uuid::Uuid;

use crate::cloudwatch::{ACCOUNT, REGION};

/// The topics and queues of one run.
pub(crate) struct Notify {
    address: SocketAddr,
    services: OnceLock<Services>,
}

struct Services {
    queues: Queues,
    queue_calls: RustackSqsHandler,
    topics: Arc<RustackSns>,
    topic_calls: RustackSnsHandler,
}

/// The queues, as topics see them.
#[derive(Clone)]
struct Queues(Arc<RustackSqs>);

impl Notify {
    /// No topics and no queues; queues will have URLs at `address`.
    pub(crate) const fn at(address: SocketAddr) -> Self {
        Self { address, services: OnceLock::new() }
    }

    /// Answers a call of SQS; `operation` is the part of `x-amz-target` after the dot.
    pub(crate) async fn sqs(&self, operation: &str, body: Bytes) -> Response<Body> {
        let handler = &self.services().queue_calls;
        let answer = match SqsOperation::from_name(operation) {
            Some(operation) => rustack_sqs_http::dispatch::dispatch_operation(handler, operation, body).await,
            None => Err(SqsError::unknown_operation(operation)),
        };
        let refused =
            |error| rustack_sqs_http::response::error_to_response(&error, &Uuid::new_v4().to_string());
        answer.unwrap_or_else(refused).map(Body::new)
    }

    /// Answers a call of SNS: a form that names its operation in `Action`.
    pub(crate) async fn sns(&self, form: Bytes) -> Response<Body> {
        let handler = &self.services().topic_calls;
        let parameters = rustack_sns_http::request::parse_form_params(&form);
        let answer = match rustack_sns_http::router::resolve_operation(&parameters) {
            Ok(operation) => rustack_sns_http::dispatch::dispatch_operation(handler, operation, form).await,
            Err(error) => Err(error),
        };
        let refused =
            |error| rustack_sns_http::response::error_to_response(&error, &Uuid::new_v4().to_string());
        answer.unwrap_or_else(refused).map(Body::new)
    }

    /// Publishes to a topic.
    pub(crate) async fn publish(
        &self,
        topic_arn: &str,
        subject: String,
        message: String,
    ) -> Result<(), String> {
        let input = PublishInput {
            topic_arn: Some(topic_arn.to_owned()),
            subject: Some(subject),
            message,
            ..PublishInput::default()
        };
        let published = self.services().topics.publish(input).await;
        published.map(|_output| ()).map_err(|SnsError { message, .. }| message)
    }

    /// Sends to the queue called `queue`.
    pub(crate) async fn send(&self, queue: &str, message: String) -> Result<(), String> {
        self.services().queues.send(queue, message, None, None).await
    }

    fn services(&self) -> &Services {
        self.services.get_or_init(|| {
            let (host, port) = (self.address.ip().to_string(), self.address.port());
            let queues = Arc::new(RustackSqs::new(SqsConfig {
                skip_signature_validation: true,
                default_region: REGION.to_owned(),
                account_id: ACCOUNT.to_owned(),
                host: host.clone(),
                port,
            }));
            let config = SnsConfig {
                skip_signature_validation: true,
                default_region: REGION.to_owned(),
                account_id: ACCOUNT.to_owned(),
                host,
                port,
            };
            let publisher = Queues(queues.clone());
            let topics = Arc::new(RustackSns::new(config, Arc::new(publisher.clone())));
            Services {
                queues: publisher,
                queue_calls: RustackSqsHandler::new(queues),
                topic_calls: RustackSnsHandler::new(topics.clone()),
                topics,
            }
        })
    }
}

impl Queues {
    async fn send(
        &self,
        queue: &str,
        message_body: String,
        message_group_id: Option<String>,
        message_deduplication_id: Option<String>,
    ) -> Result<(), String> {
        let input = SendMessageInput {
            // Only the path of the URL is looked at.
            queue_url: format!("http://localhost/{ACCOUNT}/{queue}"),
            message_body,
            message_group_id,
            message_deduplication_id,
            ..SendMessageInput::default()
        };
        self.0.send_message(input).await.map(|_output| ()).map_err(|SqsError { message, .. }| message)
    }
}

#[async_trait]
impl SqsPublisher for Queues {
    fn validate(&self, queue_arn: &str) -> Result<(), DeliveryError> {
        match queue_arn.strip_prefix("arn:aws:sqs:").map(|rest| rest.split(':').count()) {
            Some(3) => Ok(()),
            Some(_) | None => {
                Err(DeliveryError::Unsupported(format!("{queue_arn:?} is not the ARN of a queue")))
            }
        }
    }

    async fn send_message(
        &self,
        queue_arn: &str,
        message_body: &str,
        message_group_id: Option<&str>,
        message_deduplication_id: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let queue = queue_arn.rsplit(':').next().unwrap_or_default();
        let (group, deduplication) =
            (message_group_id.map(str::to_owned), message_deduplication_id.map(str::to_owned));
        self.send(queue, message_body.to_owned(), group, deduplication)
            .await
            .map_err(|reason| DeliveryError::SqsDeliveryFailed { queue_arn: queue_arn.to_owned(), reason })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::StatusCode;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;

    fn notify() -> Notify {
        Notify::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 4566)))
    }

    async fn sqs(notify: &Notify, operation: &str, body: Value) -> Value {
        let response = notify.sqs(operation, body.to_string().into()).await;
        assert_eq!(response.status(), StatusCode::OK, "{operation}");
        let bytes = response.into_body().collect().await.expect("in memory").to_bytes();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    #[tokio::test]
    async fn nothing_is_made_before_the_first_call() {
        let notify = notify();
        assert!(notify.services.get().is_none());
        sqs(&notify, "ListQueues", json!({})).await;
        assert!(notify.services.get().is_some());
    }

    #[tokio::test]
    async fn a_message_goes_to_the_queue_of_its_name() {
        let notify = notify();
        assert!(
            notify
                .send("events", "early".to_owned())
                .await
                .is_err_and(|reason| reason.contains("does not exist"))
        );
        let made = sqs(&notify, "CreateQueue", json!({"QueueName": "events"})).await;
        assert_eq!(made["QueueUrl"], "http://127.0.0.1:4566/000000000000/events");
        notify.send("events", "late".to_owned()).await.expect("the queue exists");
        let received = sqs(&notify, "ReceiveMessage", json!({"QueueUrl": made["QueueUrl"]})).await;
        assert_eq!(received["Messages"][0]["Body"], "late");
    }

    #[tokio::test]
    async fn unknown_topics_and_operations_are_refused() {
        let notify = notify();
        let topic = "arn:aws:sns:us-east-1:000000000000:none";
        let refused = notify.publish(topic, "subject".to_owned(), "message".to_owned()).await;
        assert!(refused.is_err_and(|reason| reason.contains("does not exist")));
        assert_eq!(notify.sqs("Nonsense", Bytes::from_static(b"{}")).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            notify.sns(Bytes::from_static(b"Action=Nonsense")).await.status(),
            StatusCode::BAD_REQUEST
        );
    }

    #[test]
    fn only_queues_may_subscribe() {
        let queues = Queues(Arc::new(RustackSqs::new(SqsConfig::default())));
        assert!(queues.validate("arn:aws:sqs:us-east-1:000000000000:wake").is_ok());
        for arn in ["arn:aws:lambda:us-east-1:000000000000:function:f", "arn:aws:sqs:wake", "wake"] {
            assert!(queues.validate(arn).is_err(), "{arn}");
        }
    }
}
