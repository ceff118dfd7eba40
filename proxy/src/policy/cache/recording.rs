//! An answer on its way to the client that is to be kept when it is complete.

use std::cell::LazyCell;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::budget::{Budget, FREE, Grant, Purpose};
use crate::headers::Headers;
use crate::http1::response::ResponseHead;
use crate::policy::cache::{
    Cache, CacheKey, CacheRules, Entry, Life, Selection, entry, freshness, has_cookies,
};
use crate::request::Request;

/// Gathers one answer.
#[derive(Debug)]
pub struct Recording {
    key: CacheKey,
    selection: Selection,
    head: ResponseHead,
    body: BytesMut,
    life: Life,
    now: SystemTime,
    most: usize,
    /// Whether it grew too large, for the cache or for the memory there is.
    overrun: bool,
    budget: Budget,
    grants: Vec<Grant>,
    /// Bytes that the body may take as things are.
    granted: usize,
}

impl Recording {
    /// Begins with the head; none when the answer must not be kept. `seen` are the fields that the back end saw.
    pub fn begin(
        rules: &CacheRules,
        request: &Request,
        seen: impl FnOnce() -> Headers,
        key: CacheKey,
        head: &ResponseHead,
        now: SystemTime,
        budget: &Budget,
    ) -> Option<Self> {
        if &request.method[..] != b"GET" || !entry::may_be_answered(request) {
            return None;
        }
        let path = crate::http1::target::normalized_path(&request.path_and_query);
        let seen = LazyCell::new(seen);
        let default = rules.default_life(&path);
        // Nothing says that others may see what was made for somebody with a cookie.
        let default = || default.filter(|_| !has_cookies(request, &seen));
        let life = freshness::life(request, head, default, now)?;
        let selection = if head.headers.contains("vary") {
            Selection::of(head, request, &seen)?
        } else {
            Selection::default()
        };
        let (head, most) = (head.clone(), rules.max_entry);
        Some(Self {
            key,
            selection,
            head,
            body: BytesMut::new(),
            life,
            now,
            most,
            overrun: false,
            budget: budget.clone(),
            grants: Vec::new(),
            granted: FREE,
        })
    }

    /// A piece of the body.
    pub fn piece(&mut self, piece: &Bytes) {
        let wanted = self.body.len() + piece.len();
        self.overrun = self.overrun || wanted > self.most || !self.has_room(wanted);
        if self.overrun {
            self.body = BytesMut::new();
            self.grants.clear();
        } else {
            self.body.extend_from_slice(piece);
        }
    }

    fn has_room(&mut self, wanted: usize) -> bool {
        if wanted <= self.granted {
            return true;
        }
        // A buffer grows to twice its size.
        let step = wanted.max(self.granted);
        let Some(grant) = self.budget.try_take(Purpose::Spool, step) else { return false };
        self.grants.push(grant);
        self.granted += step;
        true
    }

    /// The answer is complete.
    pub fn finish(self, cache: &Cache) {
        if !self.overrun {
            let body = Bytes::copy_from_slice(&self.body);
            cache.store(self.key, Entry::new(self.selection, &self.head, body, self.life, self.now));
        }
    }
}
