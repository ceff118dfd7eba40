//! A directory in front of an ACME authority's, for what pebble does not do: rate limits, renewal information.
//!
//! Speaks plain HTTP on a loopback port; everything that is not changed leads straight to the authority.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::server::Ran;

/// What the gate does.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// Refuses new orders with 429 and this `Retry-After`.
    pub refuse_orders: Option<u32>,
    /// Suggests this window for renewals: start and end as RFC 3339.
    pub window: Option<(String, String)>,
}

/// A running gate; its thread ends with the test.
#[derive(Clone, Debug)]
pub struct Gate {
    port: u16,
    manners: Arc<Mutex<Manners>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// In front of the directory at `authority`.
    ///
    /// # Panics
    /// When the authority does not answer.
    pub fn start(authority: &str, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let gate = Self { port, manners: Arc::new(Mutex::new(manners)), requests: Arc::default() };
        let directory = Command::new("curl").args(["-sfk", authority]).output().expect("curl runs");
        let directory: serde_json::Value =
            serde_json::from_str(&Ran::from(directory).succeeded()).expect("JSON");
        let serving = gate.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serving.answer(stream, &directory);
            }
        });
        gate
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("http://127.0.0.1:{}/dir", self.port)
    }

    /// Changes what it does.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The request lines it has seen.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answer(&self, mut stream: TcpStream, directory: &serde_json::Value) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut length = 0;
        loop {
            let mut field = String::new();
            reader.read_line(&mut field)?;
            if field.trim().is_empty() {
                break;
            }
            if let Some(value) = field.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim().to_owned());
        let manners = self.manners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own = |path: &str| serde_json::Value::from(format!("http://127.0.0.1:{}{path}", self.port));
        let (status, fields, body) = if line.contains(" /dir ") {
            let mut directory = directory.clone();
            if manners.refuse_orders.is_some() {
                directory["newOrder"] = own("/order");
            }
            if manners.window.is_some() {
                directory["renewalInfo"] = own("/renewal-info");
            }
            ("200 OK", String::new(), directory.to_string())
        } else if let (true, Some(after)) = (line.contains(" /order "), manners.refuse_orders) {
            let problem = serde_json::json!({
                "type": "urn:ietf:params:acme:error:rateLimited",
                "detail": "too many orders recently",
                "status": 429,
            });
            let fields = format!("Retry-After: {after}\r\nReplay-Nonce: none\r\n");
            ("429 Too Many Requests", fields, problem.to_string())
        } else if let (true, Some((start, end))) = (line.contains(" /renewal-info/"), manners.window) {
            let said = serde_json::json!({
                "suggestedWindow": { "start": start, "end": end },
                "explanationURL": "https://authority.test/why",
            });
            ("200 OK", "Retry-After: 3600\r\n".to_owned(), said.to_string())
        } else {
            ("404 Not Found", String::new(), "{}".to_owned())
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\n{fields}Content-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
    }
}
