use super::*;
use crate::simulate::{Cloud, CloudSettings, Scaler, Trace, compare_plotted, surge};
use crate::{Ours, Policy, StreamState};

/// Splits and merges one shard in turn, so that there is always something to draw.
#[derive(Debug)]
struct Restless;

impl Scaler for Restless {
    fn name(&self) -> &str {
        "</script><script>restless"
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        if cloud.state() != StreamState::Active {
            return;
        }
        let at = kcl_core::HashKey(1 << 100);
        let is_split = cloud.layout().boundaries().contains(at);
        let reply = if is_split { cloud.merge(at) } else { cloud.split(at) };
        reply.expect("no quota counts steps");
    }
}

fn trace(name: &str, minutes: usize) -> Trace {
    let mut trace = surge();
    trace.name = name.to_owned();
    trace.minutes.truncate(minutes);
    trace
}

fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("the data");
    let (json, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn names_cannot_leave_the_data() {
    let traces = [trace("<!--<script>\"'&", 60), trace("</script>", 60)];
    let (comparison, plots) = compare_plotted(&traces, &CloudSettings::default(), || Restless);
    let page = report_page(&comparison, &plots);
    assert_eq!(page.matches("</script>").count(), 2, "the data's and the scripts' own");
    assert_eq!(page.matches("<script").count(), 2);
    let data = data(&page);
    assert_eq!(data["traces"][0]["name"], "<!--<script>\"'&");
    assert_eq!(data["traces"][1]["name"], "</script>");
    assert_eq!(data["traces"][0]["scalers"][0]["name"], "</script><script>restless");
}

#[test]
fn the_page_refers_to_nothing_outside() {
    let page = report_page(&compare_plotted(&[], &CloudSettings::default(), || Restless).0, &[]);
    for reference in ["http:", "https:", "//cdn", "@import", "url(", " src=", "fetch(", "XMLHttp", "{style}"]
    {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("default-src 'none'"), "and the browser would not load it");
}

#[test]
fn every_trace_is_there_with_its_figures_and_reasons() {
    let traces = [trace("first", 500), trace("second", 500)];
    let ours = || Ours::new(Policy::default());
    let (comparison, plots) = compare_plotted(&traces, &CloudSettings::default(), ours);
    assert_eq!(comparison, crate::compare(&traces, &CloudSettings::default(), ours), "the printed figures");
    let data = data(&report_page(&comparison, &plots));
    let names: Vec<_> =
        data["traces"].as_array().expect("traces").iter().map(|trace| &trace["name"]).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(data["comparison"]["rows"].as_array().expect("rows").len(), comparison.rows.len());
    let own = &data["traces"][1]["scalers"][0];
    assert_eq!(own["name"], "leasehold");
    let operations = own["operations"].as_array().expect("operations");
    assert!(!operations.is_empty(), "a surge is answered");
    for operation in operations {
        assert!(operation[7][0].is_string(), "{operation}");
        assert!(operation[7][1].is_string(), "{operation}");
    }
}

#[test]
fn the_trace_that_tells_most_is_shown_first() {
    let traces = [trace("calm", 60), trace("surge", 700)];
    let settings = CloudSettings { shards: Some(8), ..CloudSettings::exact() };
    let (comparison, plots) = compare_plotted(&traces, &settings, || Ours::new(Policy::default()));
    let data = data(&report_page(&comparison, &plots));
    assert_eq!(data["telling"], "surge", "there the rival throttles for hours");
    assert_eq!(data["rival"], comparison.overall[1].scaler);
    assert_eq!(data["goal"], serde_json::json!({ "over_ideal": 1.6, "throttled_share": 0.25 }));
}

#[test]
fn the_surge_is_drawn_from_eight_shards_on() {
    let plot = crate::plot_surge(&CloudSettings::exact(), || Ours::new(Policy::default()));
    let plot = serde_json::to_value(&plot).expect("JSON");
    assert_eq!(plot["name"], "surge");
    let scalers = plot["scalers"].as_array().expect("scalers");
    assert_eq!(scalers.len(), 1 + crate::baselines(&surge()).len());
    let static_at_peak = scalers.last().expect("the one that knows the peak");
    for scaler in scalers.iter().filter(|&scaler| scaler != static_at_peak) {
        assert_eq!(scaler["shards"]["points"][1], 800, "hundredths: {}", scaler["name"]);
    }
}

#[test]
fn what_is_drawn_of_a_restless_trace_is_bounded() {
    let mut restless = trace("restless", 700);
    for (index, minute) in restless.minutes.iter_mut().enumerate() {
        minute.bytes *= 1.0 + (index * 7_919 % 1_000) as f64 / 100.0;
    }
    restless.minutes = restless.minutes.repeat(20);
    let settings = CloudSettings::default();
    let run = crate::run(&restless, &settings, &mut Restless);
    let size = |traces: usize| {
        let mut plot = TracePlot::new(&restless, &[1; 14_000], &settings.limits, Detail::of_each(traces));
        (0..8).for_each(|_| plot.add(&run, &restless));
        serde_json::to_string(&plot).expect("JSON").len()
    };
    assert!(size(55) < 200_000, "{} bytes", size(55));
    assert!(size(1) > 2 * size(55), "a single trace is there in more detail: {} bytes", size(1));
    assert_eq!(Detail::of_each(0), Detail::of_each(1));
}
