//! A stream through nginx as people set it up: it arrives event by event, not when a buffer is
//! full.

use axum::body::Body;
use futures::channel::mpsc::unbounded;
use std::io::BufRead;
use tavora_tests::nginx::{Nginx, SENSIBLE};

use super::fixture::{Chat, DONE, event, events, hello_streamed};

#[tokio::test(flavor = "multi_thread")]
async fn events_come_one_by_one_through_nginx() {
    if !Nginx::is_there() {
        return;
    }
    for (directives, with_tls) in [("", false), (SENSIBLE, true)] {
        let (feed, pieces) = unbounded();
        let pieces = std::sync::Mutex::new(Some(pieces));
        let hosts = "[server]\nhosts = [\"vault.example.com\"]\n";
        let chat = Chat::configured(hosts, "", move |_| {
            let pieces = pieces.lock().expect("no holder panics").take();
            events(Body::from_stream(pieces.expect("it is asked once")))
        })
        .await;
        let nginx = Nginx::start(chat.serving.address, directives, with_tls);
        let mut stream = nginx.connect(&chat.completion(&hello_streamed("gpt-4o")));
        // Each event is read before the next one is sent. A buffer that waits for more would wait
        // for ever.
        for piece in [event("Hel"), event("lo"), DONE.to_owned()] {
            let sent = Ok::<_, std::io::Error>(piece.clone());
            feed.unbounded_send(sent).expect("it is read");
            let expected = piece.trim_end();
            let mut line = String::new();
            while line.trim_end() != expected {
                line.clear();
                let read = stream.read_line(&mut line).expect("it comes");
                assert_ne!(read, 0, "it ended before {expected}");
            }
        }
    }
}
