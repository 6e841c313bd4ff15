//! Mistakes about the database of several hosts, and faults of that database. Each gives one
//! sentence that names the database, says what is wrong, and says what to do. The password is in no
//! message and no log, encoded or not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tavora_tests::binary::{Ended, end, host, run};
use tavora_tests::postgres::{Database, PASSWORD, PASSWORD_IN_URL, Postgres, Shutdown, USER};
use tavora_tests::process::free_address;
use tavora_tests::serving::Serving;
use tavora_tests::wire::Request;

/// A folder whose configuration names this database.
fn folder(url: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), url);
    folder
}

fn configure(folder: &Path, url: &str) {
    let file = folder.join("tavora.toml");
    fs::write(&file, config(url)).unwrap();
    // The file may hold the password.
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

fn config(url: &str) -> String {
    format!("[storage]\nurl = {url:?}\n[storage.postgres]\nconnect_timeout_ms = 2000\n")
}

fn without_password(url: &str) -> String {
    url.replace(&format!(":{PASSWORD_IN_URL}"), "")
}

/// Checks that the text contains no form of the password.
#[track_caller]
fn keeps_to_itself(said: &str) {
    for form in [PASSWORD, PASSWORD_IN_URL, "7f3d"] {
        assert!(!said.contains(form), "{said}");
    }
}

/// Checks that a command and a host print the same error and end with status 1.
#[track_caller]
fn refused(url: &str, says: &str) {
    let folder = folder(url);
    for arguments in [
        &["secret", "list"][..],
        &["app", "list"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let mut command = host(folder.path());
        command.args(arguments).env("RUST_LOG", "off");
        let ended = end(command);
        let expected = format!("error: {}: {says}\n", without_password(url));
        assert_eq!(ended.stderr, expected, "{arguments:?}");
        assert_eq!((ended.status, &*ended.stdout), (1, ""), "{ended:?}");

        // Even with all logging enabled.
        let mut command = host(folder.path());
        command.args(arguments).env("RUST_LOG", "trace");
        let ended = end(command);
        keeps_to_itself(&format!("{ended:?}"));
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
}

#[test]
fn who_may_not_come_in_is_told_so() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database().url();
    const DENIED: &str = "the database server refuses the user; check user and password (TAVORA_STORAGE_PASSWORD or the storage URL)";
    for wrong in [
        url.replace(PASSWORD_IN_URL, "guessed-7f3d"),
        url.replace(USER, "nobody"),
        without_password(&url),
    ] {
        let shown = wrong.replace(":guessed-7f3d", "");
        let ended = run(folder(&wrong).path(), &["app", "list"]);
        keeps_to_itself(&format!("{ended:?}"));
        let shown = without_password(&shown);
        assert_eq!(ended.stderr, format!("error: {shown}: {DENIED}\n"));
        assert_eq!(ended.status, 1);
    }
    refused(&url.replace(USER, "nobody"), DENIED);
}

#[test]
fn a_database_or_server_that_is_not_there_is_said_to_be_missing() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    refused(
        &database.url().replace(&database.name, "absent"),
        "the database server has no database of that name; create it, or correct the storage URL",
    );
    let nobody = |cause: &str| {
        format!(
            "the database cannot be reached ({cause}); check that its server runs, and the host and port in the storage URL"
        )
    };
    refused(
        &database.url_at(free_address()),
        &nobody("Connection refused (os error 111)"),
    );
    let address = postgres.address.to_string();
    let nowhere = database.url().replace(&address, "nowhere.invalid");
    let ended = run(
        folder(&format!("{nowhere}?sslmode=disable")).path(),
        &["app", "list"],
    );
    keeps_to_itself(&format!("{ended:?}"));
    let (begin, end) = (
        format!("error: {}", without_password(&nowhere)),
        "check that its server runs, and the host and port in the storage URL\n",
    );
    assert!(
        ended.stderr.starts_with(&begin) && ended.stderr.ends_with(end),
        "{ended:?}"
    );
}

#[test]
fn a_schema_of_another_version_or_program_is_left_alone() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let newer = postgres.database();
    assert_eq!(run(folder(&newer.url()).path(), &["app", "list"]).status, 0);
    let known = newer.query("SELECT max(version) FROM schema_history");
    newer.query("INSERT INTO schema_history SELECT 9999, 'later', applied_on, checksum FROM schema_history LIMIT 1");
    refused(
        &newer.url(),
        &format!(
            "the database has schema version 9999 and this program knows versions up to {known}; use a newer program"
        ),
    );

    // The user of this host owns no table, and the schema is older than this program needs.
    let older = postgres.database();
    older.query(&format!(
        "ALTER DATABASE {} OWNER TO CURRENT_USER; REASSIGN OWNED BY {USER} TO CURRENT_USER;
         REVOKE CREATE ON SCHEMA public FROM {USER}",
        older.name
    ));
    refused(
        &older.url(),
        &format!(
            "the database has schema version 0 and this program needs {known}, and its user may not change tables; start once as the owner of the tables"
        ),
    );

    let other = postgres.database();
    other
        .query_at(&other.url(), "CREATE TABLE apps (title text)")
        .unwrap();
    refused(
        &other.url(),
        "the database holds tables of something else; choose an empty one",
    );
    assert_eq!(other.query("SELECT count(*) FROM apps"), "0");
    assert_eq!(other.query("SELECT to_regclass('audit') IS NULL"), "t");
}

#[test]
fn a_standby_is_not_taken_for_the_primary() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database();
    const STANDBY: &str = "the database is a read-only replica or was made read-only; point the storage URL at the primary server";
    let empty = postgres.database();
    assert_eq!(
        run(folder(&database.url()).path(), &["app", "list"]).status,
        0
    );
    let standby = postgres.standby();
    standby.catch_up(&postgres);
    // A standby of a database with the schema, and one of a database without it.
    for name in [&database.name, &empty.name] {
        refused(&standby.database_named(name).url(), STANDBY);
    }
    // The operator made this primary read-only.
    database.query(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        database.name
    ));
    refused(&database.url(), STANDBY);
}

#[test]
fn a_server_that_is_full_says_so() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    database.query(&format!(
        "ALTER DATABASE {} CONNECTION LIMIT 0",
        database.name
    ));
    refused(
        &database.url(),
        "the database server takes no more connections; lower max_connections of the hosts or raise it at the server",
    );
}

#[test]
fn tls_is_verified_wherever_it_is_demanded() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database();
    let demanded = format!("{}?sslmode=require", database.url());
    refused(
        &demanded,
        "the database server speaks no TLS, and the storage URL demands it; enable it there, or add sslmode=disable on a network that nobody else is on",
    );

    let authority = postgres.turn_on_tls(&["localhost"]);
    let trusting =
        |url: &str, authority: &Path| format!("{url}&sslrootcert={}", authority.display());
    let by_name = demanded.replace("127.0.0.1", "localhost");
    let unverified = |url: &str, cause: &str| {
        let ended = run(folder(url).path(), &["app", "list"]);
        keeps_to_itself(&format!("{ended:?}"));
        let begin = format!(
            "error: {}: the database server could not be verified ({cause}",
            without_password(url)
        );
        assert!(
            ended.stderr.starts_with(&begin) && ended.stderr.ends_with(
                "check the host in the storage URL, or name its authority with sslrootcert=FILE\n"
            ),
            "{ended:?}"
        );
        assert_eq!(ended.status, 1);
    };
    // The certificate is issued by nobody that this machine trusts, by another authority than the
    // trusted one, or for another name.
    unverified(&by_name, "");
    let other = tempfile::tempdir().unwrap();
    let other = other_authority(other.path());
    unverified(&trusting(&by_name, &other), "");
    unverified(&trusting(&demanded, &authority), "");
    // `verify-ca` differs from its meaning elsewhere: it also verifies the name.
    let weaker = demanded.replace("require", "verify-ca");
    unverified(&trusting(&weaker, &authority), "");

    let serving = Serving::start_with(&config(&trusting(&by_name, &authority)), |_| ());
    assert_eq!(serving.send(&Request::new("GET", "/readyz")).status, 200);
    const IN_USE: &str = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'tavora'";
    assert_eq!(database.query(IN_USE), "t");
    drop(serving);

    // A connection within this machine needs no TLS.
    let ended = run(folder(&database.url()).path(), &["app", "list"]);
    assert_eq!(ended.status, 0, "{ended:?}");
}

fn other_authority(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("other.pem");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(&path, other.cert.pem()).unwrap();
    path
}

#[test]
fn the_password_may_come_from_the_environment_or_a_file() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let folder = folder(&without_password(&database.url()));
    let with = |password: &str, arguments: &[&str]| {
        let mut command = host(folder.path());
        command.args(arguments);
        command.env("TAVORA_STORAGE_PASSWORD", password);
        let ended = end(command);
        keeps_to_itself(&format!("{ended:?}"));
        ended
    };
    let ended = with(PASSWORD, &["secret", "list"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.contains("tavora-host app create NAME"),
        "an empty database: {ended:?}"
    );

    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let reference = format!("file://{}", file.display());
    assert_eq!(with(&reference, &["app", "create", "shop"]).stderr, "");
    assert!(with(PASSWORD, &["app", "list"]).stdout.contains("shop"));
    assert_eq!(with("guessed", &["app", "list"]).status, 1);
}

#[test]
fn a_configuration_with_the_password_that_others_can_read_is_warned_of() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let folder = folder(&postgres.database().url());
    let list = || run(folder.path(), &["app", "list"]);
    assert_eq!(list().stderr, "");
    let file = folder.path().join("tavora.toml");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let Ended { stderr, status, .. } = list();
    assert_eq!(status, 0);
    assert!(
        stderr.contains("other users can read the database's password"),
        "{stderr}"
    );
    assert!(stderr.contains("tavora.toml") && stderr.contains("TAVORA_STORAGE_PASSWORD"));
    keeps_to_itself(&stderr);
}

#[test]
fn a_host_says_where_its_data_is_and_a_client_is_not_told() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let database = postgres.database();
    let config = config(&database.url()) + "host_name = \"host-1\"\n";
    let serving = Serving::start_with(&config, |command| {
        command.env("RUST_LOG", "trace");
    });
    let said = format!(
        "the data is in {}; the audit calls this host host-1\n",
        without_password(&database.url())
    );
    assert!(serving.log().contains(&said), "{}", serving.log());
    let app = serving.make_app("shop");
    assert_eq!(chains(&database), "host-1");

    postgres.stop(Shutdown::Fast);
    let list = Request::new("GET", "/api/sdk/secret-vaults").header("x-api-key", &app.key);
    for request in [list, Request::new("GET", "/readyz")] {
        let answer = serving.send(&request);
        assert_eq!(answer.status, 503, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["code"], "vault_unavailable");
        let body = body.to_string();
        keeps_to_itself(&body);
        assert!(!body.contains("postgres") && !body.contains(USER), "{body}");
    }
    postgres.start_again();
    assert_eq!(serving.send(&Request::new("GET", "/readyz")).status, 200);
    keeps_to_itself(&serving.log());
}

fn chains(database: &Database) -> String {
    database.query("SELECT DISTINCT chain FROM audit")
}
