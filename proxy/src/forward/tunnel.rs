//! Connections that change their protocol.

use std::time::{Duration, Instant};

use crate::conversation::Conversation;
use crate::downstream::{RequestBody, ResponseLength, ResponseSink};
use crate::exchange::{Exchange, Stop};
use crate::forwarding::strip_response;
use crate::http1::response::ResponseHead;
use crate::record::Outcome;
use crate::table::LiveRoute;
use crate::upstream::answer::Answer;
use crate::upstream::tunnel::carry;

impl Exchange<'_> {
    /// After a WebSocket handshake: a 101 turns both connections into a tunnel, anything else is an ordinary answer.
    pub(super) async fn upgrade(
        &mut self,
        mut answer: Answer<'_>,
        started: Instant,
        live: &LiveRoute,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<(), Stop> {
        if answer.head.status != 101 {
            return self.relay(answer, started, live, Some(body), sink).await;
        }
        strip_response(&mut answer.head.headers, true);
        self.inspect_response_head(&answer.head)?;
        answer.head.headers.set("x-request-id", self.id.clone());
        let silence = live.route.limits.tunnel_timeout;
        let result = tunnel(answer, silence, &mut self.outcome, body, sink).await;
        (body.received, sink.sent) = (self.outcome.received, self.outcome.sent);
        self.upstream_time = Some(started.elapsed());
        result
    }
}

/// Passes bytes both ways until both sides are done. The outcome is kept up to date: a shutdown drops whatever is under
/// way.
async fn tunnel(
    mut answer: Answer<'_>,
    silence: Duration,
    outcome: &mut Outcome,
    body: &mut RequestBody<'_>,
    sink: &mut ResponseSink<'_>,
) -> Result<(), Stop> {
    let gone = |error: std::io::Error| Stop::client_gone(&error);
    let head = std::mem::replace(&mut answer.head, ResponseHead::empty());
    sink.send_head(head, ResponseLength::Unknown).map_err(gone)?;
    sink.flush().await.map_err(gone)?;
    let (Some((mut source, mut writer, _active)), Some(client)) = (answer.into_tunnel(), body.http1_source())
    else {
        return Err(Stop::Abort("the connection cannot be upgraded".to_owned()));
    };
    let Some(http1) = sink.http1() else { return Ok(()) };
    let (client_buffer, client_reader) = client.parts();
    let (upstream_buffer, upstream_reader) = source.parts();
    outcome.status = Some(101);
    let conversation = Conversation::new(silence);
    conversation.passed();
    let up = carry(client_buffer, client_reader, &mut writer, &conversation, &mut outcome.received);
    let down = carry(upstream_buffer, upstream_reader, http1.writer(), &conversation, &mut outcome.sent);
    let ended = tokio::try_join!(up, down);
    ended.map(|_| ()).map_err(|error| Stop::Abort(format!("upgraded connection: {error}")))
}
