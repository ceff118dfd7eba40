//! An answer on its way to the client that is to be kept when it is complete.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};

use crate::http1::response::ResponseHead;
use crate::policy::cache::{Cache, CacheKey, CacheRules, Entry, entry, freshness};
use crate::request::Request;

/// Gathers one answer.
#[derive(Debug)]
pub struct Recording {
    key: CacheKey,
    request: Request,
    head: ResponseHead,
    body: BytesMut,
    life: Duration,
    now: SystemTime,
    most: usize,
    /// Whether it grew too large.
    overrun: bool,
}

impl Recording {
    /// Begins with the head; none when the answer must not be kept.
    pub fn begin(
        rules: &CacheRules,
        request: &Request,
        key: CacheKey,
        head: &ResponseHead,
        now: SystemTime,
    ) -> Option<Self> {
        if &request.method[..] != b"GET" || !entry::may_be_answered(request) {
            return None;
        }
        let path = crate::http1::target::normalized_path(&request.path_and_query);
        let life = freshness::life(request, head, rules.default_life(&path), now)?;
        let (request, head) = (request.clone(), head.clone());
        let most = rules.max_entry;
        Some(Self { key, request, head, body: BytesMut::new(), life, now, most, overrun: false })
    }

    /// A piece of the body.
    pub fn piece(&mut self, piece: &Bytes) {
        self.overrun |= self.body.len() + piece.len() > self.most;
        if self.overrun {
            self.body = BytesMut::new();
        } else {
            self.body.extend_from_slice(piece);
        }
    }

    /// The answer is complete.
    pub fn finish(self, cache: &Cache) {
        if !self.overrun {
            let body = Bytes::copy_from_slice(&self.body);
            cache.store(self.key, Entry::new(&self.request, self.head, body, self.life, self.now));
        }
    }
}
