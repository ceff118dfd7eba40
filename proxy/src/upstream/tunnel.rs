//! After a 101: bytes pass in both directions until both ends are done, or both are silent for too long.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::conversation::Conversation;

/// Bytes carried at a time.
const PIECE: usize = 16 * 1024;

/// One direction: what was buffered first, then whatever comes. Ends by closing the writer. `carried` counts the bytes
/// as they pass, so that it is right however this ends.
pub async fn carry<R, W>(
    buffer: &mut BytesMut,
    reader: &mut R,
    writer: &mut W,
    conversation: &Conversation,
    carried: &mut u64,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        while !buffer.is_empty() {
            *carried += buffer.len() as u64;
            conversation.wait(writer.write_all_buf(buffer)).await??;
            conversation.wait(writer.flush()).await??;
        }
        buffer.reserve(PIECE);
        if conversation.wait(reader.read_buf(buffer)).await?? == 0 {
            conversation.wait(writer.shutdown()).await??;
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{duplex, sink};
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_silence_in_both_directions_ends_a_tunnel() {
        let limit = Duration::from_secs(60);
        let conversation = Conversation::new(limit);
        conversation.passed();
        let (mut speaker, mut heard) = duplex(64);
        let (_listener, mut silent) = duplex(64);
        let started = Instant::now();
        let speaking = async {
            for _ in 0..10 {
                sleep(limit / 2).await;
                speaker.write_all(b"news").await.unwrap();
            }
            started.elapsed()
        };
        let (mut up, mut down) = (0, 0);
        let carrying = async {
            let (mut one, mut other) = (BytesMut::new(), BytesMut::new());
            let (mut to_silent, mut to_listener) = (sink(), sink());
            let ended = tokio::try_join!(
                carry(&mut one, &mut heard, &mut to_silent, &conversation, &mut up),
                carry(&mut other, &mut silent, &mut to_listener, &conversation, &mut down),
            );
            (ended.unwrap_err().kind(), started.elapsed())
        };
        let (spoken, (kind, ended)) = tokio::join!(speaking, carrying);
        assert_eq!((kind, up, down), (io::ErrorKind::TimedOut, 40, 0));
        assert_eq!((spoken, ended), (limit * 5, limit * 6));
    }
}
