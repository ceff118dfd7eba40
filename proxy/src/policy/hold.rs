//! Requests that wait for a back end that is absent, instead of being refused: an app restarts, nobody notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
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

    /// Waits for the next chance before `until`: something was published, or a while has passed. The route as it is then;
    /// none when there is no chance. The app must still be the same, and inspected if it is to be now.
    pub(crate) async fn next_chance(&self, live: &LiveRoute, until: Instant) -> Option<Arc<LiveRoute>> {
        let table = self.context.table.load_full();
        let left = until.checked_duration_since(Instant::now())?;
        // Whatever was published before this line is seen below; what is published later wakes us, or the pause ends.
        let _ = tokio::time::timeout(PAUSE.min(left), table.superseded.notified()).await;
        let table = self.context.table.load_full();
        let (host, path) = (&self.request.host, &self.request.path_and_query);
        let now =
            table.find(host, &normalized_path(path)).filter(|_| !table.routes().is_ambiguous(host, path))?;
        let same = now.route.app == live.route.app && (now.route.waf.is_none() || self.firewall.is_some());
        (same && Instant::now() < until).then(|| now.clone())
    }

    /// The route once it has a back end again, as far as patience reaches.
    pub(crate) async fn awaited(&self, live: &Arc<LiveRoute>) -> Arc<LiveRoute> {
        let mut live = live.clone();
        let Some(until) = self.patience(&live) else { return live };
        while matches!(live.backend, LiveBackend::Unavailable(_))
            && !live.is_for_canary(&self.request.headers, self.client)
        {
            let Some(next) = self.next_chance(&live, until).await else { break };
            live = next;
        }
        live
    }
}
