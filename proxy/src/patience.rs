//! Waiting with a limit, where mostly there is nothing to wait for.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::error::Elapsed;

/// Waits for `operation` up to `limit`. What is ready at once costs neither clock nor timer.
pub async fn within<F: Future>(limit: Duration, operation: F) -> Result<F::Output, Elapsed> {
    let mut operation = pin!(operation);
    match at_once(operation.as_mut()).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => tokio::time::timeout(limit, operation).await,
    }
}

/// What an operation has come to without waiting.
pub async fn at_once<F: Future>(mut operation: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(operation.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_passes_and_what_is_late_does_not() {
        assert_eq!(within(Duration::ZERO, async { 1 }).await, Ok(1));
        let second = Duration::from_secs(1);
        assert_eq!(within(second * 2, tokio::time::sleep(second)).await, Ok(()));
        assert!(within(second, tokio::time::sleep(second * 2)).await.is_err());
    }
}
