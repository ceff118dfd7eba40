//! What small files are read into: memory that the thread read the last ones into, so that it is neither cleared nor fetched
//! into the processor's caches anew for each.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use bytes::Bytes;

/// Pieces that are read into such memory: smaller ones cost little anyhow, and must not hold so much.
const SIZES: RangeInclusive<usize> = 4 * 1024..=MOST;
const MOST: usize = 16 * 1024;
/// Buffers that wait on each thread.
const SPARE: usize = 4;

thread_local! {
    static SPARES: RefCell<Vec<Box<[u8; MOST]>>> = const { RefCell::new(Vec::new()) };
}

/// Memory for one piece.
#[derive(Debug)]
pub struct Buffer {
    /// Some until it is left to the next one.
    memory: Option<Box<[u8; MOST]>>,
    length: usize,
}

impl Buffer {
    /// Of this many bytes, all of which have to be written; `None` where that is too few or too many.
    pub fn new(length: usize) -> Option<Self> {
        let spare =
            |spares: &RefCell<Vec<_>>| spares.try_borrow_mut().ok().and_then(|mut spares| spares.pop());
        SIZES.contains(&length).then(|| {
            // A thread that ends has none.
            let memory = SPARES.try_with(spare).ok().flatten();
            Self { memory: Some(memory.unwrap_or_else(|| Box::new([0; MOST]))), length }
        })
    }

    /// The bytes, with whatever was read before.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().map_or(&mut [], |memory| &mut memory[..self.length])
    }

    /// As a piece; its memory goes to the thread that drops it.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory[..self.length])
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        let _ = SPARES.try_with(|spares| {
            if let Ok(mut spares) = spares.try_borrow_mut()
                && spares.len() < SPARE
            {
                spares.push(memory);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_only_so_much_waits() {
        let mut buffer = Buffer::new(5000).unwrap();
        buffer.bytes_mut().fill(b'a');
        let place = buffer.as_ref().as_ptr();
        let piece = buffer.freeze();
        let part = piece.slice(4_998..);
        drop(piece);
        assert_eq!(part, "aa");
        drop(part);
        let again = Buffer::new(MOST).unwrap();
        assert_eq!((again.as_ref().as_ptr(), again.as_ref().len()), (place, MOST));
        assert!(Buffer::new(MOST + 1).is_none() && Buffer::new(4_000).is_none());
        drop((5_000..5_010).map(|length| Buffer::new(length).unwrap()).collect::<Vec<_>>());
        assert_eq!(SPARES.with_borrow(Vec::len), SPARE);
        // What another thread drops is that thread's.
        std::thread::spawn(move || drop(again)).join().unwrap();
        assert_eq!(SPARES.with_borrow(Vec::len), SPARE);
    }
}
