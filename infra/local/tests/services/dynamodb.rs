use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TimeToLiveSpecification,
};

use crate::{Local, soon};

async fn create(client: &Client) {
    let attribute =
        AttributeDefinition::builder().attribute_name("leaseKey").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("leaseKey").key_type(KeyType::Hash);
    let request = client.create_table().table_name("leases").billing_mode(BillingMode::PayPerRequest);
    let request = request.attribute_definitions(attribute.build().expect("complete"));
    request.key_schema(key.build().expect("complete")).send().await.expect("created");
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[tokio::test]
async fn a_failed_condition_shows_the_item_that_is_there() {
    let local = Local::start();
    let client = local.dynamodb();
    create(&client).await;
    let put = |owner: &str| {
        let request =
            client.put_item().table_name("leases").item("leaseKey", text("shard")).item("owner", text(owner));
        request
            .condition_expression("attribute_not_exists(leaseKey)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };
    put("first").await.expect("new");
    let error = put("second").await.expect_err("exists").into_service_error();
    let PutItemError::ConditionalCheckFailedException(failed) = error else { panic!("{error:?}") };
    assert_eq!(failed.item().and_then(|item| item.get("owner")), Some(&text("first")));
}

#[tokio::test]
async fn one_of_many_racing_writers_wins() {
    let local = Local::start();
    let client = local.dynamodb();
    create(&client).await;
    let writers = (0..16).map(|writer| {
        let request = client.put_item().table_name("leases").item("leaseKey", text("raced"));
        let request = request.item("owner", text(&writer.to_string()));
        tokio::spawn(request.condition_expression("attribute_not_exists(leaseKey)").send())
    });
    let mut winners = 0;
    for writer in writers.collect::<Vec<_>>() {
        winners += usize::from(soon(writer).await.expect("no panic").is_ok());
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn an_expired_item_is_swept() {
    let local = Local::start_with(|settings| settings.ttl_sweep_interval = Duration::from_millis(100));
    let client = local.dynamodb();
    create(&client).await;
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires");
    let enable = client.update_time_to_live().table_name("leases");
    let specification = specification.build().expect("complete");
    enable.time_to_live_specification(specification).send().await.expect("enabled");
    let past = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() - 100;
    let put = client.put_item().table_name("leases").item("leaseKey", text("old"));
    put.item("expires", AttributeValue::N(past.to_string())).send().await.expect("put");
    soon(async {
        while client
            .get_item()
            .table_name("leases")
            .key("leaseKey", text("old"))
            .send()
            .await
            .expect("read")
            .item
            .is_some()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
