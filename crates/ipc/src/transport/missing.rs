//! Where there is no Unix socket: every attempt says so. A named pipe takes this place on Windows.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::control::Caller;
use crate::error::BindError;

/// Never made.
#[derive(Debug)]
pub struct ControlListener(Infallible);

/// Never made.
#[derive(Debug)]
pub(crate) struct Stream(Infallible);

impl ControlListener {
    pub fn bind(path: &Path) -> Result<ControlListener, BindError> {
        Err(BindError::Io { action: "listen at", path: path.to_owned(), source: unsupported() })
    }

    pub fn path(&self) -> &Path {
        match self.0 {}
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match self.0 {}
    }
}

pub(crate) fn caller(stream: &Stream) -> io::Result<Caller> {
    match stream.0 {}
}

pub(crate) async fn connect(_: &Path) -> io::Result<Stream> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "there is no control socket for this system in this version")
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}
