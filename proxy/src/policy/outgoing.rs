//! What happens to an answer on its way to the client: kept, changed in its header, compressed.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::downstream::ResponseLength;
use crate::exchange::Exchange;
use crate::headers::Headers;
use crate::http1::response::ResponseHead;
use crate::policy::cache::{Cache, Recording, remove_cookie, take_set_cookie};
use crate::policy::compression::Encoder;
use crate::table::LiveRoute;

/// The way of one answer's body. The default changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    recording: Option<(Recording, Arc<Cache>)>,
    encoder: Option<Encoder>,
}

impl Exchange<'_> {
    /// The way of an answer, whose header is changed for it. `keep` says whether it may be put into the cache.
    pub(crate) fn outgoing(
        &self,
        head: &mut ResponseHead,
        length: &mut ResponseLength,
        keep: bool,
    ) -> io::Result<Outgoing> {
        let live = self.live.as_deref();
        let recording = live.filter(|_| keep).and_then(|live| {
            let cache = self.cache(live)?;
            let (seen, now) = (|| self.seen_fields(live), SystemTime::now());
            let (key, budget) = (self.cache_key(live), self.budget());
            // Whom the instance is named to is nobody else's business; to him it is.
            let own_cookie = self.sticky(live).and_then(|name| take_set_cookie(&mut head.headers, name));
            let recording = Recording::begin(cache.rules(), self.request, seen, key, head, now, &budget);
            if let Some(cookie) = own_cookie {
                head.headers.push("set-cookie", cookie);
            }
            Some((recording?, cache.clone()))
        });
        self.decorate(&mut head.headers, false);
        let policy = live.and_then(|live| live.route.policy.as_deref());
        let encoder = match policy.and_then(|policy| policy.compression.as_ref()) {
            Some(compression) if self.request.is_head() || head.status == 304 => {
                compression.mark(self.request, head);
                None
            }
            Some(compression) => compression.encoder(self.request, head, length, &self.budget())?,
            None => None,
        };
        Ok(Outgoing { recording, encoder })
    }

    /// The cookie by which the group of instances that answers knows a browser again.
    fn sticky<'l>(&self, live: &'l LiveRoute) -> Option<&'l str> {
        let group = live.group(&self.request.headers, self.client)?;
        group.pool().sticky.as_ref().map(|sticky| &*sticky.name)
    }

    /// The fields that the application sees of the request, without our own cookie.
    pub(crate) fn seen_fields(&self, live: &LiveRoute) -> Headers {
        let mut fields = self.forwarded_fields(live);
        if let Some(name) = self.sticky(live) {
            remove_cookie(&mut fields, name);
        }
        fields
    }

    /// The request's id, in the place of a back end's own, and the route's changes to the header of every answer, also
    /// of those the proxy gives itself. The answer to a `preflight` has its fields already.
    pub(crate) fn decorate(&self, headers: &mut Headers, preflight: bool) {
        headers.set("x-request-id", self.id.clone());
        let Some(policy) = self.live.as_ref().and_then(|live| live.route.policy.as_deref()) else { return };
        if let Some(cors) = policy.cors.as_ref().filter(|_| !preflight) {
            cors.mark(self.request, headers);
        }
        policy.response_headers.apply(headers);
    }
}

impl Outgoing {
    /// A piece of the body, as it is to be sent; often empty while something is compressed.
    pub(crate) fn piece(&mut self, piece: Bytes) -> io::Result<Bytes> {
        if let Some((recording, _)) = &mut self.recording {
            recording.piece(&piece);
        }
        match &mut self.encoder {
            Some(encoder) => encoder.piece(&piece),
            None => Ok(piece),
        }
    }

    /// What was held back so far.
    pub(crate) fn flush(&mut self) -> io::Result<Bytes> {
        self.encoder.as_mut().map_or(Ok(Bytes::new()), Encoder::flush)
    }

    /// The end of a complete body.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        if let Some((recording, cache)) = self.recording {
            recording.finish(&cache);
        }
        self.encoder.map_or(Ok(Bytes::new()), Encoder::finish)
    }
}
