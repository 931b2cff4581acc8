//! The read side: what each application has read, how far it is behind, which closed shards it still has to finish.
//!
//! Bytes wait in the shard that took them. A shard that closes with unread bytes is kept until every application has read
//! it, and until then none of its descendants is read by that application, as consumers must to keep the order of a key.
//! How old the oldest unread byte is follows from how much of the stream came after it: a backlog of `b` bytes in a shard
//! with a part `p` of the load began when the stream had taken `b / p` bytes less. Retention is not modelled: nothing is
//! trimmed before it is read.

use std::ops::AddAssign;
use std::time::Duration;

use kcl_core::HashKeyRange;

use super::ingest::{Ingest, Slice};
use super::settings::{ApplicationSettings, ReadMode};
use crate::{ApplicationLag, Boundaries, ShardLimits};

/// All applications.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    limits: ShardLimits,
    settings: Vec<ApplicationSettings>,
    applications: Vec<Application>,
    open: Vec<Part>,
    /// In the order in which they closed, so parents lie before children.
    closed: Vec<Closed>,
    /// Bytes that the stream has taken: what moments are told by.
    position: f64,
    /// The position at the end of each minute.
    minute_ends: Vec<f64>,
    /// Bytes per second and shard that each application takes at the moment.
    rates: Vec<f64>,
}

#[derive(Clone, Debug, Default)]
struct Application {
    has_backlog: bool,
    /// As of the end of the last minute.
    behind: Duration,
    /// The same of the minutes before it, by minute modulo the count.
    earlier: [Duration; RISING_MINUTES],
    is_stopped: bool,
}

/// What lies unread in a shard.
#[derive(Clone, Debug)]
struct Part {
    range: HashKeyRange,
    /// The position when the shard opened.
    since: f64,
    /// By application.
    unread: Vec<Unread>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Unread {
    bytes: f64,
    /// A closed shard above this one has to be read first.
    is_blocked: bool,
}

#[derive(Clone, Debug)]
struct Closed {
    part: Part,
    /// Its part of the load.
    share: f64,
    /// The position when it closed.
    until: f64,
}

/// What the polling applications read in a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ReadSlice {
    pub(super) bytes: f64,
    /// Calls refused because a shard had given all that it gives.
    pub(super) refused_calls: f64,
}

impl AddAssign for ReadSlice {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.refused_calls += other.refused_calls;
    }
}

impl Readers {
    /// Applications that have read everything so far.
    pub(super) fn new(settings: Vec<ApplicationSettings>, limits: ShardLimits, layout: &Boundaries) -> Self {
        let part = |range| Part { range, since: 0.0, unread: vec![Unread::default(); settings.len()] };
        Self {
            limits,
            applications: vec![Application::default(); settings.len()],
            open: layout.ranges().map(part).collect(),
            closed: Vec::new(),
            position: 0.0,
            minute_ends: Vec::new(),
            rates: Vec::new(),
            settings,
        }
    }

    /// Lets `slice` pass, which began `elapsed` after the start.
    pub(super) fn pass(&mut self, ingest: &Ingest, slice: &Slice, elapsed: Duration) -> ReadSlice {
        self.position += slice.accepted.bytes;
        self.rates.clear();
        self.rates.extend(self.settings.iter().map(|each| each.bytes_per_second * each.rate_at(elapsed)));
        for (application, &rate) in self.applications.iter_mut().zip(&self.rates) {
            application.is_stopped = rate <= 0.0;
        }
        if self.keeps_up(ingest, slice) {
            return ReadSlice {
                bytes: slice.accepted.bytes * self.polling_count() as f64,
                refused_calls: 0.0,
            };
        }
        let mut read = ReadSlice::default();
        for (shard, part) in self.open.iter_mut().enumerate() {
            let arrived = ingest.flow(slice, shard).accepted.bytes;
            part.unread.iter_mut().for_each(|unread| unread.bytes += arrived);
            part.read(&self.settings, &self.rates, &self.limits, slice.seconds, &mut read);
        }
        let mut has_finished = false;
        for closed in &mut self.closed {
            has_finished |=
                closed.part.read(&self.settings, &self.rates, &self.limits, slice.seconds, &mut read);
        }
        if has_finished {
            self.closed.retain(|closed| closed.part.has_unread());
            self.block();
        }
        for (index, application) in self.applications.iter_mut().enumerate() {
            let mut parts = self.open.iter().chain(self.closed.iter().map(|closed| &closed.part));
            application.has_backlog = parts.any(|part| part.unread[index].bytes > 0.0);
        }
        read
    }

    /// Ends the minute; `shares` are the parts of the open shards.
    pub(super) fn end_minute(&mut self, shares: &[f64]) {
        self.minute_ends.push(self.position);
        let minute = self.minute_ends.len();
        for index in 0..self.applications.len() {
            let behind = self.age_of_oldest(index, shares);
            let application = &mut self.applications[index];
            application.earlier[minute % RISING_MINUTES] = application.behind;
            application.behind = behind;
        }
    }

    /// The layout changes to `new`; `shares` are the parts of the shards before it.
    pub(super) fn reshard(&mut self, new: &Boundaries, shares: &[f64]) {
        let nothing = vec![Unread::default(); self.applications.len()];
        let part = |range| Part { range, since: self.position, unread: nothing.clone() };
        let opened = new.ranges().map(part).collect();
        let before = std::mem::replace(&mut self.open, opened);
        for (part, &share) in before.into_iter().zip(shares) {
            let place = new.index_of(part.range.start());
            if self.open[place].range == part.range {
                self.open[place] = part;
            } else if part.has_unread() {
                self.closed.push(Closed { part, share, until: self.position });
            }
        }
        self.block();
    }

    /// What each application reports. A stopped one says nothing about its age; its parents are known from its leases.
    pub(super) fn lags(&self) -> Vec<ApplicationLag> {
        let ten_minutes_ago = (self.minute_ends.len() + 1) % RISING_MINUTES;
        let undrained =
            |index: usize| self.closed.iter().filter(|closed| closed.part.unread[index].bytes > 0.0).count();
        let reports = self.settings.iter().zip(&self.applications).enumerate();
        reports
            .map(|(index, (settings, application))| ApplicationLag {
                name: settings.name.clone(),
                behind: (!application.is_stopped).then_some(application.behind),
                is_rising: application.behind > application.earlier[ten_minutes_ago],
                undrained_parents: Some(u32::try_from(undrained(index)).unwrap_or(u32::MAX)),
            })
            .collect()
    }

    /// How far the application that is the furthest behind is behind, whether it reports or not.
    pub(super) fn behind_max(&self) -> Duration {
        self.applications.iter().map(|application| application.behind).max().unwrap_or_default()
    }

    /// `GetRecords.IteratorAgeMilliseconds`: the greatest age that a call returned, `None` if nobody calls.
    pub(super) fn iterator_age(&self) -> Option<Duration> {
        let applications = self.settings.iter().zip(&self.applications);
        let calling = applications
            .filter(|(settings, application)| settings.mode == ReadMode::Polling && !application.is_stopped);
        calling.map(|(_, application)| application.behind).max()
    }

    /// The age of what workers report: that of the application which is the least behind. `None` if all are stopped.
    pub(super) fn report_age(&self) -> Option<Duration> {
        let reporting = self.applications.iter().filter(|application| !application.is_stopped);
        reporting.map(|application| application.behind).min()
    }

    /// How many applications have a read budget of their own.
    pub(super) fn fan_out_count(&self) -> usize {
        self.settings.len() - self.polling_count()
    }

    fn polling_count(&self) -> usize {
        self.settings.iter().filter(|settings| settings.mode == ReadMode::Polling).count()
    }

    /// Whether everything that arrives in `slice` is read at once by all.
    fn keeps_up(&self, ingest: &Ingest, slice: &Slice) -> bool {
        if !self.closed.is_empty() || self.applications.iter().any(|application| application.has_backlog) {
            return false;
        }
        let fullest = if slice.is_calm {
            slice.accepted.bytes * ingest.greatest_share() / slice.seconds
        } else {
            self.limits.write_bytes_per_second
        };
        self.rates.iter().all(|&rate| rate >= fullest)
            && fullest * self.polling_count().max(1) as f64 <= self.limits.read_bytes_per_second
    }

    fn age_of_oldest(&self, application: usize, shares: &[f64]) -> Duration {
        if !self.applications[application].has_backlog {
            return Duration::ZERO;
        }
        let open = self.open.iter().zip(shares).map(|(part, &share)| (part, share, self.position));
        let closed = self.closed.iter().map(|closed| (&closed.part, closed.share, closed.until));
        let unread = open.chain(closed).filter(|(part, ..)| part.unread[application].bytes > 0.0);
        let oldest = unread
            .map(|(part, share, until)| (until - part.unread[application].bytes / share).max(part.since))
            .fold(self.position, f64::min);
        let minute = self.minute_ends.partition_point(|&end| end <= oldest);
        let Some(end) = self.minute_ends.get(minute) else { return Duration::ZERO };
        let start = minute.checked_sub(1).map_or(0.0, |before| self.minute_ends[before]);
        let minutes = (self.minute_ends.len() - minute) as f64 - (oldest - start) / (end - start);
        Duration::from_secs_f64(minutes * 60.0)
    }

    /// Finds out which shards have to wait for a closed one.
    fn block(&mut self) {
        for index in 0..self.closed.len() {
            let (parents, children) = self.closed.split_at_mut(index);
            children[0].part.wait_for(parents);
        }
        for part in &mut self.open {
            part.wait_for(&self.closed);
        }
    }
}

impl Part {
    fn has_unread(&self) -> bool {
        self.unread.iter().any(|unread| unread.bytes > 0.0)
    }

    /// Lets all applications read for `seconds`. Returns whether one finished.
    fn read(
        &mut self,
        settings: &[ApplicationSettings],
        rates: &[f64],
        limits: &ShardLimits,
        seconds: f64,
        read: &mut ReadSlice,
    ) -> bool {
        let given_max = limits.read_bytes_per_second * seconds;
        let wanted = |unread: Unread, rate: f64| {
            if unread.is_blocked { 0.0 } else { unread.bytes.min(rate * seconds) }
        };
        let each = || settings.iter().map(|settings| settings.mode).zip(rates);
        let polled = self.unread.iter().zip(each()).filter(|(_, (mode, _))| *mode == ReadMode::Polling);
        let (polled_wanted, polling) = polled
            .map(|(&unread, (_, &rate))| wanted(unread, rate))
            .fold((0.0, 0.0), |(sum, count), bytes| {
                (sum + bytes, if bytes > 0.0 { count + 1.0 } else { count })
            });
        let granted = if polled_wanted > given_max { given_max / polled_wanted } else { 1.0 };
        read.bytes += polled_wanted * granted;
        read.refused_calls += (1.0 - granted) * polling * seconds * CALLS_PER_SECOND;

        let mut has_finished = false;
        for (unread, (mode, &rate)) in self.unread.iter_mut().zip(each()) {
            let bytes = match mode {
                ReadMode::Polling => wanted(*unread, rate) * granted,
                ReadMode::FanOut => wanted(*unread, rate).min(given_max),
            };
            let left = unread.bytes - bytes;
            let is_finished = unread.bytes > 0.0 && left < RESIDUE_BYTES;
            unread.bytes = if is_finished { 0.0 } else { left };
            has_finished |= is_finished;
        }
        has_finished
    }

    fn wait_for(&mut self, parents: &[Closed]) {
        for (application, unread) in self.unread.iter_mut().enumerate() {
            unread.is_blocked = parents.iter().any(|parent| {
                parent.part.unread[application].bytes > 0.0 && parent.part.range.overlaps(self.range)
            });
        }
    }
}

/// A lag is rising if it was less this many minutes ago.
const RISING_MINUTES: usize = 10;
/// Calls of a polling reader per shard, as the Kinesis Client Library makes them by default.
const CALLS_PER_SECOND: f64 = 1.0;
/// Less than this is a rounding error of the fluid and no unread record.
const RESIDUE_BYTES: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::cloud::mass::Mass;
    use crate::simulate::cloud::settings::{RetrySettings, Slowdown};

    const MINUTE: Duration = Duration::from_secs(60);

    struct World {
        ingest: Ingest,
        readers: Readers,
        minute: u32,
    }

    impl World {
        fn new(applications: Vec<ApplicationSettings>, shards: u32) -> Self {
            let limits = ShardLimits::default();
            let shares = vec![1.0 / f64::from(shards); shards as usize];
            let retries = RetrySettings { share: 0.0, minutes_max: 0, tries_per_minute: 1.0 };
            Self {
                ingest: Ingest::new(limits, retries, shares),
                readers: Readers::new(applications, limits, &Boundaries::uniform(shards)),
                minute: 0,
            }
        }

        /// Lets a minute pass in which `shards` shards' worth arrives.
        fn pass(&mut self, shards: f64) -> ReadSlice {
            let load = Mass { bytes: shards * 60e6, records: 1.0 };
            let slice = self.ingest.pass(load, 1.0, 1.0);
            let read = self.readers.pass(&self.ingest, &slice, MINUTE * self.minute);
            self.readers.end_minute(self.ingest.shares());
            self.minute += 1;
            read
        }

        fn reshard(&mut self, shards: u32) {
            let shares = vec![1.0 / f64::from(shards); shards as usize];
            self.readers.reshard(&Boundaries::uniform(shards), self.ingest.shares());
            self.ingest.reshard(shares, &[]);
        }

        fn lag(&self) -> ApplicationLag {
            self.readers.lags().remove(0)
        }
    }

    fn slowed(after: u32, lasts: u32, rate: f64) -> ApplicationSettings {
        let slowdowns = vec![Slowdown { after: MINUTE * after, lasts: MINUTE * lasts, rate }];
        ApplicationSettings { slowdowns, ..ApplicationSettings::polling("a") }
    }

    #[test]
    fn who_keeps_up_is_never_behind() {
        let mut world =
            World::new(vec![ApplicationSettings::polling("a"), ApplicationSettings::polling("b")], 2);
        assert_eq!(world.pass(1.0), ReadSlice { bytes: 120e6, refused_calls: 0.0 });
        assert_eq!(world.lag().behind, Some(Duration::ZERO));
        assert_eq!(world.readers.iterator_age(), Some(Duration::ZERO));
    }

    #[test]
    fn a_stopped_application_reports_nothing_and_catches_up_at_its_rate() {
        let mut world = World::new(vec![slowed(0, 3, 0.0)], 1);
        for _ in 0..3 {
            assert_eq!(world.pass(0.5).bytes, 0.0);
        }
        assert_eq!((world.lag().behind, world.readers.iterator_age()), (None, None));
        assert_eq!(world.readers.behind_max(), MINUTE * 3);
        assert_eq!(world.pass(0.5).bytes, 120e6, "all four half minutes' worth");
        assert_eq!(world.lag().behind, Some(Duration::ZERO));
        assert!(!world.lag().is_rising);
    }

    #[test]
    fn lag_rises_while_less_is_read_than_arrives() {
        let mut world = World::new(vec![slowed(0, 60, 0.25)], 1);
        for _ in 0..12 {
            world.pass(1.0);
        }
        assert_eq!(world.lag().behind, Some(MINUTE * 6), "half of twelve minutes");
        assert!(world.lag().is_rising);
        assert_eq!(world.readers.report_age(), Some(MINUTE * 6));
    }

    #[test]
    fn children_wait_until_their_parents_are_read() {
        let mut world = World::new(vec![slowed(0, 4, 0.0)], 2);
        for _ in 0..4 {
            assert_eq!(world.pass(1.0).bytes, 0.0);
        }
        world.reshard(4);
        assert_eq!(world.lag().undrained_parents, Some(2));
        // Each parent holds 120 MB and gives 120 MB in a minute; its children took half of it meanwhile.
        assert_eq!(world.pass(1.0).bytes, 240e6);
        let lag = world.lag();
        assert_eq!((lag.undrained_parents, lag.behind), (Some(0), Some(MINUTE)));
        assert_eq!(world.pass(1.0).bytes, 120e6);
        assert_eq!(world.lag().behind, Some(Duration::ZERO));
    }

    #[test]
    fn a_shard_that_stays_is_no_parent() {
        let mut world = World::new(vec![slowed(0, 1, 0.0)], 2);
        world.pass(1.0);
        let halves = Boundaries::uniform(2);
        let split = Boundaries::new(halves.keys().iter().copied().chain([kcl_core::HashKey(1 << 126)]));
        world.readers.reshard(&split, &[0.5, 0.5]);
        world.ingest.reshard(vec![0.25, 0.25, 0.5], &[]);
        assert_eq!(world.lag().undrained_parents, Some(1), "only the lower half was split");
    }

    #[test]
    fn pollers_share_what_a_shard_gives_and_fan_out_does_not() {
        let mut three = vec!["a", "b", "c"].into_iter().map(ApplicationSettings::polling).collect::<Vec<_>>();
        let mut world = World::new(three.clone(), 1);
        let read = world.pass(1.0);
        assert_eq!(read.bytes, 120e6, "2 MB/s of 3 MB/s");
        assert!((read.refused_calls - 60.0).abs() < 1e-9, "a third of three applications' calls");
        three[2].mode = ReadMode::FanOut;
        let mut world = World::new(three, 1);
        assert_eq!(world.pass(1.0), ReadSlice { bytes: 120e6, refused_calls: 0.0 });
        assert_eq!((world.readers.behind_max(), world.readers.fan_out_count()), (Duration::ZERO, 1));
    }
}
