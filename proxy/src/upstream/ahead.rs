//! What was read of an answer before its client could take it, so that whoever gave it need not wait for a slow client:
//! a little in memory, more in an unlinked temporary file, as much as the route and the server allow.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::budget::{Budget, FREE, FileGrant, Grant, Purpose};
use crate::work_queue::Outcome;

/// Bytes of an answer in memory, where the budget has them.
const MEMORY: usize = 64 * 1024;
/// Bytes in the file that are asked for at a time.
const STEP: u64 = 1 << 20;
/// Bytes read back at a time.
const PIECE: u64 = 64 * 1024;

/// Pieces of a body, first in, first out.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Those that came before all in the file.
    memory: VecDeque<Bytes>,
    in_memory: usize,
    granted: Option<Grant>,
    file: Option<Arc<File>>,
    /// How far the file was written, and read again.
    written: u64,
    read: u64,
    /// What could not be written any more: it comes behind all that is in the file.
    rest: Option<Bytes>,
    /// What comes next out of the file, on its way.
    reading: Option<Outcome<io::Result<Vec<u8>>>>,
    /// Most bytes of the file.
    most: u64,
    grants: Vec<FileGrant>,
    budget: Budget,
}

impl Ahead {
    /// Nothing yet; at most this many bytes in a file.
    pub(super) const fn new(most: u64, budget: Budget) -> Self {
        Self {
            memory: VecDeque::new(),
            in_memory: 0,
            granted: None,
            file: None,
            written: 0,
            read: 0,
            rest: None,
            reading: None,
            most,
            grants: Vec::new(),
            budget,
        }
    }

    /// Whether there is room for a further piece.
    pub(super) fn has_room(&mut self) -> bool {
        self.rest.is_none() && (self.has_memory() || self.has_file())
    }

    /// Puts a piece behind all others. Where the file takes no more, nothing further is read ahead.
    pub(super) async fn keep(&mut self, piece: Bytes) {
        if self.has_memory() {
            self.in_memory += piece.len();
            self.memory.push_back(piece);
        } else if let Err(error) = self.write(piece.clone()).await {
            tracing::warn!(%error, "an answer cannot be put into a file while its client is slow; it is passed on as it comes");
            self.most = 0;
            self.rest = Some(piece);
        }
    }

    async fn write(&mut self, piece: Bytes) -> io::Result<()> {
        let (file, at, length) = (self.file.clone(), self.written, piece.len() as u64);
        let writing = self.budget.files().run(move || {
            let file = file.map_or_else(|| tempfile::tempfile().map(Arc::new), Ok)?;
            file.write_all_at(&piece, at)?;
            Ok(file)
        });
        self.file = Some(writing.await.map_err(io::Error::other).flatten()?);
        self.written += length;
        Ok(())
    }

    /// The first piece; none when there is no more. What was asked for in vain is not lost.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) async fn take(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(piece) = self.memory.pop_front() {
            self.in_memory -= piece.len();
            return Ok(Some(piece));
        }
        self.granted = None;
        let (Some(file), left @ 1..) = (&self.file, self.written - self.read) else {
            return Ok(self.rest.take());
        };
        let (at, length) = (self.read, left.min(PIECE) as usize);
        let reading = self.reading.get_or_insert_with(|| {
            let file = file.clone();
            self.budget.files().submit(move || {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, at)?;
                Ok(piece)
            })
        });
        let piece = reading.await.map_err(io::Error::other).flatten();
        self.reading = None;
        let piece = piece?;
        self.read += piece.len() as u64;
        if self.read == self.written {
            // The next ones may lie in memory again.
            (self.file, self.written, self.read) = (None, 0, 0);
            self.grants.clear();
        }
        Ok(Some(piece.into()))
    }

    fn has_memory(&mut self) -> bool {
        if self.file.is_some() {
            return false;
        }
        if self.in_memory < FREE {
            return true;
        }
        if self.granted.is_none() {
            self.granted = self.budget.try_take(Purpose::Spool, MEMORY);
        }
        self.granted.is_some() && self.in_memory < MEMORY
    }

    fn has_file(&mut self) -> bool {
        if self.written >= self.most {
            return false;
        }
        if self.written >= self.grants.len() as u64 * STEP {
            self.grants.extend(self.budget.try_take_file(STEP));
        }
        self.written < self.grants.len() as u64 * STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that tell their places.
    fn piece(number: usize) -> Bytes {
        (0..10_000).map(|at| ((number * 31 + at) % 251) as u8).collect()
    }

    #[tokio::test]
    async fn pieces_come_out_as_they_went_in() {
        let budget = Budget::of_server(1 << 20);
        let mut ahead = Ahead::new(4 << 20, budget.clone());
        let (mut kept, mut expected, mut found) = (0, Vec::new(), Vec::new());
        // Some are taken between the others, so that memory and file are filled and emptied.
        for rounds in [1, 5, 30, 200, 3] {
            for _ in 0..rounds {
                assert!(ahead.has_room());
                expected.extend_from_slice(&piece(kept));
                ahead.keep(piece(kept)).await;
                kept += 1;
            }
            let taken = if rounds == 30 { usize::MAX } else { rounds / 2 };
            for _ in 0..taken {
                let Some(piece) = ahead.take().await.unwrap() else { break };
                found.extend_from_slice(&piece);
            }
        }
        while let Some(piece) = ahead.take().await.unwrap() {
            found.extend_from_slice(&piece);
        }
        assert!(found == expected && ahead.take().await.unwrap().is_none());
        assert!(ahead.grants.is_empty() && ahead.granted.is_none(), "all was given back");
    }

    /// What a file does not take any more comes behind what it took.
    #[tokio::test]
    async fn a_file_that_is_full_loses_nothing() {
        let mut ahead = Ahead::new(4 << 20, Budget::of_server(1 << 20));
        for number in 0..20 {
            ahead.keep(piece(number)).await;
        }
        // Only for reading: what is written to it fails.
        let read_only = tempfile::NamedTempFile::new().unwrap();
        std::io::copy(&mut content(&ahead), &mut read_only.as_file()).unwrap();
        ahead.file = Some(Arc::new(File::open(read_only.path()).unwrap()));
        ahead.keep(piece(20)).await;
        assert!(!ahead.has_room());
        let mut found = Vec::new();
        while let Some(piece) = ahead.take().await.unwrap() {
            found.extend_from_slice(&piece);
        }
        assert!(found == (0..21).flat_map(piece).collect::<Vec<_>>());
    }

    /// What lies in the file.
    fn content(ahead: &Ahead) -> std::io::Cursor<Vec<u8>> {
        let mut content = vec![0; ahead.written as usize];
        ahead.file.as_ref().unwrap().read_exact_at(&mut content, 0).unwrap();
        std::io::Cursor::new(content)
    }

    #[tokio::test]
    async fn there_is_no_more_room_than_is_granted() {
        let mut ahead = Ahead::new(100_000, Budget::of_server(1 << 20));
        let mut pieces = 0;
        while ahead.has_room() {
            ahead.keep(piece(pieces)).await;
            pieces += 1;
        }
        assert_eq!(
            pieces, 17,
            "64 KiB in memory and 100,000 bytes in the file, and the rest of a piece each"
        );
        let nothing = Budget::of_server(MEMORY);
        let mut ahead = Ahead::new(100_000, nothing.clone());
        let _memory = nothing.try_take(Purpose::Spool, MEMORY).unwrap();
        let all: Vec<_> = std::iter::from_fn(|| nothing.try_take_file(STEP)).collect();
        ahead.keep(piece(0)).await;
        assert!(!ahead.has_room(), "neither memory nor file");
        drop(all);
        assert!(ahead.has_room());
    }
}
