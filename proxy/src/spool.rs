//! A body that was read whole before it is sent on: in memory up to a bound and as far as the budget allows, beyond it
//! in an unlinked temporary file.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::vec;

use bytes::{Bytes, BytesMut};

use crate::budget::{Budget, FREE, Grant, Purpose};

/// Bytes of a request body that are kept in memory.
pub const OF_REQUEST: usize = 128 * 1024;
/// Bytes of a response body that are kept in memory.
pub const OF_RESPONSE: usize = 1024 * 1024;
/// Least bytes that are asked of the budget at a time.
const STEP: usize = 64 * 1024;
/// Pieces below this many bytes are gathered.
const SMALL: usize = 4 * 1024;
/// Bytes read back at a time, by somebody who looks at them and by somebody who may have to wait with them.
const LOOK: usize = 64 * 1024;
const PIECE: usize = 16 * 1024;

/// The stored body. Can be read any number of times.
#[derive(Debug)]
pub struct Spool {
    memory: Vec<Bytes>,
    /// Small pieces, gathered: a body sent byte by byte must not cost a slice per byte.
    tail: BytesMut,
    in_memory: usize,
    /// Most bytes in memory.
    most: usize,
    /// Bytes that may lie in memory as things are.
    granted: usize,
    grants: Vec<Grant>,
    budget: Budget,
    file: Option<Arc<File>>,
    /// Bytes in the file.
    in_file: u64,
    length: u64,
}

impl Spool {
    /// Nothing yet; keeps at most this many bytes in memory, if the budget has them.
    pub fn new(budget: Budget, most: usize) -> Self {
        Self {
            memory: Vec::new(),
            tail: BytesMut::new(),
            in_memory: 0,
            most,
            granted: FREE,
            grants: Vec::new(),
            budget,
            file: None,
            in_file: 0,
            length: 0,
        }
    }

    /// Bytes stored.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Appends a piece.
    pub async fn append(&mut self, piece: Bytes) -> io::Result<()> {
        self.length += piece.len() as u64;
        if self.file.is_none() && self.has_room(piece.len()) {
            self.in_memory += piece.len();
            if piece.len() < SMALL {
                self.tail.extend_from_slice(&piece);
            } else {
                self.seal_tail();
                self.memory.push(piece);
            }
            return Ok(());
        }
        let (file, length) = (self.file.take(), piece.len() as u64);
        let file = blocking(&self.budget, move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile()?),
            };
            (&*file).write_all(&piece)?;
            Ok(file)
        })
        .await?;
        self.file = Some(file);
        self.in_file += length;
        Ok(())
    }

    /// Whether this many further bytes may lie in memory.
    fn has_room(&mut self, length: usize) -> bool {
        let wanted = self.in_memory + length;
        if wanted > self.most {
            return false;
        }
        if wanted > self.granted {
            let step = (wanted - self.granted).max(STEP);
            let Some(grant) = self.budget.try_take(Purpose::Spool, step) else { return false };
            self.grants.push(grant);
            self.granted += step;
        }
        true
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.memory.push(self.tail.split().freeze());
        }
    }

    /// A reader from the start.
    pub fn reader(self: &Arc<Self>) -> SpoolReader {
        SpoolReader { spool: self.clone(), next: 0, file: FileReader::default() }
    }

    /// Shows all of it, piece by piece, as long as somebody looks.
    pub async fn show(&self, mut look: impl FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        for piece in self.memory.iter().map(|piece| &piece[..]).chain([&self.tail[..]]) {
            if !piece.is_empty() && look(piece).is_break() {
                return Ok(());
            }
        }
        let mut file = FileReader::default();
        while let Some(piece) = file.next(self, LOOK).await? {
            if look(&piece).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Reads it for the last time: what was read is given up, and its memory back.
    pub fn into_pieces(mut self) -> Pieces {
        self.seal_tail();
        let memory = std::mem::take(&mut self.memory).into_iter();
        Pieces { memory, under_way: 0, spool: self, file: FileReader::default() }
    }

    /// Gives back what is granted beyond what still lies in memory.
    fn give_back(&mut self) {
        while let Some(last) = self.grants.pop_if(|last| self.granted - last.bytes() >= self.in_memory) {
            self.granted -= last.bytes();
        }
    }
}

/// Reads a spool once, and holds it as long.
#[derive(Debug)]
pub struct SpoolReader {
    spool: Arc<Spool>,
    next: usize,
    file: FileReader,
}

impl SpoolReader {
    /// The next piece, `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Spool { memory, tail, .. } = &*self.spool;
        if let Some(piece) = memory.get(self.next) {
            self.next += 1;
            return Ok(Some(piece.clone()));
        }
        if self.next == memory.len() && !tail.is_empty() {
            self.next += 1;
            return Ok(Some(Bytes::copy_from_slice(tail)));
        }
        self.file.next(&self.spool, PIECE).await
    }
}

/// The pieces of a spool that is given up.
#[derive(Debug)]
pub struct Pieces {
    memory: vec::IntoIter<Bytes>,
    /// Bytes of the piece that was asked for last.
    under_way: usize,
    spool: Spool,
    file: FileReader,
}

impl Pieces {
    /// The next piece, `None` at the end. The one before was passed on.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        self.spool.in_memory -= std::mem::take(&mut self.under_way);
        self.spool.give_back();
        if let Some(piece) = self.memory.next() {
            self.under_way = piece.len();
            return Ok(Some(piece));
        }
        self.file.next(&self.spool, PIECE).await
    }
}

/// How far a spool's file was read. Each reader has its own place: a read that was given up may still be under way when
/// the next reader begins.
#[derive(Debug, Default)]
struct FileReader {
    offset: u64,
}

impl FileReader {
    /// At most this many bytes that come next; an error where the file ends before the body does.
    async fn next(&mut self, spool: &Spool, most: usize) -> io::Result<Option<Bytes>> {
        let (Some(file), left @ 1..) = (spool.file.clone(), spool.in_file.saturating_sub(self.offset)) else {
            return Ok(None);
        };
        let (offset, most) = (self.offset, most.min(usize::try_from(left).unwrap_or(most)));
        let piece = blocking(&spool.budget, move || {
            let mut piece = vec![0; most];
            let length = file.read_at(&mut piece, offset)?;
            piece.truncate(length);
            Ok(piece)
        })
        .await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += piece.len() as u64;
        Ok(Some(piece.into()))
    }
}

/// Does it on one of the few threads for files.
async fn blocking<T: Send + 'static>(
    budget: &Budget,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    budget.files().run(work).await.unwrap_or_else(|given_up| Err(io::Error::other(given_up)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spool of these pieces within this budget.
    async fn filled(budget: &Budget, pieces: impl IntoIterator<Item = Vec<u8>>) -> (Arc<Spool>, Vec<u8>) {
        let (mut spool, mut expected) = (Spool::new(budget.clone(), OF_REQUEST), Vec::new());
        for piece in pieces {
            expected.extend_from_slice(&piece);
            spool.append(piece.into()).await.unwrap();
        }
        assert_eq!(spool.length(), expected.len() as u64);
        (Arc::new(spool), expected)
    }

    async fn assert_holds(spool: &Arc<Spool>, expected: &[u8]) {
        for _ in 0..2 {
            let (mut read, mut shown) = (Vec::new(), Vec::new());
            let mut reader = spool.reader();
            while let Some(piece) = reader.next().await.unwrap() {
                read.extend_from_slice(&piece);
            }
            let look = |piece: &[u8]| {
                shown.extend_from_slice(piece);
                ControlFlow::Continue(())
            };
            spool.show(look).await.unwrap();
            assert!(read == expected && shown == expected, "{} bytes differ", expected.len());
        }
        let mut looks = 0;
        let once = |_: &[u8]| {
            looks += 1;
            ControlFlow::Break(())
        };
        spool.show(once).await.unwrap();
        assert_eq!(looks, usize::from(!expected.is_empty()));
    }

    #[tokio::test]
    async fn what_is_stored_is_read_back_as_often_as_wanted() {
        let budget = Budget::of_server(1 << 30);
        for (pieces, size) in
            [(0, 1), (1, 1), (200, 10), (16, 100_000), (40, 100_000), (200, 5_000), (255, 4_096)]
        {
            let pieces = (0..pieces).map(|number| vec![number; if number % 3 == 0 { 7 } else { size }]);
            let (spool, expected) = filled(&budget, pieces).await;
            assert_eq!(spool.file.is_some(), expected.len() > OF_REQUEST);
            assert_holds(&spool, &expected).await;
        }
    }

    #[tokio::test]
    async fn readers_of_a_file_do_not_move_each_other() {
        let budget = Budget::of_server(FREE);
        let (spool, expected) = filled(&budget, (0..100).map(|number| vec![number; 5_000])).await;
        assert!(spool.file.is_some());
        let (mut readers, mut read) = ([spool.reader(), spool.reader(), spool.reader()], [0; 3]);
        for turn in 0..1_000 {
            // Each at its own pace.
            for number in (0..3).filter(|number| turn % (number + 1) == 0) {
                let Some(piece) = readers[number].next().await.unwrap() else { continue };
                assert!(expected[read[number]..].starts_with(&piece), "reader {number} at {}", read[number]);
                read[number] += piece.len();
            }
        }
        assert_eq!(read, [expected.len(); 3]);
        spool.file.as_ref().unwrap().set_len(100_000).unwrap();
        let mut reader = spool.reader();
        let error = loop {
            match reader.next().await {
                Ok(piece) => assert!(piece.is_some(), "a part is no body"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_the_budget_has_no_memory_for_lies_in_a_file() {
        let budget = Budget::of_server(STEP);
        let pieces = || (0..12).map(|number| vec![number; 5_000]);
        let (first, expected) = filled(&budget, pieces()).await;
        assert!(first.file.is_none(), "there was room");
        let (second, _) = filled(&budget, pieces()).await;
        assert!(second.file.is_some() && second.in_memory <= FREE, "{}", second.in_memory);
        assert_holds(&first, &expected).await;
        assert_holds(&second, &expected).await;
        drop(first);
        let (third, _) = filled(&budget, pieces()).await;
        assert!(third.file.is_none(), "what was granted is given back");
    }

    #[tokio::test]
    async fn what_is_read_for_the_last_time_gives_its_memory_back() {
        let budget = Budget::of_server(1 << 20);
        // Of another client, whose share is his own.
        let other = budget.of_client(std::net::Ipv4Addr::LOCALHOST.into());
        let is_free = |kib: &usize| other.try_take(Purpose::Spool, kib * 1024).is_some();
        let taken_now = || 1024 - (0..=1024).rev().find(is_free).unwrap();
        for size in [5_000, 100] {
            let most = if size == 5_000 { 200_000 } else { 100_000 };
            let (spool, expected) =
                filled(&budget, (0..most / size).map(|number| vec![number as u8; size])).await;
            assert!(taken_now() >= 64, "{} KiB are taken", taken_now());
            let (mut read, mut taken) = (Vec::new(), Vec::new());
            let mut pieces = Arc::into_inner(spool).unwrap().into_pieces();
            while let Some(piece) = pieces.next().await.unwrap() {
                read.extend_from_slice(&piece);
                taken.push(taken_now());
            }
            assert!(read == expected);
            assert!(taken.is_sorted_by(|earlier, later| earlier >= later), "{taken:?}");
            assert_eq!(taken_now(), 0, "before the reader goes");
        }
    }
}
