//! A load of constant rate over kept-alive connections, every answer checked.
//!
//! Each connection has a thread and a timetable of its own, so that no request
//! waits for another one's answer and nothing is sent in bursts. Times are
//! taken from sending to the last byte of the answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::corpus::{Expect, Request};

/// What is sent where.
#[derive(Clone, Copy, Debug)]
pub struct Load<'r> {
    /// The server.
    pub address: SocketAddr,
    /// The `Host` of all requests.
    pub host: &'r str,
    /// They are sent in turn, each connection beginning at another one.
    pub requests: &'r [Request],
    /// Kept-alive connections.
    pub connections: usize,
    /// Requests per second, all connections together.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Times of the benign requests.
    pub latencies: Vec<Duration>,
    /// Answers, attacks included.
    pub answers: usize,
    /// Refused attacks.
    pub refused: usize,
    /// Attacks that were let through, benign requests that were refused: up to ten, in words.
    pub wrong: Vec<String>,
    /// All of those.
    pub wrong_count: usize,
    /// Connections that broke before an answer was complete.
    pub broken: usize,
}

impl Load<'_> {
    /// Runs it.
    pub fn run(&self) -> Outcome {
        let wires: Vec<Vec<u8>> = self.requests.iter().map(|request| self.wire(request)).collect();
        let begin = Instant::now() + Duration::from_millis(50);
        let mut all = Outcome::default();
        thread::scope(|scope| {
            let wires = &wires;
            let workers: Vec<_> = (0..self.connections)
                .map(|index| scope.spawn(move || self.connection(index, begin, wires)))
                .collect();
            for worker in workers {
                if let Ok(one) = worker.join() {
                    all.add(one);
                }
            }
        });
        all.latencies.sort_unstable();
        all
    }

    /// The request's bytes with the host in place of its own.
    fn wire(&self, request: &Request) -> Vec<u8> {
        let mut request = request.clone();
        for (name, value) in &mut request.headers {
            if name == "Host" {
                self.host.clone_into(value);
            }
        }
        request.to_bytes()
    }

    fn connection(&self, index: usize, begin: Instant, wires: &[Vec<u8>]) -> Outcome {
        let mut outcome = Outcome::default();
        let period = Duration::from_secs_f64(self.connections as f64 / self.rate.max(1.0));
        let mut next = begin + period.mul_f64(index as f64 / self.connections as f64);
        let mut stream: Option<TcpStream> = None;
        let mut buffer = Vec::with_capacity(16 << 10);
        // Far apart, so that connections do not send the same at the same time.
        let mut at = index * 37;
        while next < begin + self.duration {
            if let Some(wait) = next.checked_duration_since(Instant::now()) {
                thread::sleep(wait);
            }
            next += period;
            let (request, wire) = (&self.requests[at % wires.len()], &wires[at % wires.len()]);
            at += 1;
            let connection = match &mut stream {
                Some(connection) => connection,
                none => match self.connect() {
                    Ok(connection) => none.insert(connection),
                    Err(_) => {
                        outcome.broken += 1;
                        continue;
                    }
                },
            };
            let sent = Instant::now();
            match exchange(connection, wire, &mut buffer) {
                Ok(answer) => {
                    outcome.note(request, answer.status, sent.elapsed());
                    if answer.closes {
                        stream = None;
                    }
                }
                Err(_) => {
                    outcome.broken += 1;
                    stream = None;
                }
            }
        }
        outcome
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }
}

impl Outcome {
    /// The time below which `share` of the benign requests stay.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    fn note(&mut self, request: &Request, status: u16, time: Duration) {
        self.answers += 1;
        let is_refused = status == 403;
        match request.expect {
            Expect::Block if is_refused => self.refused += 1,
            Expect::Pass if status == 200 => self.latencies.push(time),
            expect => {
                self.wrong_count += 1;
                if self.wrong.len() < 10 {
                    self.wrong.push(format!("{expect:?} {} {} got {status}", request.method, request.target));
                }
            }
        }
    }

    fn add(&mut self, other: Outcome) {
        self.latencies.extend(other.latencies);
        self.answers += other.answers;
        self.refused += other.refused;
        self.wrong_count += other.wrong_count;
        self.broken += other.broken;
        self.wrong.extend(other.wrong);
        self.wrong.truncate(10);
    }
}

struct Answer {
    status: u16,
    /// Whether the server closes the connection.
    closes: bool,
}

/// Sends a request and reads its answer, which must have a length or be chunked.
fn exchange(stream: &mut TcpStream, wire: &[u8], buffer: &mut Vec<u8>) -> io::Result<Answer> {
    stream.write_all(wire)?;
    buffer.clear();
    let mut chunk = [0; 16 << 10];
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let field = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.map(str::trim).unwrap_or_default().to_owned()
            };
            let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
            let body = &buffer[end + 4..];
            let complete = match field("content-length").parse::<usize>() {
                Ok(length) => body.len() >= length,
                Err(_) => body.ends_with(b"0\r\n\r\n"),
            };
            if complete {
                return Ok(Answer { status, closes: field("connection") == "close" });
            }
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(&chunk[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::corpus;

    /// Answers with 403 what has `refuse` in its first line, and with 200 the rest.
    fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut bytes) {
                        let line = String::from_utf8_lossy(&bytes[..read]);
                        let refuse = line.lines().next().unwrap_or_default().contains("refuse");
                        let answer = match refuse {
                            true => {
                                &b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
                                    [..]
                            }
                            false => {
                                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                            }
                        };
                        if stream.write_all(answer).is_err() || refuse {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[test]
    fn answers_are_counted_and_judged() {
        let mut requests: Vec<_> =
            corpus::small(1, 40, 0).into_iter().filter(|r| r.method == "GET").take(4).collect();
        requests[1].target = "/refuse".to_owned();
        requests[1].expect = Expect::Block;
        requests[2].target = "/refuse/a/benign/one".to_owned();
        requests[3].expect = Expect::Block;
        let load = Load {
            address: server(),
            host: "a.test",
            requests: &requests,
            connections: 2,
            rate: 400.0,
            duration: Duration::from_millis(500),
        };
        let outcome = load.run();
        assert!((150..=250).contains(&outcome.answers), "{outcome:?}");
        assert_eq!(outcome.broken, 0);
        assert!(outcome.refused * 5 > outcome.answers, "{outcome:?}");
        let judged = outcome.latencies.len() + outcome.refused + outcome.wrong_count;
        assert_eq!(judged, outcome.answers);
        assert!(outcome.wrong_count * 3 > outcome.answers, "two of four are answered wrongly");
        assert!(outcome.wrong.len() == 10 && outcome.quantile(0.99) >= outcome.quantile(0.5));
    }
}
