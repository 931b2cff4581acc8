use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::Value;

use crate::{Local, soon};

/// A new queue: its URL and its ARN.
pub(crate) async fn queue(client: &Client, name: &str) -> (String, String) {
    let url =
        soon(client.create_queue().queue_name(name).send()).await.expect("new").queue_url.expect("a URL");
    let request = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let attributes = soon(request.send()).await.expect("known").attributes.expect("attributes");
    (url, attributes[&QueueAttributeName::QueueArn].clone())
}

/// The next message, waited for.
pub(crate) async fn receive(client: &Client, url: &str) -> Message {
    let request = client.receive_message().queue_url(url).wait_time_seconds(20);
    let messages = soon(request.send()).await.expect("received").messages.unwrap_or_default();
    messages.into_iter().next().expect("a message before the wait is over")
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

async fn topic_with(local: &Local, name: &str, queue_arn: &str, raw: bool) -> String {
    let sns = local.sns();
    let topic = soon(sns.create_topic().name(name).send()).await.expect("new").topic_arn.expect("an ARN");
    let request =
        sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue_arn).return_subscription_arn(true);
    let request = if raw { request.attributes("RawMessageDelivery", "true") } else { request };
    soon(request.send()).await.expect("subscribed");
    topic
}

#[tokio::test]
async fn a_topic_sends_envelopes_or_raw_messages() {
    let local = Local::start();
    let sqs = local.sqs();
    let (wrapped_url, wrapped_arn) = queue(&sqs, "wrapped").await;
    let (raw_url, raw_arn) = queue(&sqs, "raw").await;
    let topic = topic_with(&local, "wake", &wrapped_arn, false).await;
    assert_eq!(topic_with(&local, "wake", &raw_arn, true).await, topic);
    let publish = local.sns().publish().topic_arn(&topic).subject("hear").message("{\"a\": 1}");
    soon(publish.send()).await.expect("published");

    let envelope = json(receive(&sqs, &wrapped_url).await.body().expect("a body"));
    assert_eq!(envelope["Type"], "Notification");
    assert_eq!((&envelope["TopicArn"], &envelope["Subject"]), (&topic.into(), &"hear".into()));
    assert_eq!(envelope["Message"], "{\"a\": 1}");
    assert_eq!(receive(&sqs, &raw_url).await.body(), Some("{\"a\": 1}"));
}

#[tokio::test]
async fn a_waiting_receiver_gets_a_message_when_it_is_sent() {
    let local = Local::start();
    let sqs = local.sqs();
    let (url, _) = queue(&sqs, "wake").await;
    let begun = Instant::now();
    let waiting = receive(&sqs, &url);
    let sending = async {
        tokio::task::yield_now().await;
        sqs.send_message().queue_url(&url).message_body("now").send().await.expect("sent");
    };
    let (message, ()) = tokio::join!(waiting, sending);
    assert_eq!(message.body(), Some("now"));
    assert!(begun.elapsed() < Duration::from_secs(10), "the wait did not end with the message");
}

#[tokio::test]
async fn a_message_comes_back_until_it_is_deleted_and_counts_its_deliveries() {
    let local = Local::start();
    let sqs = local.sqs();
    let (url, _) = queue(&sqs, "wake").await;
    soon(sqs.send_message().queue_url(&url).message_body("again").send()).await.expect("sent");
    let receive = || {
        let request = sqs.receive_message().queue_url(&url).wait_time_seconds(20).visibility_timeout(600);
        request.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount).send()
    };
    for delivery in ["1", "2"] {
        let messages = soon(receive()).await.expect("received").messages.unwrap_or_default();
        let [message] = messages.as_slice() else { panic!("{messages:?}") };
        let attributes = message.attributes().expect("asked for");
        assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], delivery);
        let handle = message.receipt_handle().expect("a handle");
        let change =
            sqs.change_message_visibility().queue_url(&url).receipt_handle(handle).visibility_timeout(0);
        soon(change.send()).await.expect("visible again");
    }
    let message = soon(receive()).await.expect("received").messages.unwrap_or_default().remove(0);
    let delete = sqs.delete_message().queue_url(&url).set_receipt_handle(message.receipt_handle);
    soon(delete.send()).await.expect("deleted");
    let request = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
    let attributes = soon(request.send()).await.expect("known").attributes.expect("attributes");
    assert_eq!(attributes[&QueueAttributeName::ApproximateNumberOfMessages], "0");
    assert_eq!(attributes[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "0");
}

#[tokio::test]
async fn attributes_are_kept_and_queues_are_found_by_name() {
    let local = Local::start();
    let sqs = local.sqs();
    let (url, _) = queue(&sqs, "wake").await;
    let set =
        sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::VisibilityTimeout, "77");
    soon(set.send()).await.expect("set");
    let found = soon(sqs.get_queue_url().queue_name("wake").send()).await.expect("known").queue_url;
    assert_eq!(found.as_deref(), Some(url.as_str()));
    assert!(url.starts_with(&local.services.endpoint()), "{url}");
    let request =
        sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::VisibilityTimeout);
    let attributes = soon(request.send()).await.expect("known").attributes.expect("attributes");
    assert_eq!(attributes[&QueueAttributeName::VisibilityTimeout], "77");
    let error =
        soon(sqs.get_queue_url().queue_name("none").send()).await.expect_err("unknown").into_service_error();
    assert!(error.is_queue_does_not_exist(), "{:?}", error.code());
}
