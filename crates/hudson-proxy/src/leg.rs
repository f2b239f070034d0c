//! Byte streams: the upstream leg in its layers, and a client stream whose first bytes were already read. Must not
//! interpret the bytes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::io::poll_read_buf;

/// A connection to a server or to a chained proxy. TLS may stand in TLS when the proxy is an `https://` one.
pub(crate) enum Leg {
    Plain(TcpStream),
    Tls(Box<TlsStream<Leg>>),
}

impl Leg {
    /// The socket at the bottom.
    #[cfg(test)]
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0.socket(),
        }
    }
}

impl AsyncRead for Leg {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Leg {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

/// What rustls asks a socket for at a time: a quarter of a record.
const ASKED: usize = 4 * 1024;
/// What is read of a stream whose beginning alone is looked at.
const START: usize = 2 * 1024;
/// How far a socket that had more to give than it was asked for is read ahead, to spare calls into the kernel.
const AHEAD: usize = 64 * 1024;

/// A stream with bytes that were read ahead of it.
pub(crate) struct Prefixed<S> {
    first: Bytes,
    stream: S,
    /// The last read was given all that it had room for.
    has_more: bool,
}

impl<S> Prefixed<S> {
    pub(crate) fn new(first: Bytes, stream: S) -> Self {
        Self { first, stream, has_more: false }
    }

    /// Puts bytes back in front of those that were not read yet.
    pub(crate) fn refill(mut self, bytes: Bytes) -> Self {
        self.first = if self.first.is_empty() { bytes } else { [bytes, self.first].concat().into() };
        self
    }
}

impl<S: AsyncRead + Unpin> Prefixed<S> {
    /// Waits for a first byte and gives it without taking it. `None` at the end of the stream.
    pub(crate) async fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.first.is_empty() {
            self.more().await?;
        }
        Ok(self.first.first().copied())
    }

    /// What was read ahead and not taken yet.
    pub(crate) fn read_ahead(&self) -> &[u8] {
        &self.first
    }

    /// Reads on behind what was read ahead. Nothing is lost when it is dropped before its end.
    pub(crate) async fn more(&mut self) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut whole = BytesMut::from(std::mem::take(&mut self.first));
            whole.reserve(START);
            let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut whole);
            self.first = whole.freeze();
            read
        })
        .await
    }

    /// Reads into a buffer of our own, which lives until it is handed on.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ahead = BytesMut::with_capacity(AHEAD);
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut ahead))?;
        self.has_more = read >= ASKED;
        self.first = ahead.freeze();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            if !this.has_more || buf.remaining() >= AHEAD / 2 {
                let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
                this.has_more = polled.is_ready() && buf.remaining() == 0;
                return polled;
            }
            ready!(this.poll_ahead(cx))?;
        }
        let part = this.first.len().min(buf.remaining());
        buf.put_slice(&this.first.split_to(part));
        if !this.first.has_remaining() {
            this.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Counts how often it is asked.
    struct Source {
        left: usize,
        asked: usize,
    }

    impl AsyncRead for Source {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            let part = this.left.min(buf.remaining());
            buf.put_slice(&(0..part).map(|at| (this.left - at) as u8).collect::<Vec<_>>());
            (this.left, this.asked) = (this.left - part, this.asked + 1);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_stream_that_has_more_is_read_ahead_and_gives_every_byte_once() {
        let whole = 1_000_000;
        let mut stream = Prefixed::new(Bytes::new(), Source { left: whole, asked: 0 });
        let (mut piece, mut read, mut changed_hands) = ([0; ASKED], Vec::new(), false);
        loop {
            let came = stream.read(&mut piece).await.unwrap();
            read.extend_from_slice(piece.get(..came).unwrap());
            if read.len() == 8 * ASKED && !changed_hands {
                // As when a connection changes hands: bytes that were read and not used come again, in their place.
                changed_hands = true;
                let back = read.split_off(6 * ASKED);
                stream = stream.refill(back.into());
            }
            if came == 0 {
                break;
            }
        }
        let expected: Vec<u8> = (0..whole).map(|at| (whole - at) as u8).collect();
        assert!(read == expected);
        assert!(stream.stream.asked < whole / AHEAD + 5, "{}", stream.stream.asked);
    }

    #[tokio::test]
    async fn a_short_message_is_read_without_a_buffer() {
        let mut stream = Prefixed::new(Bytes::new(), Source { left: 1_000, asked: 0 });
        let mut piece = [0; ASKED];
        assert_eq!(stream.read(&mut piece).await.unwrap(), 1_000);
        assert!(stream.first.is_empty() && !stream.has_more);
    }
}
