//! Which layout a lease table has, told from what lies in it. Pure: adapters collect [`TableFacts`].
//!
//! ```text
//! no table, no siblings ─▶ Missing       siblings of the KCL 3.0–3.4 ─▶ ThreeLegacy
//! nothing in it ─────────▶ Empty         other hash key ─────────────▶ Heartbeat or NotALeaseTable
//! roster of another ─────▶ OtherOwner    migration not finished ─────▶ TwoX
//! leases with or beside items of the KCL 3.5 or of ours ─▶ ThreeSingle; leases alone ─▶ TwoX; anything else ─▶ Ambiguous
//! ```
//!
//! Only [`Layout::Missing`], [`Layout::Empty`] and [`Layout::ThreeSingle`] may be written: a second system of
//! assignment over the same leases would let two workers hold one.

use crate::port::{Application, OpenError};

/// What was found where a lease table is expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableFacts {
    /// The table's key, or `None` if there is no table.
    pub(crate) key: Option<TableKey>,
    /// Whether `<application>-CoordinatorState` or `<application>-WorkerMetricStats` exists.
    pub(crate) has_legacy_tables: bool,
    /// `cv` of the item `Migration3.0`.
    pub(crate) client_version: Option<String>,
    /// `tm` of the item `TableMigration3.5`.
    pub(crate) table_migration: Option<String>,
    /// Whose table the roster item says it is.
    pub(crate) claimed_by: Option<Application>,
    /// What a page of its items holds.
    pub(crate) sample: TableSample,
}

/// Key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableKey {
    /// Name of the hash key.
    pub(crate) hash: String,
    /// Whether there is a range key, too.
    pub(crate) has_range: bool,
}

/// Numbers of items of each kind in a page of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableSample {
    /// Lease rows that say that they are, as the KCL 3.5 and we write them.
    pub(crate) tagged_leases: usize,
    /// Lease rows without an entity type, as older writers make them.
    pub(crate) plain_leases: usize,
    /// Lease rows of an application that consumes several streams.
    pub(crate) multi_stream_leases: usize,
    /// Workers, leader, migration state and roster.
    pub(crate) companions: usize,
    /// Anything else.
    pub(crate) strangers: usize,
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// There is none; it may be created.
    Missing,
    /// It holds nothing.
    Empty,
    /// Everything in one table: what we write.
    ThreeSingle,
    /// Leases alone, assigned by KCL 2.x workers, or a migration from them that is not finished.
    TwoX {
        /// How it is known.
        sign: String,
    },
    /// Leases here, the rest in two sibling tables (KCL 3.0–3.4).
    ThreeLegacy,
    /// Our own opt-in layout, which this version does not write.
    Heartbeat,
    /// It serves several streams.
    MultiStream,
    /// It belongs to another application, stream, or to an earlier stream of the same name.
    OtherOwner {
        /// Whose it is.
        owner: Application,
    },
    /// Its key or its items are those of something else.
    NotALeaseTable {
        /// What was found.
        found: String,
    },
    /// The signs contradict each other.
    Ambiguous {
        /// Which.
        signs: String,
    },
}

/// The layout that the facts show to `application`.
pub(crate) fn detect(facts: &TableFacts, application: &Application) -> Layout {
    let sample = facts.sample;
    let Some(key) = &facts.key else {
        return if facts.has_legacy_tables { Layout::ThreeLegacy } else { Layout::Missing };
    };
    if key.hash == HEARTBEAT_KEY {
        return Layout::Heartbeat;
    }
    if key.hash != LEASE_KEY || key.has_range {
        let range = if key.has_range { " with a range key" } else { "" };
        return Layout::NotALeaseTable { found: format!("a table with hash key {}{range}", key.hash) };
    }
    if let Some(owner) = facts.claimed_by.as_ref().filter(|owner| *owner != application) {
        return Layout::OtherOwner { owner: owner.clone() };
    }
    if facts.has_legacy_tables && facts.table_migration.as_deref() != Some(TABLE_MIGRATION_COMPLETE) {
        return Layout::ThreeLegacy;
    }
    if sample.multi_stream_leases > 0 {
        return Layout::MultiStream;
    }
    if sample.strangers > 0 {
        return Layout::NotALeaseTable { found: format!("{} items of unknown kinds", sample.strangers) };
    }
    match facts.client_version.as_deref() {
        Some(CLIENT_VERSION_3X) => return Layout::ThreeSingle,
        Some(version) => return Layout::TwoX { sign: format!("Migration3.0 with cv = {version}") },
        None => {}
    }
    let is_ours = facts.claimed_by.is_some();
    match (sample.tagged_leases, sample.plain_leases, sample.companions) {
        (0, 0, 0) => Layout::Empty,
        (_, 0, _) => Layout::ThreeSingle,
        _ if is_ours => Layout::ThreeSingle,
        (0, plain, 0) => {
            Layout::TwoX { sign: format!("{plain} leases without an entity type and nothing else") }
        }
        (tagged, plain, companions) => Layout::Ambiguous {
            signs: format!(
                "{tagged} leases with and {plain} without an entity type, {companions} items of workers, leader or \
                 migration, but no client version"
            ),
        },
    }
}

impl Layout {
    /// `Ok` if the table may be written, else what was found and what to do.
    pub(crate) fn admit(self, table: &str) -> Result<(), OpenError> {
        let (found, remedy) = match self {
            Self::Missing | Self::Empty | Self::ThreeSingle => return Ok(()),
            Self::TwoX { sign } => (
                format!("KCL 2.x assigns its leases ({sign})"),
                "bring all workers to KCL 3.5 with client version 3X first, or use another table",
            ),
            Self::ThreeLegacy => (
                format!(
                    "KCL 3.0–3.4 keeps its state in {table}-CoordinatorState and {table}-WorkerMetricStats"
                ),
                "finish the table migration of KCL 3.5, or delete the two tables if no worker uses them, or use \
                 another table",
            ),
            Self::Heartbeat => (
                "it has the heartbeat layout".to_owned(),
                "use a version that writes that layout, or another table",
            ),
            Self::MultiStream => (
                "its leases are of several streams".to_owned(),
                "use another table: one application consumes one stream",
            ),
            Self::OtherOwner { owner } => (
                format!(
                    "it belongs to application {} on stream {} created at {}",
                    owner.name, owner.stream.arn, owner.stream.created_epoch_seconds
                ),
                "use another table, or delete this one if that stream is gone and its checkpoints with it",
            ),
            Self::NotALeaseTable { found } => (found, "use another table"),
            Self::Ambiguous { signs } => (
                format!("its layout is ambiguous: {signs}"),
                "use another table, or let a KCL 3.5 worker write Migration3.0 first",
            ),
        };
        Err(OpenError::Foreign { table: table.to_owned(), found, remedy: remedy.to_owned() })
    }
}

/// Hash key of every lease table that the Java KCL can read.
pub(crate) const LEASE_KEY: &str = "leaseKey";
/// Hash key of the heartbeat layout: another one, so that the Java KCL fails at once.
const HEARTBEAT_KEY: &str = "lhLeaseKey";
const CLIENT_VERSION_3X: &str = "CLIENT_VERSION_3X";
const TABLE_MIGRATION_COMPLETE: &str = "TABLE_MIGRATION_STATUS_COMPLETE";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::StreamIdentity;

    fn application() -> Application {
        let stream = StreamIdentity { arn: "arn:x:stream/s".to_owned(), created_epoch_seconds: 5 };
        Application { name: "app".to_owned(), stream }
    }

    fn facts(sample: TableSample) -> TableFacts {
        let key = Some(TableKey { hash: LEASE_KEY.to_owned(), has_range: false });
        TableFacts { key, sample, ..TableFacts::default() }
    }

    fn leases(tagged_leases: usize, plain_leases: usize, companions: usize) -> TableFacts {
        facts(TableSample { tagged_leases, plain_leases, companions, ..TableSample::default() })
    }

    fn refusal(facts: &TableFacts) -> String {
        detect(facts, &application()).admit("app").expect_err("must be refused").to_string()
    }

    #[test]
    fn what_may_be_written() {
        assert_eq!(detect(&TableFacts::default(), &application()), Layout::Missing);
        assert_eq!(detect(&leases(0, 0, 0), &application()), Layout::Empty);
        assert_eq!(detect(&leases(3, 0, 1), &application()), Layout::ThreeSingle);
        let of_java = TableFacts { client_version: Some(CLIENT_VERSION_3X.to_owned()), ..leases(0, 4, 3) };
        assert_eq!(detect(&of_java, &application()), Layout::ThreeSingle);
        let migrated = TableFacts {
            has_legacy_tables: true,
            table_migration: Some(TABLE_MIGRATION_COMPLETE.to_owned()),
            ..leases(1, 2, 2)
        };
        let migrated = TableFacts { client_version: Some(CLIENT_VERSION_3X.to_owned()), ..migrated };
        assert_eq!(detect(&migrated, &application()), Layout::ThreeSingle);
        let ours = TableFacts { claimed_by: Some(application()), ..leases(1, 1, 1) };
        assert_eq!(detect(&ours, &application()).admit("app").map_err(|error| error.to_string()), Ok(()));
    }

    #[test]
    fn older_fleets_are_refused_with_the_way_forward() {
        assert!(refusal(&leases(0, 4, 0)).contains("KCL 2.x assigns its leases (4 leases"));
        let upgrading = TableFacts {
            client_version: Some("CLIENT_VERSION_UPGRADE_FROM_2X".to_owned()),
            ..leases(0, 4, 2)
        };
        let text = refusal(&upgrading);
        assert!(text.contains("cv = CLIENT_VERSION_UPGRADE_FROM_2X"), "{text}");
        assert!(text.contains("bring all workers to KCL 3.5"), "{text}");
        let legacy = TableFacts { has_legacy_tables: true, ..leases(0, 4, 0) };
        assert!(refusal(&legacy).contains("app-CoordinatorState"));
        let orphaned = TableFacts { has_legacy_tables: true, ..TableFacts::default() };
        assert_eq!(detect(&orphaned, &application()), Layout::ThreeLegacy);
    }

    #[test]
    fn other_tables_are_refused() {
        let key = |hash: &str, has_range| TableFacts {
            key: Some(TableKey { hash: hash.to_owned(), has_range }),
            ..TableFacts::default()
        };
        assert!(refusal(&key("id", false)).contains("a table with hash key id"));
        assert!(refusal(&key(LEASE_KEY, true)).contains("with a range key"));
        assert!(refusal(&key(HEARTBEAT_KEY, false)).contains("heartbeat"));
        assert!(refusal(&leases(1, 1, 1)).contains("ambiguous"));
        let several = facts(TableSample { multi_stream_leases: 1, ..TableSample::default() });
        assert!(refusal(&several).contains("several streams"));
        let strange = facts(TableSample { strangers: 2, ..TableSample::default() });
        assert!(refusal(&strange).contains("2 items of unknown kinds"));
    }

    #[test]
    fn a_table_of_another_stream_or_an_earlier_one_of_the_same_name_is_refused() {
        let mut earlier = application();
        earlier.stream.created_epoch_seconds = 4;
        let claimed = TableFacts { claimed_by: Some(earlier), ..leases(1, 0, 1) };
        assert!(
            refusal(&claimed).contains("belongs to application app on stream arn:x:stream/s created at 4")
        );
    }
}
