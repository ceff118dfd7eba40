//! Framing probes of our own: nothing malformed is forwarded, everything is answered as promised.
//!
//! Each probe for HTTP/1.1 runs three times: to a route that streams, whole and byte by byte, and to one whose bodies the
//! firewall reads first; each probe for HTTP/2 twice. What reached the back end is kept in `framing-probes.tsv` in the target folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite ends at the first surprise of its own set-up"
)]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::Protection;
use hop3_tests::framing::client::{Answers, exchange};
use hop3_tests::framing::http2::{Expected, StreamProbe};
use hop3_tests::framing::recorder::{Recorder, Seen};
use hop3_tests::framing::{Message, Probe, SENTINEL, http2, probes, shown};
use hop3_tests::front::{Front, protection};
use hop3_tests::http2_abuse::peer::{Reply, get};
use hop3_tests::http2_abuse::{Frame, Kind, Peer, hpack};
use hop3_tests::report::Report;

/// Promised: at least this many different probes.
const LEAST: usize = 300;

/// Reads bodies before they go on.
const RULES: &str = "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 1000000";

/// A new back end, so that nothing of an earlier probe is taken for this one's.
async fn lead_to_new_recorder(front: &Front, protection: Option<&Arc<Protection>>) -> Recorder {
    let recorder = Recorder::start().await;
    front.lead_through(recorder.address, protection);
    recorder
}

/// Why the outcome is not the promised one; empty when it is.
fn judge(probe: &Probe, answers: &Answers, seen: &Seen) -> String {
    let mut why = String::new();
    if !seen.malformed.is_empty() {
        let _ = write!(why, "malformed at the back end: {:?}; ", seen.malformed);
    }
    if seen.complete != probe.forwarded {
        let _ = write!(why, "the back end saw {:?}, promised {:?}; ", seen.complete, probe.forwarded);
    }
    if answers.statuses != probe.statuses {
        let _ = write!(why, "answered {:?}, promised {:?}; ", answers.statuses, probe.statuses);
    }
    if !answers.closed || !answers.announced {
        let _ = write!(why, "closed: {}, announced: {}; ", answers.closed, answers.announced);
    }
    why
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_malformed_is_forwarded() {
    let mut report = Report::new("framing");
    let mut table = String::from("probe\tway\tsent\tanswers\treached the back end\n");
    http1(&mut report, &mut table).await;
    http2(&mut report, &mut table).await;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("framing-probes.tsv"), table).unwrap();
    report.print();
    assert!(report.failed().is_empty(), "{} of {} failed", report.failed().len(), report.judged());
}

/// What reached a back end, connection by connection.
fn reached(seen: &Seen) -> String {
    let connections: Vec<String> = seen.connections.iter().map(|bytes| shown(bytes)).collect();
    connections.join(" | ")
}

async fn http1(report: &mut Report, table: &mut String) {
    let probes = probes();
    let names: HashSet<&str> = probes.iter().map(|probe| &probe.name[..]).collect();
    assert_eq!(names.len(), probes.len(), "names are unique");
    assert!(probes.len() >= LEAST, "{} probes", probes.len());
    let runs =
        [("streamed", false, usize::MAX), ("inspected", true, usize::MAX), ("streamed bytewise", false, 1)];
    let mut outcomes = Vec::new();
    for (way, inspect, step) in runs {
        let front = Front::start(|_| {});
        let (address, protection) = (front.http(), inspect.then(|| protection(RULES)));
        for probe in &probes {
            if step == 1 && probe.bytes.len() > 2_000 {
                continue;
            }
            let recorder = lead_to_new_recorder(&front, protection.as_ref()).await;
            let answers = exchange(address, &[&probe.bytes[..], SENTINEL].concat(), step).await;
            outcomes.push((way, probe, answers, recorder));
        }
    }
    // What is still on its way to a back end arrives now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (way, probe, answers, recorder) in outcomes {
        let seen = recorder.seen();
        let sent = shown(&probe.bytes);
        let _ = writeln!(
            table,
            "{}\t{way}\t{}\t{:?}\t{}",
            probe.name.escape_debug(),
            sent.get(..2_000).unwrap_or(&sent),
            answers.statuses,
            reached(&seen)
        );
        match judge(probe, &answers, &seen) {
            why if why.is_empty() => report.pass(),
            why => report.fail(format!("{} ({way})", probe.name), why),
        }
    }
}

/// Why a stream's outcome is not the promised one.
fn judge_stream(probe: &StreamProbe, reply: &Reply, alive: Option<u16>, seen: &Seen) -> String {
    let mut why = String::new();
    if !seen.malformed.is_empty() {
        let _ = write!(why, "malformed at the back end: {:?}; ", seen.malformed);
    }
    let sentinel = Message::sentinel();
    let complete: Vec<&Message> = seen.complete.iter().filter(|message| **message != sentinel).collect();
    let refused = reply.reset.is_some() || reply.goaway.is_some() || reply.closed;
    let answered = reply.status();
    let right = match &probe.expected {
        Expected::Refused => complete.is_empty() && (refused || matches!(answered, Some(400..=499))),
        Expected::Status(status) => complete.is_empty() && answered == Some(*status),
        Expected::Served(message) => complete == [message] && answered == Some(200) && reply.ended,
    };
    if !right {
        let _ = write!(why, "{reply:?}, the back end saw {complete:?}, promised {:?}; ", probe.expected);
    }
    // A refused stream must not take the connection's others with it unless the connection was given up.
    if alive != Some(200) && reply.goaway.is_none() && !reply.closed {
        let _ = write!(why, "the next stream got {alive:?}; ");
    }
    why
}

async fn http2(report: &mut Report, table: &mut String) {
    let probes = http2::probes();
    let names: HashSet<&str> = probes.iter().map(|probe| &probe.name[..]).collect();
    assert_eq!(names.len(), probes.len(), "names are unique");
    let limit = Duration::from_secs(20);
    let mut outcomes = Vec::new();
    for inspect in [false, true] {
        let front = Front::start(|_| {});
        let (address, protection) = (front.https(), inspect.then(|| protection(RULES)));
        for probe in &probes {
            let recorder = lead_to_new_recorder(&front, protection.as_ref()).await;
            let mut peer = Peer::connect(address, "shop.test").await;
            // A connection that was given up half-way shows in the reply.
            let _ = peer.send(&probe.frames).await;
            let stream = probe.frames[0].stream;
            let mut reply = Reply::default();
            if probe.frames.iter().any(|frame| frame.is(Kind::RstStream)) {
                reply.reset = Some(8);
            } else {
                reply = peer.reply(stream.max(1), limit).await;
            }
            let mut alive = None;
            if reply.goaway.is_none() && !reply.closed {
                let block = hpack::literals(get("/sentinel"));
                if peer.send(&[Frame::headers(3, true, block)]).await.is_ok() {
                    let next = peer.reply(3, limit).await;
                    alive = next.status();
                    reply.goaway = next.goaway;
                }
            }
            outcomes.push((inspect, probe, reply, alive, recorder));
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (inspect, probe, reply, alive, recorder) in outcomes {
        let seen = recorder.seen();
        let way = if inspect { "HTTP/2, inspected" } else { "HTTP/2, streamed" };
        let mut sent = Vec::new();
        probe.frames.iter().for_each(|frame| frame.write(&mut sent));
        let sent = shown(&sent);
        let _ = writeln!(
            table,
            "{}\t{way}\t{}\t{:?} {:?} {:?}\t{}",
            probe.name.escape_debug(),
            sent.get(..2_000).unwrap_or(&sent),
            reply.statuses,
            reply.reset,
            reply.goaway,
            reached(&seen)
        );
        match judge_stream(probe, &reply, alive, &seen) {
            why if why.is_empty() => report.pass(),
            why => report.fail(format!("{} ({way})", probe.name), why),
        }
    }
}
