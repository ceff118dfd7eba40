//! A request body that was read whole before it is sent on: in memory up to a bound, beyond it in an unlinked
//! temporary file.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Bytes kept in memory: a hundred uploads on one HTTP/2 connection stay below 16 MiB.
const MEMORY: usize = 128 * 1024;
/// Pieces below this many bytes are gathered.
const SMALL: usize = 4 * 1024;
/// Bytes read back at a time.
const PIECE: usize = 64 * 1024;

/// The stored body. Can be read any number of times.
#[derive(Debug, Default)]
pub struct Spool {
    memory: Vec<Bytes>,
    /// Small pieces, gathered: a body sent byte by byte must not cost a slice per byte.
    tail: BytesMut,
    in_memory: usize,
    file: Option<Arc<File>>,
    length: u64,
}

impl Spool {
    /// Bytes stored.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Appends a piece.
    pub async fn append(&mut self, piece: Bytes) -> io::Result<()> {
        self.length += piece.len() as u64;
        if self.file.is_none() && self.in_memory + piece.len() <= MEMORY {
            self.in_memory += piece.len();
            if piece.len() < SMALL {
                self.tail.extend_from_slice(&piece);
            } else {
                self.seal_tail();
                self.memory.push(piece);
            }
            return Ok(());
        }
        let file = self.file.take();
        let file = blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile()?),
            };
            (&*file).write_all(&piece)?;
            Ok(file)
        })
        .await?;
        self.file = Some(file);
        Ok(())
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.memory.push(self.tail.split().freeze());
        }
    }

    /// A reader from the start.
    pub fn reader(&self) -> SpoolReader<'_> {
        SpoolReader { spool: self, next: 0, file_started: false }
    }
}

/// Reads a spool once.
#[derive(Debug)]
pub struct SpoolReader<'s> {
    spool: &'s Spool,
    next: usize,
    file_started: bool,
}

impl SpoolReader<'_> {
    /// The next piece, `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(piece) = self.spool.memory.get(self.next) {
            self.next += 1;
            return Ok(Some(piece.clone()));
        }
        if self.next == self.spool.memory.len() && !self.spool.tail.is_empty() {
            self.next += 1;
            return Ok(Some(Bytes::copy_from_slice(&self.spool.tail)));
        }
        let Some(file) = self.spool.file.clone() else { return Ok(None) };
        let rewind = !std::mem::replace(&mut self.file_started, true);
        let piece = blocking(move || {
            if rewind {
                (&*file).rewind()?;
            }
            let mut piece = vec![0; PIECE];
            let length = (&*file).read(&mut piece)?;
            piece.truncate(length);
            Ok(piece)
        })
        .await?;
        Ok((!piece.is_empty()).then(|| piece.into()))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_stored_is_read_back_as_often_as_wanted() {
        for (pieces, size) in
            [(0, 1), (1, 1), (200, 10), (16, 100_000), (40, 100_000), (200, 5_000), (255, 4_096)]
        {
            let mut spool = Spool::default();
            let mut expected = Vec::new();
            for number in 0..pieces {
                let piece = vec![number; if number % 3 == 0 { 7 } else { size }];
                expected.extend_from_slice(&piece);
                spool.append(piece.into()).await.unwrap();
            }
            assert_eq!(spool.length(), expected.len() as u64);
            assert_eq!(spool.file.is_some(), expected.len() > MEMORY);
            for _ in 0..2 {
                let mut reader = spool.reader();
                let mut read = Vec::new();
                while let Some(piece) = reader.next().await.unwrap() {
                    read.extend_from_slice(&piece);
                }
                assert!(read == expected, "{pieces} pieces differ");
            }
        }
    }
}
