//! Servers: raw dialogues, and hyper's for both HTTP versions.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client::{ClientBody, Line};
use super::within;

/// A server whose connections the test plays by hand.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl RawOrigin {
    pub(crate) async fn plain() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener, tls: None }
    }

    pub(crate) async fn tls(config: ServerConfig) -> Self {
        Self { tls: Some(TlsAcceptor::from(Arc::new(config))), ..Self::plain().await }
    }

    pub(crate) async fn next(&self) -> Line<TcpStream> {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Line::new(stream)
    }

    pub(crate) async fn next_tls(&self) -> Line<TlsStream<TcpStream>> {
        self.try_next_tls().await.unwrap()
    }

    pub(crate) async fn try_next_tls(&self) -> std::io::Result<Line<TlsStream<TcpStream>>> {
        let line = self.next().await;
        within(self.tls.as_ref().unwrap().accept(line.stream)).await.map(Line::new)
    }

    /// Whether nobody has connected.
    pub(crate) async fn is_untouched(&self) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(self.listener.poll_accept(cx).is_pending())).await
    }
}

/// A server that answers by itself.
pub(crate) struct HttpOrigin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl HttpOrigin {
    pub(crate) async fn tls<F, Fut>(config: ServerConfig, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response<ClientBody>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer, count) = (acceptor.clone(), answer.clone(), count.clone());
                stream.set_nodelay(true).unwrap();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    count.fetch_add(1, Ordering::SeqCst);
                    let service = service_fn(move |request| {
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Says in a header what version a request had.
pub(crate) fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "h2",
        Version::HTTP_11 => "http/1.1",
        _ => "other",
    }
}
