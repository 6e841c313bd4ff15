//! Faults of PostgreSQL while several hosts use it. Requests are refused clearly and soon.
//! Everything works again without a restart of any host, and nothing acknowledged is lost.
//!
//! Each test prints what clients saw.

mod crowd;
mod disk;
mod doubt;
mod hosts;
mod record;
mod site;

use tavora_tests::postgres::{Postgres, Shutdown};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use self::crowd::Crowd;
use self::site::{OPERATION, SLACK, Site};

#[test]
fn a_restart_is_an_interruption() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    for how in [Shutdown::Fast, Shutdown::Immediate] {
        let crowd = Crowd::start(&site);
        postgres.stop(how);
        postgres.start_again();
        let seen = crowd.end(&mut site, &format!("restarted ({how:?})"));
        seen.is_bounded(OPERATION + SLACK, SLACK);
    }
    site.reckon();
}

#[test]
fn a_kill_is_an_interruption() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    let crowd = Crowd::start(&site);
    postgres.kill();
    crowd.is_refused_everywhere();
    postgres.start_again();
    let seen = crowd.end(&mut site, "killed, and started again");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(OPERATION + SLACK, SLACK);
    site.reckon();
}

#[test]
fn a_pause_is_told_in_time() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    let crowd = Crowd::start(&site);
    postgres.pause();
    crowd.is_refused_everywhere();
    postgres.resume();
    let seen = crowd.end(&mut site, "paused");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(OPERATION + SLACK, SLACK);
    site.reckon();
}

#[test]
fn a_server_that_takes_no_more_connections_is_told() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    postgres.set("max_connections", "30");
    postgres.stop(Shutdown::Fast);
    postgres.start_again();
    let mut site = Site::start(&postgres, 2);
    let crowd = Crowd::start(&site);
    for relay in &site.relays {
        relay.cut();
    }
    let runtime = Runtime::new().unwrap();
    let taken = runtime.block_on(all_connections(&site.database.url()));
    for relay in &site.relays {
        relay.pass();
    }
    crowd.is_refused_everywhere();
    let said = "the database server takes no more connections";
    let refused = site.doors.put(0, "refused", "a value").unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    site.is_logged(said);
    drop(taken);
    // Dropping the runtime ends its connections.
    drop(runtime);
    let seen = crowd.end(&mut site, "out of connections");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(SLACK, SLACK);
    site.reckon();
}

/// Takes connections as long as there are any.
async fn all_connections(url: &str) -> Vec<Client> {
    let mut taken: Vec<Client> = Vec::new();
    // The hosts' connections may end a moment later.
    let hosts = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tavora-host'";
    let mut are_left = true;
    while are_left {
        if let Some(client) = taken.first() {
            let left: i64 = client.query_one(hosts, &[]).await.unwrap().get(0);
            are_left = left > 0;
        }
        while let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await {
            tokio::spawn(connection);
            taken.push(client);
        }
    }
    assert!(taken.len() > 10, "{}", taken.len());
    taken
}

#[test]
fn a_failover_loses_nothing_that_was_acknowledged() {
    let Some(mut primary) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&primary, 2);
    let mut standby = primary.standby();
    primary.set("synchronous_standby_names", "*");
    let crowd = Crowd::start(&site);
    primary.kill();
    // The standby is not promoted yet.
    for relay in &site.relays {
        relay.go_to(standby.address);
        relay.reset();
    }
    crowd.is_refused_everywhere();
    let refused = site.doors.put(0, "refused", "a value").unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    let said = "the database is a read-only replica";
    site.is_logged(said);
    standby.promote();
    let name = site.database.name.clone();
    site.database = standby.database_named(&name);
    let seen = crowd.end(&mut site, "failed over to a synchronous standby");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(OPERATION + SLACK, SLACK);
    site.reckon();
}
