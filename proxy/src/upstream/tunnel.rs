//! After a 101: bytes pass in both directions until both ends are done, or silent for too long.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes carried at a time.
const PIECE: usize = 16 * 1024;

/// One direction: what was buffered first, then whatever comes. Ends by closing the writer. The number of bytes.
///
/// `silence` bounds the wait for one read and for one write.
pub async fn carry<R, W>(
    buffer: &mut BytesMut,
    reader: &mut R,
    writer: &mut W,
    silence: Duration,
) -> io::Result<u64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut carried = 0;
    loop {
        while !buffer.is_empty() {
            carried += buffer.len() as u64;
            within(silence, writer.write_all_buf(buffer)).await?;
            within(silence, writer.flush()).await?;
        }
        buffer.reserve(PIECE);
        if within(silence, reader.read_buf(buffer)).await? == 0 {
            within(silence, writer.shutdown()).await?;
            return Ok(carried);
        }
    }
}

async fn within<T>(limit: Duration, operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    crate::patience::within(limit, operation).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
