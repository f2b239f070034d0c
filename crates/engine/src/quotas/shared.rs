//! Counters in a Redis that several machines share: one script does what [`Ledger`](sallyport_policy::quotas::Ledger)
//! does, by the server's own clock.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, Script};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sallyport_policy::config::RedisAddress;
use sallyport_policy::quotas::{
    Ask, Exceeded, Limit, Millis, RequestId, Ruling, Tally, Ticket, Tier, day_of,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(2);
const COMMAND: Duration = Duration::from_secs(2);

/// After a failure nobody waits for the store for so long.
const PAUSE: Millis = 1_000;

const LONGEST_PASSWORD: u64 = 4_096;

/// Where the store is and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: RedisAddress,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
}

pub(crate) struct Shared {
    pub(crate) place: Place,
    script: Script,
    connection: Mutex<Option<MultiplexedConnection>>,
    connecting: tokio::sync::Mutex<()>,
    /// No new try before this moment.
    rests_until: AtomicI64,
}

/// Why the store could not be asked; never holds the password.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Away {
    #[error("it did not answer a moment ago")]
    Resting,
    #[error("{0}")]
    Failed(String),
}

impl Shared {
    pub(crate) fn new(place: Place) -> Shared {
        Shared {
            place,
            script: Script::new(include_str!("shared.lua")),
            connection: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            rests_until: AtomicI64::new(0),
        }
    }

    pub(crate) async fn reserve(&self, subject: &str, tier: &Tier, ask: &Ask) -> Result<Ruling, Away> {
        let figures = [
            ask.prompt_length,
            ask.tokens,
            u64::from(ask.enforce),
            u64::try_from(ask.lease).unwrap_or_default(),
            tier.requests_per_minute,
            tier.requests_per_hour,
            tier.tokens_per_day,
            tier.max_prompt_length,
            tier.max_concurrent_requests,
        ];
        let answer = self.ask(subject, "reserve", &id(ask.id), &figures.map(figure)).await?;
        let limits =
            [Limit::RequestsPerMinute, Limit::RequestsPerHour, Limit::TokensPerDay, Limit::PromptLength]
                .into_iter()
                .chain([Limit::ConcurrentRequests]);
        let exceeded = (1..).zip(limits).find(|(number, _)| *number == answer.limit).map(|(_, limit)| {
            let free_at = (answer.free_at >= 0).then_some(answer.free_at);
            Exceeded { limit, size: tier.size(limit), wanted: answer.wanted, free_at }
        });
        let ticket = Ticket { id: ask.id, day: day_of(answer.tally.now), reserved: ask.tokens };
        Ok(Ruling { ticket: answer.admitted.then_some(ticket), exceeded, tally: answer.tally })
    }

    pub(crate) async fn settle(&self, subject: &str, ticket: &Ticket, tokens: u64) -> Result<(), Away> {
        let rest = [ticket.day.to_string(), figure(ticket.reserved), figure(tokens)];
        self.ask(subject, "settle", &id(ticket.id), &rest).await.map(drop)
    }

    pub(crate) async fn cancel(&self, subject: &str, ticket: &Ticket) -> Result<(), Away> {
        let rest = [ticket.day.to_string(), figure(ticket.reserved)];
        self.ask(subject, "cancel", &id(ticket.id), &rest).await.map(drop)
    }

    pub(crate) async fn renew(&self, subject: &str, request: RequestId, lease: Millis) -> Result<(), Away> {
        self.ask(subject, "renew", &id(request), &[lease.to_string()]).await.map(drop)
    }

    pub(crate) async fn look(&self, subject: &str) -> Result<Tally, Away> {
        self.ask(subject, "look", "", &[]).await.map(|answer| answer.tally)
    }

    async fn ask(&self, subject: &str, operation: &str, id: &str, rest: &[String]) -> Result<Answer, Away> {
        // One slot of a cluster for all keys of a subject.
        let key = |part: &str| format!("sallyport:quota:{{{subject}}}:{part}");
        let mut call = self.script.prepare_invoke();
        call.key(key("requests")).key(key("leases")).key(key("tokens")).arg(operation).arg(id);
        for argument in rest {
            call.arg(argument);
        }
        loop {
            let (mut connection, is_new) = self.connection().await?;
            let answered = timeout(COMMAND, call.invoke_async::<Vec<i64>>(&mut connection)).await;
            let figures = match answered {
                Ok(Ok(figures)) => figures,
                // The server went and came back since it was last asked.
                Ok(Err(error)) if !is_new && error.is_unrecoverable_error() => {
                    *self.connection.lock() = None;
                    continue;
                }
                Ok(Err(error)) => return Err(self.failed(error.category().to_owned())),
                Err(_) => return Err(self.failed(format!("no answer within {} s", COMMAND.as_secs()))),
            };
            return Answer::read(&figures).ok_or_else(|| self.failed("an answer that makes no sense".into()));
        }
    }

    /// The connection, and whether it was made just now.
    async fn connection(&self) -> Result<(MultiplexedConnection, bool), Away> {
        if let Some(connection) = self.connection.lock().clone() {
            return Ok((connection, false));
        }
        let _one = self.connecting.lock().await;
        if let Some(connection) = self.connection.lock().clone() {
            return Ok((connection, false));
        }
        if super::now() < self.rests_until.load(Ordering::Acquire) {
            return Err(Away::Resting);
        }
        match timeout(CONNECT, self.connect()).await {
            Ok(Ok(connection)) => {
                *self.connection.lock() = Some(connection.clone());
                Ok((connection, true))
            }
            Ok(Err(why)) => Err(self.failed(why)),
            Err(_) => Err(self.failed(format!("no connection within {} s", CONNECT.as_secs()))),
        }
    }

    fn failed(&self, why: String) -> Away {
        *self.connection.lock() = None;
        self.rests_until.store(super::now() + PAUSE, Ordering::Release);
        Away::Failed(why)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let place = &self.place.address.place;
        let said = |error: io::Error| error.to_string();
        let socket = TcpStream::connect((place.host.as_str(), place.port)).await.map_err(said)?;
        socket.set_nodelay(true).map_err(said)?;
        if !self.place.address.tls {
            return self.greet(socket).await;
        }
        let name = ServerName::try_from(place.host.clone()).map_err(|error| error.to_string())?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(self.tls()?));
        self.greet(connector.connect(name, socket).await.map_err(said)?).await
    }

    fn tls(&self) -> Result<rustls::ClientConfig, String> {
        let mut roots = rustls::RootCertStore::empty();
        match &self.place.ca {
            Some(file) => {
                let unread = |error| format!("{} can't be read: {error}", file.display());
                for certificate in CertificateDer::pem_file_iter(file).map_err(unread)? {
                    roots.add(certificate.map_err(unread)?).map_err(|error| error.to_string())?;
                }
            }
            None => {
                let system = sallyport_platform::trust::system_roots();
                roots.add_parsable_certificates(system.certificates);
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    async fn greet<S>(&self, stream: S) -> Result<MultiplexedConnection, String>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let address = &self.place.address;
        let mut info = RedisConnectionInfo {
            db: i64::from(address.db),
            username: address.user.clone(),
            ..RedisConnectionInfo::default()
        };
        if let Some(file) = &self.place.password_file {
            let read = sallyport_platform::fs::read_bounded(file, LONGEST_PASSWORD);
            let bytes = read.map_err(|error| error.to_string())?;
            let bytes = bytes.ok_or_else(|| format!("{} is missing or too long", file.display()))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| format!("{} is no text", file.display()))?;
            info.password = Some(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(COMMAND);
        let opened = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = opened.map_err(|error| error.category().to_owned())?;
        tokio::spawn(driver);
        Ok(connection)
    }
}

struct Answer {
    admitted: bool,
    limit: i64,
    wanted: u64,
    free_at: Millis,
    tally: Tally,
}

impl Answer {
    fn read(figures: &[i64]) -> Option<Answer> {
        let &[
            admitted,
            limit,
            wanted,
            free_at,
            now,
            minute,
            minute_first,
            hour,
            hour_first,
            tokens,
            concurrent,
        ] = figures
        else {
            return None;
        };
        let count = |figure: i64| u64::try_from(figure).unwrap_or(0);
        let moment = |at: i64| (at >= 0).then_some(at);
        Some(Answer {
            admitted: admitted == 1,
            limit,
            wanted: count(wanted),
            free_at,
            tally: Tally {
                now,
                minute: count(minute),
                minute_first: moment(minute_first),
                hour: count(hour),
                hour_first: moment(hour_first),
                tokens: count(tokens),
                concurrent: count(concurrent),
            },
        })
    }
}

fn id(id: RequestId) -> String {
    format!("{id:032x}")
}

/// Redis counts in doubles; no figure of ours needs more than they hold exactly.
fn figure(figure: u64) -> String {
    figure.min(1 << 53).to_string()
}

#[cfg(test)]
mod tests;
