//! The JSON format, in the shape of ModSecurity v3: one object and a line feed.

use std::collections::BTreeMap;

use hop3_seclang::ast::AuditParts;
use serde::Serialize;

use super::record::{AuditInterruption, AuditMessage, AuditTransaction};
use crate::variables::time;

/// A record in the JSON format, with the parts that are wanted.
pub fn json(record: &AuditTransaction, parts: AuditParts) -> Vec<u8> {
    let with = |letter| parts.contains(letter);
    let (request, response) = (&record.request, &record.response);
    let transaction = Transaction {
        client_ip: record.client.ip().to_string(),
        time_stamp: time::asctime(record.time()),
        server_id: &record.producer,
        client_port: record.client.port(),
        host_ip: record.server.ip().to_string(),
        host_port: record.server.port(),
        unique_id: &record.id,
        request: Request {
            method: if request.method.is_empty() { "-" } else { &request.method },
            http_version: request
                .protocol
                .rsplit('/')
                .next()
                .and_then(|version| version.parse().ok())
                .unwrap_or(0.0),
            uri: &request.uri,
            body: with('C').then(|| request.body.as_ref().map_or("", |body| &body.text)),
            headers: with('B').then(|| joined(&request.headers)),
        },
        response: Response {
            body: with('E').then(|| response.body.as_ref().map_or("", |body| &body.text)),
            http_code: response.status,
            headers: with('F').then(|| joined(&response.headers)),
        },
        producer: with('H').then(|| Producer {
            modsecurity: &record.producer,
            connector: &record.producer,
            secrules_engine: &record.engine,
            components: &record.components,
            sensor_id: Some(record.sensor.as_str()).filter(|sensor| !sensor.is_empty()),
        }),
        interruption: record.interruption.as_ref().filter(|_| with('H')),
        messages: with('H').then(|| record.messages.iter().map(Message::new).collect()),
    };
    // Strings, numbers and maps with string keys: serialising cannot fail.
    let mut text = serde_json::to_vec(&Root { transaction }).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Headers by name; values of repeated ones are joined, as RFC 9110 (section 5.3) does.
fn joined(headers: &[(String, String)]) -> BTreeMap<&str, String> {
    let mut map: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        map.entry(name)
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(value);
            })
            .or_insert_with(|| value.clone());
    }
    map
}

#[derive(Serialize)]
struct Root<'r> {
    transaction: Transaction<'r>,
}

#[derive(Serialize)]
struct Transaction<'r> {
    client_ip: String,
    time_stamp: String,
    server_id: &'r str,
    client_port: u16,
    host_ip: String,
    host_port: u16,
    unique_id: &'r str,
    request: Request<'r>,
    response: Response<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<Producer<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption: Option<&'r AuditInterruption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message<'r>>>,
}

#[derive(Serialize)]
struct Request<'r> {
    method: &'r str,
    http_version: f64,
    uri: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'r str, String>>,
}

#[derive(Serialize)]
struct Response<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'r str>,
    http_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'r str, String>>,
}

#[derive(Serialize)]
struct Producer<'r> {
    modsecurity: &'r str,
    connector: &'r str,
    secrules_engine: &'r str,
    components: &'r [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    sensor_id: Option<&'r str>,
}

#[derive(Serialize)]
struct Message<'r> {
    message: &'r str,
    details: Details<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'r> {
    r#match: &'r str,
    reference: &'r str,
    rule_id: String,
    file: &'r str,
    line_number: String,
    data: &'r str,
    severity: String,
    ver: &'r str,
    rev: &'r str,
    tags: &'r [String],
    maturity: String,
    accuracy: String,
}

impl<'r> Message<'r> {
    fn new(found: &'r AuditMessage) -> Self {
        Self {
            message: &found.message,
            details: Details {
                r#match: &found.matched,
                reference: "",
                rule_id: found.rule_id.to_string(),
                file: &found.file,
                line_number: found.line.to_string(),
                data: &found.data,
                severity: found.severity.to_string(),
                ver: &found.ver,
                rev: &found.rev,
                tags: &found.tags,
                maturity: found.maturity.to_string(),
                accuracy: found.accuracy.to_string(),
            },
        }
    }
}
