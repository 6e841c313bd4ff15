//! Tests of the tests' own PostgreSQL: if it were not what it claims to be, the other tests would
//! prove nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tavora_tests::eventually::wait_until;
use tavora_tests::postgres::{Database, PASSWORD, PASSWORD_IN_URL, Postgres, Shutdown, USER};

/// Set in a process that a test starts only to kill it.
const TO_BE_KILLED: &str = "TAVORA_TEST_TO_BE_KILLED";

const WHO: &str = "SELECT current_user";

/// Makes a table with one row.
fn fill(database: &Database) {
    let made = database.query_at(
        &database.url(),
        "CREATE TABLE t (n int); INSERT INTO t VALUES (1)",
    );
    made.unwrap();
}

#[track_caller]
fn rows(database: &Database) -> String {
    database.query("SELECT count(*) FROM t")
}

#[test]
fn it_is_an_ordinary_users_and_durable() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let process = format!("/proc/{}", postgres.process_id().unwrap());
    assert_ne!(fs::metadata(process).unwrap().uid(), 0);
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(postgres.query(&format!("SHOW {setting}")), "on");
    }
}

#[test]
fn the_password_is_asked_for_on_every_way_in() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    for url in [database.url(), postgres.socket_url(&database)] {
        assert_eq!(database.query_at(&url, WHO).unwrap(), USER);
        let wrong = url.replace(PASSWORD_IN_URL, "guessed");
        let refused = database.query_at(&wrong, WHO).unwrap_err();
        assert!(
            refused.contains("password authentication failed"),
            "{refused}"
        );
    }
    assert!(!postgres.log().contains(PASSWORD));
}

#[test]
fn the_hosts_user_owns_its_database_and_nothing_else() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let (one, other) = (postgres.database(), postgres.database());
    fill(&one);
    let missing = other.try_query("TABLE t").unwrap_err();
    assert!(missing.contains("does not exist"), "{missing}");
    for privileged in ["CREATE EXTENSION file_fdw", "CREATE DATABASE more"] {
        let refused = one.query_at(&one.url(), privileged).unwrap_err();
        assert!(refused.contains("permission denied"), "{refused}");
    }
}

#[test]
fn what_was_committed_is_there_after_every_end() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database();
    fill(&database);
    postgres.kill();
    assert!(database.try_query(WHO).is_err(), "the cluster was killed");
    postgres.start_again();
    assert_eq!(rows(&database), "1");
    assert!(postgres.log().contains("was not properly shut down"));
    for how in [Shutdown::Immediate, Shutdown::Fast] {
        postgres.stop(how);
        assert!(database.try_query(WHO).is_err(), "{how:?}");
        postgres.start_again();
        assert_eq!(rows(&database), "1", "{how:?}");
    }
}

#[test]
fn what_is_paused_answers_later() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database();
    postgres.pause();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| database.query(WHO));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!answer.is_finished(), "the cluster is paused");
        postgres.resume();
        assert_eq!(answer.join().unwrap(), "admin");
    });
    // Dropping a paused cluster ends it too.
    postgres.pause();
}

#[test]
fn parameters_are_set() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database();
    postgres.set("statement_timeout", "1s");
    let refused = database.try_query("SELECT pg_sleep(60)").unwrap_err();
    assert!(refused.contains("statement timeout"), "{refused}");
    postgres.set("max_connections", "7");
    postgres.stop(Shutdown::Fast);
    postgres.start_again();
    assert_eq!(postgres.query("SHOW max_connections"), "7");
}

#[test]
fn tls_is_talked_with_its_certificate() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database();
    let url = |more: &str| format!("{}?{more}", database.url());
    let is_tls = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let refused = database.query_at(&url("sslmode=require"), is_tls);
    assert!(refused.unwrap_err().contains("does not support SSL"));

    let root = postgres.turn_on_tls(&["127.0.0.1"]);
    let full = format!("sslmode=verify-full&sslrootcert={}", root.display());
    assert_eq!(database.query_at(&url(&full), is_tls).unwrap(), "t");
    let elsewhere = url(&full).replace("127.0.0.1", "localhost");
    let refused = database.query_at(&elsewhere, is_tls).unwrap_err();
    assert!(refused.contains("does not match host name"), "{refused}");

    let old = root.with_extension("old");
    fs::copy(&root, &old).unwrap();
    assert_eq!(postgres.turn_on_tls(&["127.0.0.1"]), root);
    assert_eq!(database.query_at(&url(&full), is_tls).unwrap(), "t");
    let other = full.replace("authority.pem", "authority.old");
    let refused = database.query_at(&url(&other), is_tls).unwrap_err();
    assert!(refused.contains("SSL error"), "{refused}");
}

#[test]
fn a_standby_follows_and_is_promoted() {
    let Some(mut primary) = Postgres::start() else {
        return;
    };
    let database = primary.database();
    let mut standby = primary.standby();
    fill(&database);
    standby.catch_up(&primary);
    let copy = standby.database_named(&database.name);
    assert_eq!(rows(&copy), "1");
    let insert = "INSERT INTO t VALUES (2)";
    let refused = copy.query_at(&copy.url(), insert).unwrap_err();
    assert!(refused.contains("read-only transaction"), "{refused}");

    // From now on a commit waits for the standby, so its absence holds the commit up.
    primary.set("synchronous_standby_names", "*");
    standby.pause();
    std::thread::scope(|scope| {
        let done = scope.spawn(|| database.query(insert));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!done.is_finished(), "the standby is paused");
        standby.resume();
        done.join().unwrap();
    });
    primary.kill();
    standby.promote();
    assert_eq!(rows(&copy), "2");
    copy.query_at(&copy.url(), insert).unwrap();
    assert_eq!(rows(&copy), "3");
}

#[test]
fn nothing_of_it_is_left() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let (id, data) = of(&postgres);
    drop(postgres);
    assert!(!is_left(id, &data), "{data}");
}

#[test]
fn nothing_of_it_is_left_when_the_tests_are_killed() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        let postgres = Postgres::start().unwrap();
        let (id, data) = of(&postgres);
        println!("cluster {id} {data}");
        std::thread::park();
    }
    if Postgres::shared().is_none() {
        return;
    }
    let mut tests = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("cluster::nothing_of_it_is_left_when_the_tests_are_killed")
        .env(TO_BE_KILLED, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tests.stdout.take().unwrap()).lines();
    let (id, data) = lines
        .find_map(|line| {
            let line = line.unwrap();
            let (id, data) = line.split_once("cluster ")?.1.split_once(' ')?;
            Some((id.parse().unwrap(), data.to_owned()))
        })
        .unwrap();
    assert!(is_left(id, &data));
    tests.kill().unwrap();
    tests.wait().unwrap();
    wait_until("is gone", || !is_left(id, &data));
}

fn of(postgres: &Postgres) -> (u32, String) {
    let data = postgres.query("SHOW data_directory");
    (postgres.process_id().unwrap(), data)
}

/// Whether the process or the folder around the data still exists.
fn is_left(id: u32, data: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // A process that nobody waits for is a zombie.
    let is_running = !status.is_empty() && !status.contains(") Z ");
    is_running || Path::new(data).parent().unwrap().exists()
}
