//! The task's end of the pipe (two buffers) between the event loop and the task of an upgraded
//! connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::pipe::Pipe;

/// The task's end of a pipe. The task gets it inside hyper's `Upgraded`.
pub(super) struct TaskEnd(Arc<Pipe>);

impl TaskEnd {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self(pipe)
    }
}

impl Read for TaskEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let max = buffer.remaining();
        self.0.poll_read(cx.waker(), max, |bytes| buffer.put_slice(bytes))
    }
}

impl Write for TaskEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx.waker(), bytes)
    }

    /// There is nothing to do: the event loop sends what was written, as the kernel does for a
    /// socket.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shut_down();
        Poll::Ready(Ok(()))
    }
}

impl Drop for TaskEnd {
    fn drop(&mut self) {
        self.0.drop_task_end();
    }
}
