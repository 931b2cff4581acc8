//! `leasehold pump`: lines onto a stream.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use indicatif::{ProgressBar, ProgressStyle};
use workers::{
    Clickstream, END_MARK, EndMark, Entry, Format, Input, InputError, InputLine, KinesisTarget, Line,
    LineReader, Ordering, Pipeline, Preset, Pump, PumpProgress, PumpSettings, PumpSummary, RowRule, WebLog,
    stamped,
};

use super::settings_of;
use crate::arguments::PumpArguments;
use crate::connection::sdk_config;
use crate::problem::Problem;

/// Lines with the name of their source.
pub(crate) struct Feed {
    pub(crate) source: String,
    pub(crate) lines: Box<dyn Iterator<Item = Result<Line, InputError>> + Send>,
    /// Bytes of the file as stored, and how many of them were read.
    pub(crate) bytes: Option<(u64, Arc<AtomicU64>)>,
}

pub(crate) async fn pump(arguments: PumpArguments) -> anyhow::Result<()> {
    let resolved = match (&arguments.config, arguments.preset) {
        (Some(file), _) => settings_of(file)?,
        (None, preset) => {
            preset.unwrap_or(Preset::Weblog).settings().resolve(|path| std::fs::read_to_string(path))?
        }
    };
    let settings = resolved.settings();
    let pipeline = Pipeline::compile(&resolved).map_err(|error| Problem::usage(error.to_string()))?;
    let feed = match &arguments.input {
        Some(input) => Feed::open(&Input::parse(input), settings.parse.format)?,
        None => generated(settings.parse.format, arguments.seed, Some(arguments.records)),
    };
    let endpoint = arguments.endpoint.clone().or_else(|| settings.stream.endpoint.clone());
    let sdk = sdk_config(settings.stream.region.as_deref(), endpoint.as_deref()).await;
    let stream = arguments.stream.clone().unwrap_or_else(|| settings.stream.name.clone());
    let target = Arc::new(KinesisTarget::new(Client::new(&sdk), &stream));
    let pace = PumpSettings {
        lanes: 1,
        ordering: Ordering::Batched,
        records_per_second: arguments.rate,
        ..PumpSettings::default()
    };
    let mut pump = Pump::new(target, pace);
    if arguments.end_mark {
        pump =
            pump.with_end_mark(EndMark { data: END_MARK.into(), except: std::collections::HashSet::new() });
    }
    let progress = pump.progress();
    let bar = Bar::new(feed.bytes.clone(), arguments.json);
    let encoder = encoder(pipeline, feed.source.clone());
    let stop = async {
        // Without a handler for Ctrl-C, the pump just cannot be stopped gently.
        let _ = tokio::signal::ctrl_c().await;
    };
    let pumping = pump.run(feed.lines, encoder, stop);
    let summary = tokio::select! {
        biased;
        summary = pumping => summary?,
        () = bar.show(&progress) => unreachable!("the bar is shown until the pump ends"),
    };
    bar.finish();
    report(&stream, &summary, arguments.json)
}

impl Feed {
    /// Opens a file or standard input.
    pub(crate) fn open(input: &Input, format: Format) -> Result<Self, InputError> {
        let opened = input.open()?;
        let rule = match format {
            Format::Csv => RowRule::Csv,
            Format::CombinedLog | Format::Json => RowRule::Line,
        };
        let mut reader = LineReader::new(opened.reader, rule, LINE_BYTES_MAX);
        let path = opened.name.clone();
        let lines = std::iter::from_fn(move || {
            let read = reader.next_line();
            read.map_err(|source| InputError::Read { path: path.clone(), source }).transpose()
        });
        let bytes = opened.bytes_total.map(|total| (total, opened.bytes_read));
        Ok(Self { source: opened.name, lines: Box::new(lines), bytes })
    }
}

/// Generated lines in `format`, for ever if `records` does not say otherwise.
pub(crate) fn generated(format: Format, seed: u64, records: Option<u64>) -> Feed {
    let lines: Box<dyn Iterator<Item = _> + Send> = match format {
        Format::CombinedLog => Box::new(WebLog::new(seed)),
        Format::Json | Format::Csv => Box::new(Clickstream::new(seed)),
    };
    let numbered = (1..=records.unwrap_or(u64::MAX)).zip(lines);
    let lines = numbered.map(|(number, bytes)| Ok(Line::Whole(InputLine { number, bytes })));
    Feed { source: format!("generator:{seed}"), lines: Box::new(lines), bytes: None }
}

/// Turns a line into a stamped record under the partition key of the settings.
pub(crate) fn encoder(pipeline: Pipeline, source: String) -> impl FnMut(InputLine) -> Entry + Send + 'static {
    move |line| Entry {
        partition_key: pipeline.partition_key(&line.bytes),
        explicit_hash_key: None,
        data: stamped(&source, line.number, &line.bytes),
        line: line.number,
    }
}

struct Bar {
    bar: ProgressBar,
    bytes: Option<(u64, Arc<AtomicU64>)>,
    is_plain: bool,
}

impl Bar {
    fn new(bytes: Option<(u64, Arc<AtomicU64>)>, is_quiet: bool) -> Self {
        let is_plain = !std::io::stderr().is_terminal();
        let bar = match &bytes {
            _ if is_quiet || is_plain => ProgressBar::hidden(),
            Some((total, _)) => ProgressBar::new(*total),
            None => ProgressBar::new_spinner(),
        };
        let template = if bytes.is_some() {
            "{bar:30} {bytes}/{total_bytes}  {msg}  ETA {eta}"
        } else {
            "{spinner} {elapsed}  {msg}"
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        Self { bar, bytes, is_plain: is_plain && !is_quiet }
    }

    async fn show(&self, progress: &PumpProgress) {
        let mut ticks = tokio::time::interval(TICK);
        let mut number = 0_u64;
        loop {
            ticks.tick().await;
            number += 1;
            let rate = progress.records() as f64 / (TICK.as_secs_f64() * number as f64);
            let text = format!("{} records, {rate:.0}/s", progress.records());
            if let Some((_, read)) = &self.bytes {
                self.bar.set_position(read.load(Memory::Relaxed));
            }
            if self.is_plain && number.is_multiple_of(PLAIN_TICKS) {
                eprintln!("{text}");
            }
            self.bar.set_message(text);
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn report(stream: &str, summary: &PumpSummary, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(summary)?);
        return Ok(());
    }
    let rate = summary.records as f64 / summary.seconds.max(0.001);
    println!("{} records on stream {stream} in {:.1} s ({rate:.0}/s)", summary.records, summary.seconds);
    if summary.end_marks > 0 {
        println!("end of input marked on {} shards", summary.end_marks);
    }
    for refused in &summary.refused_lines {
        println!("line {} was not put: {}", refused.line, refused.reason);
    }
    Ok(())
}

/// Leaves room for the stamp and the partition key within Kinesis' 1 MiB, even if every byte is escaped as base64.
const LINE_BYTES_MAX: usize = 700 * 1024;
const TICK: Duration = Duration::from_millis(250);
const PLAIN_TICKS: u64 = 20;
