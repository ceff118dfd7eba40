//! Requests that wait for a back end that is absent, instead of being refused: an app restarts, nobody notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::downstream::{RequestBody, ResponseSink};
use crate::exchange::{Exchange, Stop};
use crate::http1::target::normalized_path;
use crate::table::{LiveBackend, LiveRoute};

/// How often an absent back end is tried while nothing new is published.
const PAUSE: Duration = Duration::from_millis(200);

impl Exchange<'_> {
    /// When the patience of this route ends; none when it has none.
    pub(crate) fn patience(&self, live: &LiveRoute) -> Option<Instant> {
        let hold = live.route.policy.as_ref()?.hold?;
        Some(self.started + hold)
    }

    /// Waits for the next chance before `until`: something was published, or a while has passed. The route as it is then,
    /// whose rules admit the request; none when there is no chance. The app must still be the same, and inspected if it
    /// is to be now.
    pub(crate) async fn next_chance(
        &mut self,
        live: &Arc<LiveRoute>,
        until: Instant,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Option<Arc<LiveRoute>>, Stop> {
        let table = self.context.table.load_full();
        let Some(left) = until.checked_duration_since(Instant::now()) else { return Ok(None) };
        // Whatever was published before this line is seen below; what is published later wakes us, or the pause ends.
        let _ = tokio::time::timeout(PAUSE.min(left), table.superseded.notified()).await;
        let table = self.context.table.load_full();
        let (host, path) = (&self.request.host, &self.request.path_and_query);
        let now =
            table.find(host, &normalized_path(path)).filter(|_| !table.routes().is_ambiguous(host, path));
        let is_same = |now: &&Arc<LiveRoute>| {
            now.route.app == live.route.app && (now.route.waf.is_none() || self.firewall.is_some())
        };
        let Some(now) = now.filter(is_same).filter(|_| Instant::now() < until).cloned() else {
            return Ok(None);
        };
        if !Arc::ptr_eq(&now, live) {
            self.take_up(&table, &now, Some(live), body, sink).await?;
        }
        Ok(Some(now))
    }

    /// The route once it has a back end again, as far as patience reaches.
    pub(crate) async fn awaited(
        &mut self,
        live: &Arc<LiveRoute>,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Result<Arc<LiveRoute>, Stop> {
        let mut live = live.clone();
        let Some(until) = self.patience(&live) else { return Ok(live) };
        while matches!(live.backend, LiveBackend::Unavailable(_))
            && !live.is_for_canary(&self.request.headers, self.client)
        {
            let Some(next) = self.next_chance(&live, until, body, sink).await? else { break };
            live = next;
        }
        Ok(live)
    }
}
