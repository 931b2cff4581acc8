//! The Lambda function without its runtime: which streams are looked at, and which failures are told to whom.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use autoscaler::trigger::{LambdaService, RefusalKind, Tally, Unhandled, Wake};
use aws_lambda_events::event::sqs::SqsBatchResponse;
use parking_lot::Mutex;

use crate::fixture;

const TIME: Duration = Duration::from_secs(60);

/// A handler that notes the streams it is called for, and fails for one of them.
#[derive(Default)]
struct Looks {
    streams: Mutex<Vec<String>>,
    failing: Mutex<Option<&'static str>>,
}

impl Looks {
    fn handle(&self, wake: &Wake) -> Result<(), String> {
        let stream = wake.stream.to_string();
        let fails = *self.failing.lock() == Some(stream.as_str());
        self.streams.lock().push(stream);
        if fails { Err("the lock is held by another".to_owned()) } else { Ok(()) }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.streams.lock())
    }
}

/// A service over `looks`; a macro, since its type cannot be named.
macro_rules! service {
    ($looks:expr, $tally:expr) => {
        LambdaService::new(fixture::settings(), Arc::clone($tally), |wake: Wake| ready($looks.handle(&wake)))
    };
}

fn failures(answer: &Result<SqsBatchResponse, Unhandled>) -> Vec<&str> {
    let items = &answer.as_ref().expect("answered").batch_item_failures;
    items.iter().map(|item| item.item_identifier.as_str()).collect()
}

fn count(tally: &Tally, name: &str) -> u64 {
    tally.counters().filter(|counter| counter.name == name).map(|counter| counter.value).sum()
}

#[tokio::test(start_paused = true)]
async fn every_accepted_event_leads_to_one_look_per_stream() {
    let routes = ["sns-to-lambda", "eventbridge", "lambda-action", "sqs-to-lambda"];
    for path in routes.iter().flat_map(|route| fixture::list(&format!("accepted/{route}"))) {
        let (looks, tally) = (Looks::default(), Arc::new(Tally::default()));
        let service = service!(looks, &tally);
        let answer = service.answer(&fixture::read(&path), TIME).await;
        assert!(failures(&answer).is_empty(), "{path}");
        let is_of_two = path.ends_with("several-streams.json") || path.ends_with("composite.json");
        let expected: &[&str] = if is_of_two { &["clicks", "views"] } else { &["clicks"] };
        assert_eq!(looks.take(), expected, "{path}");
        assert_eq!(count(&tally, "autoscaler_trigger_wakes_total"), expected.len() as u64, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_refused_event_is_counted_and_answered_as_done() {
    for path in fixture::list("refused") {
        let (looks, tally) = (Looks::default(), Arc::new(Tally::default()));
        let service = service!(looks, &tally);
        let answer = service.answer(&fixture::read(&path), TIME).await;
        assert!(failures(&answer).is_empty(), "{path}");
        assert_eq!(looks.take(), Vec::<String>::new(), "{path}");
        assert_eq!(count(&tally, "autoscaler_trigger_refused_messages_total"), 1, "{path}");
        assert_eq!(count(&tally, "autoscaler_trigger_messages_total"), 1, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_stream_share_a_look_and_its_failure() {
    let (looks, tally) = (Looks::default(), Arc::new(Tally::default()));
    let service = service!(looks, &tally);
    let batch = fixture::read("batches/mixed.json");
    *looks.failing.lock() = Some("clicks");
    assert_eq!(failures(&service.answer(&batch, TIME).await), ["m-1", "m-3", "m-4"]);
    assert_eq!(looks.take(), ["orders", "clicks", "views"], "orders was asked for without a region");
    assert_eq!(tally.refused(RefusalKind::NotAnAlarm), 1);

    *looks.failing.lock() = None;
    assert!(
        failures(&service.answer(&batch, TIME).await).is_empty(),
        "what failed is not taken for repeated"
    );
    assert_eq!(looks.take(), ["orders", "clicks", "views"]);
    assert_eq!(count(&tally, "autoscaler_trigger_repeated_messages_total"), 0);

    assert!(failures(&service.answer(&batch, TIME).await).is_empty());
    assert_eq!(looks.take(), ["orders"], "alarms are known by now, an operator always gets a look");
    assert_eq!(count(&tally, "autoscaler_trigger_repeated_messages_total"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_a_queue_is_an_error_so_that_the_event_comes_again() {
    let (looks, tally) = (Looks::default(), Arc::new(Tally::default()));
    let service = service!(looks, &tally);
    *looks.failing.lock() = Some("views");
    let event = fixture::read("batches/two-notifications.json");
    let unhandled = service.answer(&event, TIME).await.expect_err("repeat it");
    assert_eq!(unhandled.to_string(), "stream views was not looked at: the lock is held by another");
    assert_eq!(count(&tally, "autoscaler_trigger_handler_failures_total"), 1);
    assert_eq!(looks.take(), ["clicks", "views"]);

    *looks.failing.lock() = None;
    assert!(service.answer(&event, TIME).await.is_ok());
    assert_eq!(looks.take(), ["clicks", "views"], "only the first notification is done");
    assert_eq!(count(&tally, "autoscaler_trigger_repeated_messages_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_outlasts_the_invocation_is_a_failure_in_time() {
    let tally = Arc::new(Tally::default());
    let service = LambdaService::new(fixture::settings(), Arc::clone(&tally), |wake: Wake| async move {
        if wake.stream.as_str() == "clicks" {
            std::future::pending::<()>().await;
        }
        Ok::<(), String>(())
    });
    let started = tokio::time::Instant::now();
    let answer = service.answer(&fixture::read("batches/mixed.json"), TIME).await;
    assert_eq!(failures(&answer), ["m-1", "m-3", "m-4"]);
    assert_eq!(started.elapsed(), Duration::from_secs(59), "a second is left for the answer");
}
