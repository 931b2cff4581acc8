//! The largest and strangest messages take a bounded amount of memory. A process of its own, since it counts every byte.

use std::fmt::Write as _;

use autoscaler::trigger::{TriggerSettings, read_event, read_message};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

#[test]
fn no_message_takes_more_than_a_few_times_the_largest_size() {
    let settings = TriggerSettings::default();
    for (name, event) in hostile_events() {
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        let deliveries = read_event(&event, &settings);
        let of_event = ALLOCATED.peak_usage() - before;
        drop(deliveries);
        ALLOCATED.reset_peak_usage();
        let wakes = read_message(&event, &settings);
        let of_message = ALLOCATED.peak_usage() - before;
        drop(wakes);
        assert!(of_event <= EVENT_MEMORY_MAX, "{name}: an event took {of_event} bytes");
        assert!(of_message <= MESSAGE_MEMORY_MAX, "{name}: a message took {of_message} bytes");
    }
}

/// Events at the limits of size, count and depth, and beyond.
fn hostile_events() -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |item: &str, bytes: usize| format!("[{}0]", format!("{item},").repeat(bytes / (item.len() + 1)));
    let wrap = |inner: String| format!("{{\"stream\":\"clicks\",\"x\":{inner}}}").into_bytes();
    let mut fields = String::new();
    for number in 0..8_000 {
        write!(fields, "\"{number:0100}\":{{}},").expect("a string takes it");
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let body = quoted(&"\u{1}".repeat(150_000));
    vec![
        ("a long string", wrap(quoted(&"x".repeat(1_000_000)))),
        ("a long string of escapes", wrap(body.clone())),
        ("many numbers", wrap(list("0", 6_000_000))),
        ("as many numbers as are read", wrap(list("0", 30_000))),
        ("many objects", wrap(list("{}", 6_000_000))),
        ("many fields", wrap(format!("{{{fields}\"last\":0}}"))),
        ("many records", format!("{{\"Records\":{}}}", list("{}", 6_000_000)).into_bytes()),
        ("as many records as are read", format!("{{\"Records\":{}}}", list("0", 19_990)).into_bytes()),
        (
            "large records",
            format!(
                "{{\"Records\":{}}}",
                list(&format!("{{\"messageId\":\"m\",\"body\":{body}}}"), 5_000_000)
            )
            .into_bytes(),
        ),
        ("endless opening", b"[".repeat(6_000_000)),
        ("endless opening within", [b"{\"Records\":".as_slice(), &b"[".repeat(6_000_000)].concat()),
        ("beyond every size", b" ".repeat(64_000_000)),
    ]
}

/// A document of 1 MiB, its built form, and one copy of its text.
const MESSAGE_MEMORY_MAX: usize = 8 * 1024 * 1024;
/// Beside its largest message, an event takes its refusals and the places of its records.
const EVENT_MEMORY_MAX: usize = 16 * 1024 * 1024;
