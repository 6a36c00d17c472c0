//! A run beside what may end it: its time, and whoever is in control of it.

use crate::control::Control;
use crate::deadline::Deadline;
use crate::error::Stop;
use std::pin::pin;
use std::task::Poll;

/// Runs `call` until it ends, the run is told to end, or its time is over. Code that computes is interrupted by the
/// engine; this is for what waits.
pub(crate) async fn within<T>(
    deadline: &Deadline,
    control: &Control,
    call: impl Future<Output = T>,
) -> Result<T, Stop> {
    let mut call = pin!(call);
    let mut stopped = pin!(control.stopped());
    let mut late = pin!(async {
        match deadline.left() {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    });
    std::future::poll_fn(|context| {
        if let Poll::Ready(result) = call.as_mut().poll(context) {
            return Poll::Ready(Ok(result));
        }
        if let Poll::Ready(stop) = stopped.as_mut().poll(context) {
            return Poll::Ready(Err(stop));
        }
        late.as_mut().poll(context).map(|()| Err(deadline.error()))
    })
    .await
}
