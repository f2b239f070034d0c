//! The provider of the benchmark: reads a request whole and answers at once, or with a stream of events, each of which
//! says when it was sent.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::time::{Sleep, sleep};

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) root: CertificateDer<'static>,
    pub(crate) root_pem: String,
}

/// On a thread of its own.
pub(crate) fn start() -> Result<Upstream> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["api.openai.com".to_owned(), "tunnel.example".to_owned()];
    let leaf = CertificateParams::new(names)?.signed_by(&key, &root)?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        let listener = TcpListener::from_std(listener)?;
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                let tls = acceptor.accept(socket).await?;
                let service = hyper::service::service_fn(answer);
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tls), service)
                    .await?;
                anyhow::Ok(())
            });
        }
        anyhow::Ok(())
    };
    std::thread::spawn(move || runtime.block_on(serve));
    Ok(Upstream { address, root: root.der().clone(), root_pem: root.pem() })
}

/// Events of one stream.
pub(crate) const EVENTS: usize = 100;
/// A model that is quick.
const PACE: Duration = Duration::from_millis(2);
/// Behind it stands when an event was sent, in nanoseconds since the start.
pub(crate) const SENT: &[u8] = b"\"created\":";

pub(crate) fn since_start() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

type Answer = Response<Either<Full<Bytes>, Events>>;

async fn answer(request: Request<hyper::body::Incoming>) -> Result<Answer, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let text =
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
    let streams =
        body.get(..64).is_some_and(|start| memchr::memmem::find(start, b"\"stream\":true").is_some());
    let (body, content_type) = match streams {
        true => (Either::Right(Events { sent: 0, pause: Box::pin(sleep(PACE)) }), "text/event-stream"),
        false => (Either::Left(Full::new(Bytes::from_static(text.as_bytes()))), "application/json"),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(content_type));
    Ok(response)
}

/// Events one after the other, a pause before each.
struct Events {
    sent: usize,
    pause: Pin<Box<Sleep>>,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent > EVENTS {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(cx));
        self.pause.as_mut().reset(tokio::time::Instant::now() + PACE);
        self.sent += 1;
        let event = if self.sent > EVENTS {
            "data: [DONE]\n\n".to_owned()
        } else {
            format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":\"gpt-bench\",\
                 \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word {} \"}},\"finish_reason\":null}}]}}\n\n",
                since_start().as_nanos(),
                self.sent
            )
        };
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}
