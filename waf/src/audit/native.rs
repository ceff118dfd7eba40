//! The native format (reference manual, "ModSecurity 2 Data Formats"; the parts as v3 fills them).

use std::fmt::Write as _;

use hop3_seclang::ast::AuditParts;

use super::record::{AuditRequest, AuditTransaction};
use crate::variables::time;

/// A record in the native format, with the parts that are wanted; A and Z are always there.
pub fn native(record: &AuditTransaction, parts: AuditParts) -> Vec<u8> {
    let boundary = boundary(record);
    let mut log = String::new();
    begin(&mut log, &boundary, 'A');
    let (client, server) = (record.client, record.server);
    let _ = writeln!(
        log,
        "[{}] {} {} {} {} {}\n",
        time::common_log(record.time()),
        record.id,
        client.ip(),
        client.port(),
        server.ip(),
        server.port()
    );
    for letter in parts.letters().filter(|letter| !matches!(letter, 'A' | 'Z')) {
        if let Some(text) = part(record, letter) {
            begin(&mut log, &boundary, letter);
            log.push_str(&text);
            log.push('\n');
        }
    }
    begin(&mut log, &boundary, 'Z');
    log.push('\n');
    log.into_bytes()
}

fn begin(log: &mut String, boundary: &str, letter: char) {
    let _ = writeln!(log, "--{boundary}-{letter}--");
}

/// The text of a part; `None` for a part that there is nothing to say in.
fn part(record: &AuditTransaction, letter: char) -> Option<String> {
    let mut text = String::new();
    match letter {
        'B' => {
            let request = &record.request;
            let method = if request.method.is_empty() { "-" } else { &request.method };
            let _ = writeln!(text, "{} {} {}", line(method), line(&request.uri), line(&request.protocol));
            headers(&mut text, &request.headers);
        }
        'C' => text.push_str(&body(record.request.body.as_ref()?)),
        'E' => text.push_str(&body(record.response.body.as_ref()?)),
        'F' => {
            let protocol = match record.response.protocol.as_str() {
                "" => &record.request.protocol,
                protocol => protocol,
            };
            let _ = writeln!(text, "{} {}", line(protocol), record.response.status);
            headers(&mut text, &record.response.headers);
        }
        'H' => trailer(&mut text, record),
        'I' => arguments(&mut text, &record.request)?,
        'J' => {
            for (index, file) in record.request.files.iter().enumerate() {
                let (name, field) = (line(&file.name), line(&file.field));
                let _ = writeln!(text, "{},{},{name:?},{field:?}", index + 1, file.size);
            }
        }
        'K' => record.rules.iter().for_each(|id| {
            let _ = writeln!(text, "{id}");
        }),
        _ => {}
    }
    Some(text)
}

/// Messages first, then what v2 says of the transaction.
fn trailer(text: &mut String, record: &AuditTransaction) {
    record.messages.iter().for_each(|message| {
        let _ = writeln!(text, "{}", message.log_line);
    });
    if let Some(decision) = &record.interruption {
        let _ = writeln!(text, "Action: Intercepted (phase {})", decision.phase);
    }
    let _ = writeln!(text, "Producer: {}; {}.", record.producer, line(&record.components.join("; ")));
    if !record.sensor.is_empty() {
        let _ = writeln!(text, "Sensor-Id: \"{}\"", line(&record.sensor));
    }
    let _ = writeln!(text, "Engine-Mode: \"{}\"", record.engine);
}

/// Part I: the fields of a form instead of its body, without the contents of files.
fn arguments(text: &mut String, request: &AuditRequest) -> Option<()> {
    let pair = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
    let pairs: Vec<String> = request.arguments.iter().map(pair).collect();
    request.body.as_ref()?;
    let _ = writeln!(text, "{}", pairs.join("&"));
    Some(())
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'*' => out.push(byte as char),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn headers(text: &mut String, headers: &[(String, String)]) {
    for (name, value) in headers {
        let _ = writeln!(text, "{}: {}", line(name), line(value));
    }
}

fn body(body: &super::AuditBody) -> String {
    let mut text = body.text.clone();
    text.push('\n');
    if body.omitted > 0 {
        let _ = writeln!(text, "({} bytes omitted)", body.omitted);
    }
    text
}

/// A text that stays on its line.
fn line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Eight digits that no body has in a line of its own, so that no body can forge a part.
fn boundary(record: &AuditTransaction) -> String {
    let bodies = [record.request.body.as_ref(), record.response.body.as_ref()];
    let taken = |mark: &str| {
        bodies.iter().flatten().any(|body| body.text.contains(mark))
            || record.messages.iter().any(|message| message.log_line.contains(mark))
    };
    let mut hash = record
        .id
        .bytes()
        .chain(record.unix_time.to_le_bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    loop {
        let mark = format!("{hash:08x}");
        if !taken(&mark) {
            return mark;
        }
        hash = hash.wrapping_add(0x9e37_79b9);
    }
}
