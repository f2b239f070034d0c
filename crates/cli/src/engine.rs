//! The way to the engine: where its files are, one call on the control socket, and what its refusals mean.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use sallyport_ipc::types::Status;
use sallyport_ipc::{Client, ClientError, ErrorCode};
use sallyport_platform::{Paths, current_uid, socket_owner};

use crate::exit::Failure;

pub(crate) fn paths() -> Result<Paths, Failure> {
    Paths::from_env().map_err(|e| Failure::caused("could not tell where Sallyport's files are", &e))
}

/// Makes calls on the control socket and waits for what they bring.
pub(crate) fn call<T>(
    paths: &Paths,
    calls: impl AsyncFnOnce(&Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let client = Client::new(paths.control_socket());
    block_on(calls(&client))?.map_err(Failure::from)
}

/// The same for calls that weaken something: in a terminal without a desktop, the question of the operating system
/// appears right there.
pub(crate) fn call_guarded<T>(
    paths: &Paths,
    calls: impl AsyncFnOnce(&Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let _agent = TerminalAgent::start();
    call(paths, calls)
}

/// polkit's own agent for terminals. It steps back where the session has one already.
struct TerminalAgent(Child);

impl TerminalAgent {
    fn start() -> Option<TerminalAgent> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        let pid = std::process::id().to_string();
        let mut agent = Command::new("pkttyagent")
            .args(["--fallback", "--notify-fd", "1", "--process", &pid])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // It closes this end once it can be asked; its questions go to the terminal itself.
        let mut ready = agent.stdout.take()?;
        let _ = std::io::copy(&mut ready, &mut std::io::sink());
        Some(TerminalAgent(agent))
    }
}

impl Drop for TerminalAgent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::caused("could not start the async runtime", &e))?;
    Ok(runtime.block_on(future))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let hint = error.hint().unwrap_or_default();
        let failure = match &error {
            // "No such file" says no more than the sentence before it.
            ClientError::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Failure::not_reachable(error.to_string())
            }
            ClientError::Unreachable { source, .. } => Failure::not_reachable(format!("{error}: {source}")),
            ClientError::Stranger { .. } | ClientError::TimedOut { .. } | ClientError::Broken { .. } => {
                Failure::not_reachable(error.to_string())
            }
            ClientError::Refused(refusal) if refusal.code == ErrorCode::BadRequest => {
                Failure::usage(error.to_string())
            }
            _ => Failure::new(error.to_string()),
        };
        failure.hint(hint)
    }
}

/// The engine's listener, after making sure that nobody else sits on its port: what is sent there must
/// reach this user's engine (decision 6).
pub(crate) fn own_listener(status: &Status) -> Result<SocketAddr, Failure> {
    let listen: SocketAddr = status
        .listen
        .parse()
        .map_err(|_| Failure::new(format!("the engine names no address to use: {:?}", status.listen)))?;
    let owner = socket_owner::listener_owner(listen).map_err(|e| {
        Failure::not_reachable(format!("nothing of yours can be seen listening on {listen}: {e}"))
            .hint("see `sallyport doctor`; if the engine has just stopped, start it with `sallyport daemon`")
    })?;
    if owner.uid != current_uid() {
        return Err(Failure::not_reachable(format!(
            "the listener on {listen} belongs to user {}, not to you: nothing was sent there",
            owner.uid
        ))
        .hint(
            "start your own engine with `sallyport daemon`; it takes another port when this one is taken",
        ));
    }
    Ok(listen)
}
