//! Tests that no job can end the thread, undo other jobs, or leave behind a change that it reports
//! as not done.

use std::time::Duration;

use tempfile::TempDir;

use super::{super::schema, *};

const BUSY: Duration = Duration::from_secs(5);

/// The end of a job, after its change.
type Ending = fn() -> Result<(), StoreError>;

/// A writer on a database with a table for these tests.
struct Fixture {
    writer: Arc<Writer>,
    other: Connection,
    _folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let connection = schema::open_writer(&path, BUSY).unwrap();
        let other = Connection::open(&path).unwrap();
        other.busy_timeout(BUSY).unwrap();
        other
            .execute_batch("CREATE TABLE done (what TEXT NOT NULL) STRICT")
            .unwrap();
        let writer = Writer::start(connection, SqliteOptions::default()).unwrap();
        Self {
            writer: Arc::new(writer),
            other,
            _folder: folder,
        }
    }

    /// Runs jobs in one group. Each inserts its name and then ends in the given way.
    async fn group<const N: usize>(
        &self,
        effect: Effect,
        jobs: [(&'static str, Ending); N],
    ) -> Vec<Result<(), StoreError>> {
        let commits = self.writer.stats().commits;
        // The jobs gather while this connection holds the write lock.
        self.other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let jobs = jobs.map(|(what, then)| {
            let writer = Arc::clone(&self.writer);
            let work = move |tx: &Connection| {
                tx.execute("INSERT INTO done VALUES (?)", [what])?;
                then()
            };
            tokio::spawn(async move { writer.write(effect, work).await })
        });
        // The test has one thread. Each job enters the queue at the moment when it begins to count
        // as waiting, so they keep their order.
        while self.writer.stats().waiting < N as u64 {
            time::sleep(Duration::from_millis(5)).await;
        }
        self.other.execute_batch("ROLLBACK").unwrap();
        let mut outcomes = Vec::new();
        for job in jobs {
            outcomes.push(job.await.unwrap());
        }
        assert!(
            self.writer.stats().commits - commits <= 1,
            "more than one group"
        );
        outcomes
    }

    fn done(&self) -> Vec<String> {
        let mut statement = self
            .other
            .prepare("SELECT what FROM done ORDER BY what")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn fine() -> Result<(), StoreError> {
    Ok(())
}

fn fails() -> Result<(), StoreError> {
    Err(StoreError::NotFound)
}

fn panics() -> Result<(), StoreError> {
    panic!("this panic is part of a test")
}

#[tokio::test]
async fn a_job_that_panics_fails_alone_and_leaves_nothing() {
    let fixture = Fixture::new();
    let jobs: [(_, Ending); 4] = [("a", fine), ("b", panics), ("c", fails), ("d", fine)];
    let outcomes = fixture.group(Effect::Changes, jobs).await;
    assert!(
        matches!(
            &outcomes[..],
            [
                Ok(()),
                Err(StoreError::Panicked),
                Err(StoreError::NotFound),
                Ok(())
            ]
        ),
        "{outcomes:?}"
    );
    assert_eq!(fixture.done(), ["a", "d"]);
    assert!(fixture.group(Effect::Changes, [("e", fine)]).await[0].is_ok());
    assert_eq!(fixture.done(), ["a", "d", "e"]);
}

/// Appends have no savepoint. One that breaks its promise and fails after its row takes its whole
/// group with it. That row must not be committed, and no caller may hear of a commit that was not
/// made.
#[tokio::test]
async fn an_append_that_fails_after_its_row_leaves_no_row() {
    let fixture = Fixture::new();
    for broken in [fails, panics] {
        let jobs: [(_, Ending); 2] = [("a", fine), ("b", broken)];
        let outcomes = fixture.group(Effect::Appends, jobs).await;
        assert!(
            outcomes.iter().all(Result::is_err),
            "{outcomes:?} while the table has {:?}",
            fixture.done()
        );
        assert_eq!(fixture.done(), [""; 0]);
    }
    assert!(fixture.group(Effect::Appends, [("c", fine)]).await[0].is_ok());
    assert_eq!(fixture.done(), ["c"]);
}
