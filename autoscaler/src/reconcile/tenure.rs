//! Holding the row: the framework's leader lock, with the journal in the same item.
//!
//! Lock and journal are one item, so that leading and being allowed to write the journal are one condition. Every write
//! leaves a new version; a beat leaves the journal alone, and a write of the journal is a beat.
//!
//! ```text
//!              stands still for its duration, released, or absent
//!  Contending ─────────────────────────────────────────────────────▶ take (term + 1) ──▶ Holding ──▶ release ──▶ Gone
//!      ▲                                                                                  │
//!      └────────────── deadline passed, or the row shows another's version ───────────────┘
//! ```
//!
//! The row is held from the *send* time of the last applied write. One write is in flight at a time. After a lost reply the
//! row is read: a version of ours proves that the write was applied; its absence proves nothing, so the same content is
//! written again, conditional on the version read.

use kcl_core::{LeaderLock, LockCondition, LockVersion, Millis, Nonce, WorkerId};

use super::message::{Request, Row, RowWrite};
use super::settings::ReconcileSettings;

/// One controller's hold on the row.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    me: WorkerId,
    seed: u64,
    nonces_made: u64,
    lease: Millis,
    held_for: Millis,
    pause: Millis,
    standing: Standing,
    slot: Slot,
    /// Nothing is sent before, after a call that failed.
    retry_at: Millis,
    /// Writes whose replies were lost: each may still be applied.
    unsettled: Vec<Attempt>,
    /// The write that the controller waits for. A beat of which nothing was known may be applied in its place: the version
    /// that it was conditional on is gone then, and it is sent again.
    awaited: Option<(Kind, Option<String>)>,
    is_leaving: bool,
}

/// What became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing that anybody waits for.
    Same,
    /// The row may be taken under this condition, with the journal that it carries.
    Free(LockCondition, Option<String>),
    /// The row is taken.
    Taken,
    /// The journal is written.
    Committed,
    /// The row is held no longer.
    Lost,
    /// The row is given back, or was lost in the attempt.
    Released,
}

#[derive(Clone, Debug)]
enum Standing {
    Contending { read_at: Millis, seen: Option<Seen> },
    Holding { version: LockVersion, deadline: Millis, beat_at: Millis },
    Gone,
}

#[derive(Clone, Debug)]
struct Seen {
    version: LockVersion,
    since: Millis,
    duration: Millis,
}

#[derive(Clone, Debug)]
enum Slot {
    Free,
    /// The next thing to send.
    Due(Due),
    Reading,
    Writing(Attempt),
}

#[derive(Clone, Debug)]
enum Due {
    Read,
    Write { kind: Kind, condition: LockCondition, journal: Option<String> },
}

#[derive(Clone, Debug)]
struct Attempt {
    version: LockVersion,
    sent: Millis,
    kind: Kind,
    journal: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Take,
    Beat,
    Commit,
    Release,
}

impl Tenure {
    pub(super) fn new(settings: &ReconcileSettings, me: WorkerId, seed: u64, now: Millis) -> Self {
        Self {
            me,
            seed,
            nonces_made: 0,
            lease: settings.lease.into(),
            held_for: settings.tenure(),
            pause: Millis::from(settings.lease / CONTENDER_READS),
            standing: Standing::Contending { read_at: now, seen: None },
            slot: Slot::Free,
            retry_at: Millis(0),
            unsettled: Vec::new(),
            awaited: None,
            is_leaving: false,
        }
    }

    /// Until when the row is held, if it is.
    pub(super) fn deadline(&self) -> Option<Millis> {
        match &self.standing {
            Standing::Holding { deadline, .. } => Some(*deadline),
            Standing::Contending { .. } | Standing::Gone => None,
        }
    }

    /// Whether the row is held at `now`.
    pub(super) fn holds(&self, now: Millis) -> bool {
        self.deadline().is_some_and(|deadline| now < deadline)
    }

    /// When something is due.
    pub(super) fn wake_at(&self) -> Millis {
        if matches!(self.slot, Slot::Due(_)) {
            return self.retry_at.min(self.deadline().unwrap_or(Millis::MAX));
        }
        match (&self.standing, &self.slot) {
            (Standing::Contending { read_at, .. }, Slot::Free) => *read_at,
            (Standing::Holding { deadline, beat_at, .. }, Slot::Free) => *deadline.min(beat_at),
            (Standing::Holding { deadline, .. }, _) => *deadline,
            (Standing::Contending { .. } | Standing::Gone, _) => Millis::MAX,
        }
    }

    /// Lets go of a row whose deadline has passed.
    pub(super) fn handle_timeout(&mut self, now: Millis) -> Turn {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.lose(now, None)
        } else {
            Turn::Same
        }
    }

    /// The next call, if one is due and none is under way. Its condition names the version held now.
    pub(super) fn poll_request(&mut self, now: Millis) -> Option<Request> {
        if matches!(self.slot, Slot::Free) {
            match &mut self.standing {
                Standing::Contending { read_at, .. } if *read_at <= now => self.slot = Slot::Due(Due::Read),
                Standing::Holding { version, beat_at, deadline } if *beat_at <= now && now < *deadline => {
                    let condition = LockCondition::VersionAndOwner(version.clone(), self.me.clone());
                    self.slot = Slot::Due(Due::Write { kind: Kind::Beat, condition, journal: None });
                }
                Standing::Contending { .. } | Standing::Holding { .. } | Standing::Gone => {}
            }
        }
        if now < self.retry_at {
            return None;
        }
        match std::mem::replace(&mut self.slot, Slot::Free) {
            Slot::Due(Due::Read) => {
                self.slot = Slot::Reading;
                Some(Request::ReadRow)
            }
            Slot::Due(Due::Write { kind, condition, journal }) => {
                Some(Request::WriteRow(self.send(kind, condition, journal, now)))
            }
            other @ (Slot::Free | Slot::Reading | Slot::Writing(_)) => {
                self.slot = other;
                None
            }
        }
    }

    /// Whether a write of the journal can be queued.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.slot, Slot::Free)
    }

    /// Takes a row that was found free.
    pub(super) fn take(&mut self, condition: LockCondition, journal: String) {
        self.slot = Slot::Due(Due::Write { kind: Kind::Take, condition, journal: Some(journal) });
    }

    /// Writes the journal; answered by [`Turn::Committed`] or [`Turn::Lost`]. The slot must be free.
    pub(super) fn commit(&mut self, journal: String) {
        self.awaited = Some((Kind::Commit, Some(journal.clone())));
        self.write_held(Kind::Commit, Some(journal));
    }

    /// Gives the row back. The slot must be free.
    pub(super) fn release(&mut self) {
        self.is_leaving = true;
        if matches!(self.standing, Standing::Holding { .. }) {
            self.awaited = Some((Kind::Release, None));
            self.write_held(Kind::Release, None);
        } else {
            self.standing = Standing::Gone;
        }
    }

    /// Leaves without a word: others take over when the row has stood still.
    pub(super) fn abandon(&mut self) {
        self.slot = Slot::Free;
        self.standing = Standing::Gone;
    }

    /// Whether nothing will be asked for any more.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self.standing, Standing::Gone)
    }

    pub(super) fn handle_row(&mut self, row: Option<Row>, now: Millis) -> Turn {
        self.slot = Slot::Free;
        if let Some(attempt) = self.applied_before(row.as_ref()) {
            return self.applied(attempt, now);
        }
        match &self.standing {
            Standing::Holding { version, .. } => {
                if row.as_ref().is_some_and(|row| row.lock.version == *version) {
                    return self.write_again();
                }
                self.lose(now, row)
            }
            Standing::Contending { .. } => self.contend(row, now),
            Standing::Gone => Turn::Same,
        }
    }

    pub(super) fn handle_written(&mut self, now: Millis) -> Turn {
        match std::mem::replace(&mut self.slot, Slot::Free) {
            Slot::Writing(attempt) => self.applied(attempt, now),
            Slot::Free | Slot::Due(_) | Slot::Reading => Turn::Same,
        }
    }

    /// A refused write. An earlier one of the same content may have come first.
    pub(super) fn handle_refused(&mut self, current: Option<Row>, now: Millis) -> Turn {
        self.slot = Slot::Free;
        if let Some(attempt) = self.applied_before(current.as_ref()) {
            return self.applied(attempt, now);
        }
        self.lose(now, current)
    }

    /// A call of which nothing is known.
    pub(super) fn handle_unknown(&mut self, now: Millis) -> Turn {
        match std::mem::replace(&mut self.slot, Slot::Free) {
            Slot::Writing(attempt) => {
                if self.unsettled.len() == UNSETTLED_MAX {
                    return self.lose(now, None);
                }
                self.unsettled.push(attempt);
                self.slot = Slot::Due(Due::Read);
                Turn::Same
            }
            Slot::Reading => self.read_failed(now),
            Slot::Free | Slot::Due(_) => Turn::Same,
        }
    }

    /// A call that surely had no effect.
    pub(super) fn handle_failed(&mut self, now: Millis) -> Turn {
        match std::mem::replace(&mut self.slot, Slot::Free) {
            Slot::Writing(attempt) => match (&mut self.standing, attempt.kind) {
                (Standing::Holding { beat_at, .. }, Kind::Beat) => {
                    *beat_at = now + RETRY_PAUSE;
                    Turn::Same
                }
                (Standing::Holding { .. }, Kind::Commit | Kind::Release) => {
                    self.retry_at = now + RETRY_PAUSE;
                    self.write_held(attempt.kind, attempt.journal);
                    Turn::Same
                }
                (Standing::Contending { read_at, .. }, _) => {
                    *read_at = now + self.pause;
                    Turn::Same
                }
                (Standing::Holding { .. }, Kind::Take) | (Standing::Gone, _) => Turn::Same,
            },
            Slot::Reading => self.read_failed(now),
            Slot::Free | Slot::Due(_) => Turn::Same,
        }
    }

    fn read_failed(&mut self, now: Millis) -> Turn {
        match &mut self.standing {
            Standing::Contending { read_at, .. } => *read_at = now + self.pause,
            Standing::Holding { .. } => {
                self.retry_at = now + RETRY_PAUSE;
                self.slot = Slot::Due(Due::Read);
            }
            Standing::Gone => {}
        }
        Turn::Same
    }

    fn send(
        &mut self,
        kind: Kind,
        condition: LockCondition,
        journal: Option<String>,
        now: Millis,
    ) -> RowWrite {
        self.nonces_made += 1;
        let version = LockVersion::from(Nonce(u128::from(self.seed) << 64 | u128::from(self.nonces_made)));
        let lock = LeaderLock {
            owner: self.me.clone(),
            version: version.clone(),
            lease_duration: self.lease,
            is_released: kind == Kind::Release,
        };
        let write = RowWrite { condition, lock, journal: journal.clone() };
        self.slot = Slot::Writing(Attempt { version, sent: now, kind, journal });
        write
    }

    fn write_held(&mut self, kind: Kind, journal: Option<String>) {
        if let Standing::Holding { version, .. } = &self.standing {
            let condition = LockCondition::VersionAndOwner(version.clone(), self.me.clone());
            self.slot = Slot::Due(Due::Write { kind, condition, journal });
        }
    }

    /// The newest unsettled write again: it has not been applied, but may yet be.
    fn write_again(&mut self) -> Turn {
        if let Some(last) = self.unsettled.last() {
            let (kind, journal) = (last.kind, last.journal.clone());
            self.write_held(kind, journal);
        }
        Turn::Same
    }

    fn applied_before(&mut self, row: Option<&Row>) -> Option<Attempt> {
        let lock = &row?.lock;
        let place = self.unsettled.iter().position(|attempt| attempt.version == lock.version)?;
        (lock.owner == self.me).then(|| self.unsettled.swap_remove(place))
    }

    fn applied(&mut self, attempt: Attempt, now: Millis) -> Turn {
        self.unsettled.clear();
        if attempt.kind == Kind::Release {
            self.standing = Standing::Gone;
            return Turn::Released;
        }
        let deadline = attempt.sent + self.held_for;
        let was_holding = matches!(self.standing, Standing::Holding { .. });
        if deadline <= now {
            return if was_holding { self.lose(now, None) } else { self.contend_again(now) };
        }
        let beat_at = attempt.sent + Millis(self.lease.0 / BEATS_OF_A_LEASE);
        self.standing = Standing::Holding { version: attempt.version, deadline, beat_at };
        match attempt.kind {
            Kind::Take => Turn::Taken,
            Kind::Commit => {
                self.awaited = None;
                Turn::Committed
            }
            Kind::Beat | Kind::Release => {
                if let Some((kind, journal)) = self.awaited.clone() {
                    self.write_held(kind, journal);
                }
                Turn::Same
            }
        }
    }

    fn contend(&mut self, row: Option<Row>, now: Millis) -> Turn {
        let free = match &row {
            None => Some(LockCondition::Absent),
            Some(row) if row.lock.is_released => Some(LockCondition::Released),
            Some(row) => {
                let Standing::Contending { seen, .. } = &self.standing else { return Turn::Same };
                let stood_still = seen.as_ref().is_some_and(|seen| {
                    seen.version == row.lock.version && now.since(seen.since) > row.lock.lease_duration
                });
                stood_still.then(|| LockCondition::Version(row.lock.version.clone()))
            }
        };
        let journal = row.as_ref().map(|row| row.journal.clone());
        self.watch(row, now);
        free.map_or(Turn::Same, |condition| Turn::Free(condition, journal))
    }

    /// Notes the version seen, and looks again after a pause, or as soon as the row would have expired.
    fn watch(&mut self, row: Option<Row>, now: Millis) {
        let Standing::Contending { read_at, seen } = &mut self.standing else { return };
        let earlier = seen.take();
        *seen = row.map(|row| {
            let since = earlier.filter(|earlier| earlier.version == row.lock.version);
            Seen {
                since: since.map_or(now, |earlier| earlier.since),
                version: row.lock.version,
                duration: row.lock.lease_duration,
            }
        });
        let expiry = seen.as_ref().map(|seen| seen.since + seen.duration + Millis(1));
        let regular = now + self.pause;
        *read_at = expiry.filter(|at| *at > now).map_or(regular, |at| at.min(regular));
    }

    fn contend_again(&mut self, now: Millis) -> Turn {
        self.standing = Standing::Contending { read_at: now + self.pause, seen: None };
        Turn::Same
    }

    fn lose(&mut self, now: Millis, current: Option<Row>) -> Turn {
        let was_holding = matches!(self.standing, Standing::Holding { .. });
        self.slot = Slot::Free;
        self.unsettled.clear();
        self.awaited = None;
        if self.is_leaving {
            self.standing = Standing::Gone;
            return Turn::Released;
        }
        self.contend_again(now);
        if current.is_some() {
            self.watch(current, now);
        }
        if was_holding { Turn::Lost } else { Turn::Same }
    }
}

/// Beats within a lease: two may fail before the row is lost.
const BEATS_OF_A_LEASE: u64 = 3;
/// Reads of a contender within a lease.
const CONTENDER_READS: u32 = 3;
/// Lost replies in a row after which the row is let go.
const UNSETTLED_MAX: usize = 8;
/// Pause after a call that was throttled or failed.
const RETRY_PAUSE: Millis = Millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(name: &str, seed: u64) -> Tenure {
        let me = WorkerId::new(name).expect("valid");
        Tenure::new(&ReconcileSettings::default(), me, seed, Millis(0))
    }

    /// Sends what is due, applies it to the row, and gives the answer.
    fn call(tenure: &mut Tenure, row: &mut Option<Row>, now: Millis) -> Turn {
        match tenure.poll_request(now) {
            Some(Request::ReadRow) => tenure.handle_row(row.clone(), now),
            Some(Request::WriteRow(write)) => match write.apply(row) {
                Ok(()) => tenure.handle_written(now),
                Err(current) => tenure.handle_refused(current, now),
            },
            other => panic!("nothing is due: {other:?}"),
        }
    }

    fn holding(name: &str, seed: u64, row: &mut Option<Row>, now: Millis) -> Tenure {
        let mut tenure = tenure(name, seed);
        let Turn::Free(condition, _) = call(&mut tenure, row, now) else { panic!("the row is not free") };
        tenure.take(condition, "journal".to_owned());
        assert_eq!(call(&mut tenure, row, now), Turn::Taken);
        tenure
    }

    #[test]
    fn a_row_is_taken_only_after_it_has_stood_still_for_its_duration() {
        let mut row = None;
        let mut holder = holding("a", 1, &mut row, Millis(0));
        let mut other = tenure("b", 2);
        assert_eq!(call(&mut other, &mut row, Millis(0)), Turn::Same);
        assert_eq!(call(&mut holder, &mut row, Millis(20_000)), Turn::Same);
        assert_eq!(call(&mut other, &mut row, Millis(60_000)), Turn::Same, "a beat came in between");
        assert_eq!(other.wake_at(), Millis(80_000));
        assert_eq!(call(&mut other, &mut row, Millis(120_000)), Turn::Same, "exactly its duration");
        let turn = call(&mut other, &mut row, Millis(120_001));
        assert!(matches!(turn, Turn::Free(LockCondition::Version(_), Some(_))), "{turn:?}");
        assert!(
            !holder.holds(Millis(79_680)),
            "the holder let go before, at its beat's send time and its tenure"
        );
        assert_eq!(holder.handle_timeout(Millis(79_680)), Turn::Lost);
    }

    #[test]
    fn a_lost_reply_is_settled_by_what_the_row_shows() {
        let mut row = None;
        let mut holder = holding("a", 1, &mut row, Millis(0));
        holder.commit("second".to_owned());
        let Some(Request::WriteRow(write)) = holder.poll_request(Millis(5)) else { panic!("a write is due") };
        assert_eq!(write.apply(&mut row), Ok(()));
        assert_eq!(holder.handle_unknown(Millis(10_005)), Turn::Same);
        assert_eq!(call(&mut holder, &mut row, Millis(10_006)), Turn::Committed);
        assert_eq!(holder.deadline(), Some(Millis(5 + 59_680)), "counted from when it was sent");
    }

    #[test]
    fn a_write_that_comes_late_is_known_when_the_second_one_is_refused() {
        let mut row = None;
        let mut holder = holding("a", 1, &mut row, Millis(0));
        holder.commit("second".to_owned());
        let Some(Request::WriteRow(late)) = holder.poll_request(Millis(5)) else { panic!("a write is due") };
        holder.handle_unknown(Millis(10_005));
        assert_eq!(call(&mut holder, &mut row, Millis(10_006)), Turn::Same, "not applied yet");
        assert_eq!(late.apply(&mut row), Ok(()));
        assert_eq!(call(&mut holder, &mut row, Millis(10_007)), Turn::Committed);
        assert_eq!(row.map(|row| row.journal), Some("second".to_owned()));
    }

    #[test]
    fn a_late_beat_does_not_take_the_place_of_a_commit() {
        for is_commit_lost in [false, true] {
            let mut row = None;
            let mut holder = holding("a", 1, &mut row, Millis(0));
            let Some(Request::WriteRow(late)) = holder.poll_request(Millis(20_000)) else {
                panic!("a beat is due")
            };
            holder.handle_unknown(Millis(30_000));
            assert_eq!(call(&mut holder, &mut row, Millis(30_001)), Turn::Same, "not applied yet");
            assert!(holder.poll_request(Millis(30_002)).is_some(), "the beat again");
            assert_eq!(holder.handle_failed(Millis(30_003)), Turn::Same);
            holder.commit("second".to_owned());
            let Some(Request::WriteRow(commit)) = holder.poll_request(Millis(30_004)) else {
                panic!("a write is due")
            };
            assert_eq!(late.apply(&mut row), Ok(()));
            let current = commit.apply(&mut row).expect_err("conditional on the version before the beat");
            let turn = if is_commit_lost {
                holder.handle_unknown(Millis(40_000));
                call(&mut holder, &mut row, Millis(40_001))
            } else {
                holder.handle_refused(current, Millis(30_005))
            };
            assert_eq!(turn, Turn::Same);
            assert_eq!(call(&mut holder, &mut row, Millis(40_002)), Turn::Committed);
            assert_eq!(row.map(|row| row.journal), Some("second".to_owned()));
        }
    }

    #[test]
    fn a_deposed_holder_cannot_write_and_the_journal_is_the_successors() {
        let mut row = None;
        let mut holder = holding("a", 1, &mut row, Millis(0));
        let mut other = tenure("b", 2);
        call(&mut other, &mut row, Millis(0));
        let Turn::Free(condition, _) = call(&mut other, &mut row, Millis(60_001)) else { panic!("expired") };
        other.take(condition, "other".to_owned());
        assert_eq!(call(&mut other, &mut row, Millis(60_002)), Turn::Taken);
        holder.commit("late".to_owned());
        assert_eq!(call(&mut holder, &mut row, Millis(50_000)), Turn::Lost, "its clock is behind");
        assert_eq!(row.map(|row| row.journal), Some("other".to_owned()));
    }

    #[test]
    fn a_released_row_is_free_at_once_and_keeps_its_journal() {
        let mut row = None;
        let mut holder = holding("a", 1, &mut row, Millis(0));
        holder.release();
        assert_eq!(call(&mut holder, &mut row, Millis(1)), Turn::Released);
        assert!(holder.is_gone() && holder.poll_request(Millis(99_999)).is_none());
        let turn = call(&mut tenure("b", 2), &mut row, Millis(2));
        assert_eq!(turn, Turn::Free(LockCondition::Released, Some("journal".to_owned())));
    }

    #[test]
    fn a_throttled_store_is_not_called_without_a_pause() {
        let mut row = None;
        let mut holder = holding("a", 1, &mut row, Millis(0));
        holder.commit("second".to_owned());
        assert!(holder.poll_request(Millis(1)).is_some());
        assert_eq!(holder.handle_failed(Millis(2)), Turn::Same);
        assert_eq!(holder.poll_request(Millis(3)), None);
        assert_eq!(holder.wake_at(), Millis(502));
        assert_eq!(call(&mut holder, &mut row, Millis(502)), Turn::Committed);
    }
}
