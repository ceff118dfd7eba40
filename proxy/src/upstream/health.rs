//! Active health checks: every instance of a group that asks for them is asked from time to time.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;

use crate::context::Context;
use crate::http1::framing::BodyLength;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::http::{ForwardedRequest, Interim, read_answer};
use crate::upstream::http2;
use crate::upstream::instance::{Connected, Instance};
use crate::upstream::pool::{HealthCheck, Protocol};

/// How often it is looked which checks are due.
const TICK: Duration = Duration::from_millis(100);
/// Checks under way at a time.
const MAX_CHECKS: usize = 64;

/// What is remembered about an instance between checks.
#[derive(Debug)]
struct Record {
    instance: Weak<Instance>,
    due: Instant,
    /// Results in a row that contradict the present state.
    contrary: u32,
    up: bool,
    running: bool,
    /// The last tick that found it to be checked.
    seen: u64,
}

impl Record {
    fn is_used(&self) -> bool {
        self.instance.strong_count() > 0
    }
}

/// A check that is no more found nothing: whom it had set aside is asked again.
impl Drop for Record {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.upgrade() {
            instance.checked(true);
        }
    }
}

/// Checks the instances of the routes in force until it is dropped.
pub(crate) async fn watch(context: Arc<Context>) {
    let mut records: HashMap<usize, Record> = HashMap::new();
    let mut checks = Checks::default();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tick: u64 = 0;
    loop {
        tokio::select! {
            _ = interval.tick() => tick += 1,
            Some(ended) = checks.tasks.join_next_with_id() => {
                if let Some((key, check, good)) = checks.ended(ended) {
                    settle(&mut records, key, &check, good);
                }
                continue;
            }
        }
        let table = context.table.load_full();
        for balancer in table.balancers() {
            let pool = balancer.pool();
            let Some(check) = &pool.health_check else { continue };
            for instance in balancer.instances() {
                let key = Arc::as_ptr(instance).addr();
                let record = records.entry(key).or_insert_with(|| Record {
                    instance: Arc::downgrade(instance),
                    due: Instant::now(),
                    contrary: 0,
                    up: true,
                    running: false,
                    seen: tick,
                });
                record.seen = tick;
                if !record.running && Instant::now() >= record.due && checks.tasks.len() < MAX_CHECKS {
                    record.running = true;
                    let (instance, asked) = (instance.clone(), check.clone());
                    let is_http = matches!(pool.protocol, Protocol::Http | Protocol::H2c);
                    checks.start(key, check.clone(), async move {
                        let good = timeout(asked.timeout, is_well(&instance, &asked, is_http)).await;
                        matches!(good, Ok(Ok(true)))
                    });
                }
            }
        }
        records.retain(|_, record| record.running || (record.seen == tick && record.is_used()));
    }
}

/// The checks under way, and of which record each is.
#[derive(Debug, Default)]
struct Checks {
    tasks: JoinSet<bool>,
    of: HashMap<Id, (usize, HealthCheck)>,
}

impl Checks {
    fn start(&mut self, key: usize, check: HealthCheck, asking: impl Future<Output = bool> + Send + 'static) {
        let id = self.tasks.spawn(asking).id();
        self.of.insert(id, (key, check));
    }

    /// Whose check has ended, and whether it went well: one that was lost did not.
    fn ended(&mut self, ended: Result<(Id, bool), JoinError>) -> Option<(usize, HealthCheck, bool)> {
        let (id, good) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a health check was lost");
            (error.id(), false)
        });
        let (key, check) = self.of.remove(&id)?;
        Some((key, check, good))
    }
}

/// Counts a result, and changes the instance's state when enough of them contradict it.
fn settle(records: &mut HashMap<usize, Record>, key: usize, check: &HealthCheck, good: bool) {
    let Some(record) = records.get_mut(&key) else { return };
    record.running = false;
    record.due = Instant::now() + check.interval;
    if good && let Some(instance) = record.instance.upgrade() {
        instance.end_pause();
    }
    record.contrary = if good == record.up { 0 } else { record.contrary + 1 };
    let enough = if record.up { check.fall } else { check.rise };
    if record.contrary < enough.max(1) {
        return;
    }
    (record.contrary, record.up) = (0, good);
    if let Some(instance) = record.instance.upgrade()
        && instance.checked(good)
    {
        let endpoint = instance.endpoint();
        if good {
            tracing::info!(%endpoint, "an instance is well again");
        } else {
            tracing::warn!(%endpoint, "an instance failed its health checks and is set aside");
        }
    }
}

/// One question over a connection of its own: the instance may be well where a shared connection is dead.
async fn is_well(instance: &Instance, check: &HealthCheck, is_http: bool) -> io::Result<bool> {
    let connected = instance.connect_alone(check.timeout).await?;
    if !is_http {
        return Ok(true);
    }
    let status = match connected {
        Connected::Stream(mut connection) => {
            ask(&mut connection, check).await?;
            read_answer(&mut connection.source, false, &Interim::default())
                .await
                .map_err(io::Error::other)?
                .status
        }
        Connected::Http2(slot) => {
            let head = http2::head(&question(check), slot.scheme()).map_err(io::Error::other)?;
            let (_, answer) = slot.send(head, true).await.map_err(io::Error::other)?;
            answer.await.map_err(io::Error::other)?.status().as_u16()
        }
    };
    Ok(check.status.map_or(status < 500, |wanted| status == wanted))
}

async fn ask(connection: &mut UpstreamConnection, check: &HealthCheck) -> io::Result<()> {
    let mut head = BytesMut::with_capacity(256);
    let lines = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", check.path, check.host);
    head.put_slice(lines.as_bytes());
    head.put_slice(b"User-Agent: hop3-health\r\nConnection: close\r\n\r\n");
    connection.writer.write_all_buf(&mut head).await?;
    connection.writer.flush().await
}

fn question(check: &HealthCheck) -> ForwardedRequest {
    let mut headers = crate::headers::Headers::with_capacity(2);
    headers.push("host", check.host.clone());
    headers.push("user-agent", "hop3-health");
    ForwardedRequest {
        method: "GET".into(),
        path_and_query: check.path.clone().into(),
        script_name: bytes::Bytes::new(),
        headers,
        body: BodyLength::Empty,
        websocket: false,
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        tls: false,
        server: ([127, 0, 0, 1], 0).into(),
        protocol: "HTTP/2.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Endpoint;
    use crate::upstream::instance::{Instances, Wire};

    #[tokio::test]
    async fn after_a_check_that_was_lost_its_instance_is_checked_again() {
        let instance = Instances::default().get(&Endpoint::Named("x:1".into()), Wire::Http1, None);
        let check = HealthCheck { fall: 2, interval: Duration::ZERO, ..HealthCheck::default() };
        let record = Record {
            instance: Arc::downgrade(&instance),
            due: Instant::now(),
            contrary: 0,
            up: true,
            running: true,
            seen: 1,
        };
        let mut records = HashMap::from([(7, record)]);
        let mut checks = Checks::default();
        checks.start(8, check.clone(), std::future::pending());
        for lost in 1..=2 {
            checks.start(7, check.clone(), async { panic!("a defect") });
            let ended = checks.tasks.join_next_with_id().await.unwrap();
            let (key, check, good) = checks.ended(ended).unwrap();
            assert_eq!((key, good), (7, false));
            settle(&mut records, key, &check, good);
            assert!(!records[&7].running && records[&7].due <= Instant::now());
            assert_eq!(instance.is_up(), lost < 2, "it counts as one that went badly");
        }
        assert_eq!((checks.tasks.len(), checks.of.len()), (1, 1));
    }
}
