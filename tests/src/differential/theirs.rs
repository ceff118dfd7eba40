//! libmodsecurity's answer, from a process around the library.
//!
//! The process is `differential/driver.c`, compiled when the suite runs; the
//! protocol stands at its head. A library that crashes ends its process, not
//! the suite.

use std::fs;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use super::generate::Exchange;
use super::observe::Observed;
use super::setup::Setup;

/// Where Debian puts the library, per architecture.
const PLACES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/libmodsecurity.so.3",
    "/usr/lib/aarch64-linux-gnu/libmodsecurity.so.3",
    "/usr/lib64/libmodsecurity.so.3",
    "/usr/lib/libmodsecurity.so.3",
];

/// The compiled driver, and the library it loads.
#[derive(Debug)]
pub struct Library {
    folder: TempDir,
    library: PathBuf,
}

impl Library {
    /// Compiles the driver. The library is `$HOP3_LIBMODSECURITY`, or Debian's.
    ///
    /// # Errors
    /// What is missing: the library, its headers, or a compiler.
    pub fn prepare() -> Result<Self, String> {
        let named = std::env::var_os("HOP3_LIBMODSECURITY").map(PathBuf::from);
        let library = named
            .or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()))
            .ok_or("libmodsecurity.so.3 is not installed (Debian: libmodsecurity-dev)")?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential/driver.c");
        let output = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-o"])
            .arg(folder.path().join("driver"))
            .arg(source)
            .arg("-ldl")
            .output()
            .map_err(|error| format!("no C compiler: {error}"))?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        if complaints.contains("modsecurity/modsecurity.h: No such file") {
            return Err(
                "the headers of libmodsecurity are not installed (Debian: libmodsecurity-dev)".to_owned()
            );
        }
        assert!(output.status.success(), "the driver does not compile: {complaints}");
        Ok(Self { folder, library })
    }

    /// Starts a process that has loaded the rules of a set-up.
    ///
    /// # Errors
    /// Why the rules do not load.
    pub fn start(&self, crs: &Path, setup: Setup) -> Result<Engine, String> {
        let rules = self.folder.path().join(format!("{setup:?}.conf"));
        fs::write(&rules, setup.configuration(crs)).map_err(|error| error.to_string())?;
        let mut process = Command::new(self.folder.path().join("driver"))
            .arg(&self.library)
            .arg(&rules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the driver does not start: {error}"))?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let mut engine = Engine { process, input: Some(input), output, version: String::new() };
        let greeting = engine.text().map_err(|error| format!("the driver says nothing: {error}"))?;
        engine.version = greeting.strip_prefix("ready ").ok_or_else(|| greeting.clone())?.to_owned();
        Ok(engine)
    }
}

/// A process with libmodsecurity and its rules.
#[derive(Debug)]
pub struct Engine {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    version: String,
}

impl Engine {
    /// What the library calls itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Hands in an exchange; its answer is to be read before the next one.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn send(&mut self, exchange: &Exchange) -> io::Result<()> {
        let input = self.input.as_mut().ok_or_else(|| io::Error::other("the process was ended"))?;
        input.write_all(&message(exchange))?;
        input.flush()
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn receive(&mut self) -> io::Result<Observed> {
        let text = self.text()?;
        let mut observed = Observed::default();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (phase, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let phase = phase.parse().unwrap_or_default();
            match kind {
                "log" => {
                    if let Some((rule, message)) = rule_and_message(rest) {
                        observed.log(rule, phase, message);
                    }
                    observed.lines.push(rest.to_owned());
                }
                _ => observed.stop = observed.stop.or(Some((phase, rest.parse().unwrap_or_default()))),
            }
        }
        Ok(observed)
    }

    fn text(&mut self) -> io::Result<String> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        self.output.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Without input the process ends by itself; one that hangs in the library has to be ended.
        drop(self.input.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The id and message of a log line: they stand behind file and line, where no byte of a request can.
fn rule_and_message(line: &str) -> Option<(u64, &str)> {
    let (_, rest) = line.split_once("[line \"")?;
    let (_, rest) = rest.split_once("] [id \"")?;
    let (id, rest) = rest.split_once("\"]")?;
    let message = rest.split_once("[msg \"").and_then(|(_, rest)| rest.split_once("\"]"));
    Some((id.parse().ok()?, message.map_or("", |(message, _)| message)))
}

fn message(exchange: &Exchange) -> Vec<u8> {
    let (request, response) = (&exchange.request, &exchange.response);
    let mut out = Vec::new();
    text(&mut out, &request.method);
    text(&mut out, &request.target);
    text(&mut out, request.protocol.strip_prefix(b"HTTP/").unwrap_or(&request.protocol));
    fields(&mut out, &request.headers);
    text(&mut out, &request.body);
    number(&mut out, usize::from(response.status));
    fields(&mut out, &response.headers);
    text(&mut out, &response.body);
    out
}

fn number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    number(out, text.len());
    out.extend_from_slice(text);
}

fn fields(out: &mut Vec<u8>, fields: &[(Vec<u8>, Vec<u8>)]) {
    number(out, fields.len());
    for (name, value) in fields {
        text(out, name);
        text(out, value);
    }
}
