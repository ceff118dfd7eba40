//! Is an instance alive and answering? One probe: connect, GET, judge. No clock of its own beyond the timeout.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::manifest::HealthCheck;

/// Most of an answer that is read.
pub const MAX_ANSWER: usize = 64 * 1024;

/// What a probe learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// It answered as wanted; the status.
    Healthy(u16),
    /// It takes connections, and speaks something that is not asked over HTTP.
    Listening,
    /// It answered with a status that does not count as healthy; the status line.
    Status(String),
    /// The body lacks the wanted text; the status line.
    Missing {
        /// The text that was wanted.
        wanted: String,
        /// The status line that came.
        status: String,
    },
    /// It answered something that is not HTTP; how it began.
    NotHttp(String),
    /// Nobody listens.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// The connection broke.
    Broken(String),
}

impl ProbeAnswer {
    /// Whether the instance may receive requests.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy(_) | Self::Listening)
    }
}

impl fmt::Display for ProbeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy(status) => write!(f, "healthy (status {status})"),
            Self::Listening => f.write_str("healthy (it takes connections)"),
            Self::Status(line) => write!(f, "it answered `{line}`"),
            Self::Missing { wanted, status } => {
                write!(f, "it answered `{status}` without the text `{wanted}`")
            }
            Self::NotHttp(start) => write!(f, "it answered something that is not HTTP: `{start}`"),
            Self::Refused => f.write_str("connection refused: nothing listens on the port"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
        }
    }
}

/// Asks the instance once, within the check's timeout. `host` goes into the `Host` header, since frameworks
/// refuse hosts that they do not know.
pub async fn probe(address: SocketAddr, host: &str, check: &HealthCheck) -> ProbeAnswer {
    match tokio::time::timeout(check.timeout.max(Duration::from_millis(1)), ask(address, host, check)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => ProbeAnswer::Refused,
        Ok(Err(error)) => ProbeAnswer::Broken(error.to_string()),
        Err(_) => ProbeAnswer::TimedOut,
    }
}

async fn ask(address: SocketAddr, host: &str, check: &HealthCheck) -> io::Result<ProbeAnswer> {
    let mut stream = TcpStream::connect(address).await?;
    if check.connect_only {
        return Ok(ProbeAnswer::Listening);
    }
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hop3-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        check.path.as_str()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(judged) = judge(&answer, check, false) {
            return Ok(judged);
        }
        let count = match stream.read(&mut chunk).await {
            Ok(count) => count,
            // A server that closes with our request half read resets; what it said before counts.
            Err(_) if !answer.is_empty() => 0,
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(&chunk[..count]);
        if count == 0 || answer.len() >= MAX_ANSWER {
            return Ok(judge(&answer, check, true).unwrap_or_else(|| ProbeAnswer::NotHttp(show(&answer))));
        }
    }
}

/// The verdict over what has come so far, or `None` when more is needed.
fn judge(answer: &[u8], check: &HealthCheck, complete: bool) -> Option<ProbeAnswer> {
    let end = answer.iter().position(|&byte| byte == b'\n');
    let Some(end) = end else {
        return complete.then(|| match answer {
            [] => ProbeAnswer::Broken("closed without an answer".to_owned()),
            _ => ProbeAnswer::NotHttp(show(answer)),
        });
    };
    let line = show(&answer[..end]);
    // RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]
    let mut words = line.splitn(3, ' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().filter(|word| word.len() == 3).and_then(|word| word.parse::<u16>().ok());
    let Some(status) = status.filter(|_| version.starts_with("HTTP/")) else {
        return Some(ProbeAnswer::NotHttp(line));
    };
    let wanted = check.status.map_or(status < 500, |wanted| status == wanted);
    if !wanted {
        return Some(ProbeAnswer::Status(line));
    }
    let Some(text) = &check.contains else { return Some(ProbeAnswer::Healthy(status)) };
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(&[][..], |at| &answer[at + 4..]);
    if text.is_empty() || body.windows(text.len()).any(|part| part == text.as_bytes()) {
        return Some(ProbeAnswer::Healthy(status));
    }
    complete.then(|| ProbeAnswer::Missing { wanted: text.clone(), status: line })
}

fn show(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    text.trim_end().chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answer_to(reply: &'static str, check: HealthCheck) -> ProbeAnswer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            assert!(request[..count].starts_with(b"GET /up HTTP/1.1\r\nHost: a.example\r\n"));
            stream.write_all(reply.as_bytes()).await.unwrap();
        };
        tokio::join!(probe(address, "a.example", &check), server).0
    }

    fn check(status: Option<u16>, contains: Option<&str>) -> HealthCheck {
        HealthCheck {
            path: "/up".to_owned().try_into().unwrap(),
            status,
            contains: contains.map(str::to_owned),
            timeout: Duration::from_secs(60),
            ..HealthCheck::default()
        }
    }

    #[tokio::test]
    async fn judges_answers() {
        let page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(answer_to(page, check(None, None)).await, ProbeAnswer::Healthy(200));
        assert_eq!(answer_to(page, check(Some(200), Some("hell"))).await, ProbeAnswer::Healthy(200));
        let missing = answer_to(page, check(None, Some("bye"))).await.to_string();
        assert_eq!(missing, "it answered `HTTP/1.1 200 OK` without the text `bye`");
        let wrong = answer_to(page, check(Some(204), None)).await;
        assert_eq!(wrong.to_string(), "it answered `HTTP/1.1 200 OK`");
        assert_eq!(answer_to("HTTP/1.0 404 No\r\n\r\n", check(None, None)).await, ProbeAnswer::Healthy(404));
        let broken = answer_to("HTTP/1.1 500 Oops\r\n\r\n", check(None, None)).await;
        assert_eq!(broken, ProbeAnswer::Status("HTTP/1.1 500 Oops".into()));
        assert!(matches!(answer_to("220 mail\r\n", check(None, None)).await, ProbeAnswer::NotHttp(_)));
        assert!(matches!(answer_to("", check(None, None)).await, ProbeAnswer::Broken(_)));
    }

    #[tokio::test]
    async fn refusal_and_silence_are_told_apart() {
        let free = crate::ports::loopback(crate::ports::free_port().unwrap());
        assert_eq!(probe(free, "x", &check(None, None)).await, ProbeAnswer::Refused);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let quick = HealthCheck { timeout: Duration::from_millis(50), ..check(None, None) };
        assert_eq!(probe(listener.local_addr().unwrap(), "x", &quick).await, ProbeAnswer::TimedOut);
    }
}
