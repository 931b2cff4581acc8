//! The S3 adapter over real HTTP: the store's conformance suite, the start-up self-test, and writes that are raced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Credentials, Intercept, RuntimeComponents, SharedCredentialsProvider};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use local::{LocalSettings, Services};
use tempfile::TempDir;
use workers::{
    NewObject, ObjectMetadata, ObjectStore, PutOutcome, S3Store, check_conditional_writes, check_object_store,
};

const BUCKET: &str = "suite";

/// Running services, and a folder that goes with them.
struct Local {
    services: Services,
    _folder: TempDir,
}

impl Local {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let services = Services::start(LocalSettings::new(folder.path())).expect("starts");
        let local = Self { services, _folder: folder };
        let made = local.client(None).create_bucket().bucket(BUCKET).send().await;
        made.expect("a bucket");
        local
    }

    fn client(&self, interceptor: Option<Raced>) -> Client {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(self.services.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "a", "b", None, None, "test",
            )))
            .build();
        let mut builder = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
        if let Some(interceptor) = interceptor {
            builder = builder.interceptor(interceptor);
        }
        Client::from_conf(builder.build())
    }

    fn store(&self, interceptor: Option<Raced>) -> S3Store {
        S3Store::new(self.client(interceptor), BUCKET, "prefix/")
    }
}

/// Answers the first conditional write with 409, and keeps it from the server.
#[derive(Clone, Debug, Default)]
struct Raced {
    conditional_writes: Arc<AtomicUsize>,
    is_racing: Arc<AtomicBool>,
}

impl Intercept for Raced {
    fn name(&self) -> &'static str {
        "Raced"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        if request.headers().get("if-none-match").is_some()
            && self.conditional_writes.fetch_add(1, Ordering::SeqCst) == 0
        {
            let nowhere = request.uri().replacen(BUCKET, "nowhere", 1);
            request.set_uri(nowhere)?;
            self.is_racing.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.is_racing.swap(false, Ordering::SeqCst) {
            *context.response_mut() = HttpResponse::new(409.try_into()?, SdkBody::empty());
        }
        Ok(())
    }
}

fn object(body: Bytes) -> NewObject {
    let metadata: ObjectMetadata = [("writer".to_owned(), "me".to_owned())].into();
    NewObject { body, content_type: "text/plain", metadata }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_and_lets_one_writer_win() {
    let local = Local::start().await;
    let store = local.store(None);
    check_object_store(&store, "suite/").await;
    check_conditional_writes(&store).await.expect("one winner");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raced_put_is_tried_again() {
    let local = Local::start().await;
    let raced = Raced::default();
    let store = local.store(Some(raced.clone()));
    let outcome = store.put_new("a", &object(Bytes::from_static(b"body"))).await.expect("put");
    assert_eq!(outcome, PutOutcome::Created);
    assert_eq!(raced.conditional_writes.load(Ordering::SeqCst), 2);
    assert_eq!(store.get("a").await.expect("read").expect("there").body, "body");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raced_upload_begins_anew() {
    let local = Local::start().await;
    let raced = Raced::default();
    let store = local.store(Some(raced.clone()));
    let body = Bytes::from(vec![7; 9 * 1024 * 1024]);
    let outcome = store.put_new_in_parts("a", &object(body.clone())).await.expect("put");
    assert_eq!(outcome, PutOutcome::Created);
    assert_eq!(raced.conditional_writes.load(Ordering::SeqCst), 2);
    assert_eq!(store.get("a").await.expect("read").expect("there").body, body);
    let uploads = local.client(None).list_multipart_uploads().bucket(BUCKET).send().await.expect("listed");
    assert_eq!(uploads.uploads().len(), 0, "the raced upload must be aborted");
}
