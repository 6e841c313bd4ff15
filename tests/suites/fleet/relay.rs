//! The relay between hosts and PostgreSQL, tested with an echo server in PostgreSQL's place.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use tavora_tests::relay::Relay;
use tavora_tests::wire::connect;

/// A server that answers each byte with the next one, after it sent `name`.
fn server(name: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            thread::spawn(move || {
                let mut byte = [0];
                while matches!(stream.read(&mut byte), Ok(1)) {
                    let _ = stream.write_all(&[byte[0] + name]);
                }
            });
        }
    });
    address
}

fn ask(stream: &mut TcpStream, byte: u8) -> Result<u8> {
    stream.write_all(&[byte])?;
    hear(stream)
}

fn hear(stream: &mut TcpStream) -> Result<u8> {
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    Ok(answer[0])
}

#[track_caller]
fn is_silent(stream: &mut TcpStream) {
    let patience = stream.read_timeout().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert_eq!(hear(stream).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(patience).unwrap();
}

#[track_caller]
fn is_reset(outcome: Result<u8>) {
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn connections_stay_where_they_are_and_new_ones_go_elsewhere() {
    let relay = Relay::start(server(1));
    let mut old = connect(relay.address).unwrap();
    assert_eq!(ask(&mut old, 10).unwrap(), 11);
    relay.go_to(server(2));
    let mut new = connect(relay.address).unwrap();
    assert_eq!(ask(&mut new, 10).unwrap(), 12);
    assert_eq!(ask(&mut old, 10).unwrap(), 11);
    relay.reset();
    is_reset(hear(&mut old));
    is_reset(hear(&mut new));
    let mut new = connect(relay.address).unwrap();
    assert_eq!(ask(&mut new, 10).unwrap(), 12);
}

#[test]
fn what_was_said_in_silence_is_heard_later() {
    let relay = Relay::start(server(1));
    let mut old = connect(relay.address).unwrap();
    assert_eq!(ask(&mut old, 10).unwrap(), 11);
    relay.keep_silent();
    let mut new = connect(relay.address).unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(&[20]).unwrap();
        is_silent(stream);
    }
    relay.pass();
    assert_eq!(hear(&mut old).unwrap(), 21);
    assert_eq!(hear(&mut new).unwrap(), 21);
}

#[test]
fn what_is_asked_is_done_while_answers_are_withheld() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::start(listener.local_addr().unwrap());
    let mut client = connect(relay.address).unwrap();
    relay.withhold_answers();
    client.write_all(&[10]).unwrap();
    let mut served = listener.accept().unwrap().0;
    assert_eq!(hear(&mut served).unwrap(), 10);
    served.write_all(&[11]).unwrap();
    is_silent(&mut client);
    relay.reset();
    is_reset(hear(&mut client));
    // The reset reaches the server as well.
    assert!(hear(&mut served).is_err());
}

#[test]
fn what_is_cut_stays_cut_until_it_is_mended() {
    let relay = Relay::start(server(1));
    let mut old = connect(relay.address).unwrap();
    assert_eq!(ask(&mut old, 10).unwrap(), 11);
    relay.cut();
    is_reset(hear(&mut old));
    for _ in 0..3 {
        let mut new = connect(relay.address).unwrap();
        assert!(ask(&mut new, 10).is_err());
    }
    relay.pass();
    let mut new = connect(relay.address).unwrap();
    assert_eq!(ask(&mut new, 10).unwrap(), 11);
}

#[test]
fn a_server_that_is_away_is_a_reset() {
    let away = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let relay = Relay::start(away);
    let mut client = connect(relay.address).unwrap();
    is_reset(hear(&mut client));
}
