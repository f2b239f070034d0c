//! Small stand-ins for the network: a CONNECT proxy that leads every host to one address (the stage without the
//! product, and the tap before it), and a relay that changes its destination, which is what DNS rebinding looks
//! like to a browser.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use parking_lot::Mutex;

/// Answers every CONNECT by a tunnel to `to`, whatever host was asked for.
pub struct TunnelToOne {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TunnelToOne {
    pub fn start(to: SocketAddr) -> Result<TunnelToOne> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let log = log.clone();
                thread::spawn(move || tunnel(socket, to, &log));
            }
        });
        Ok(TunnelToOne { address, asked })
    }

    /// The `host:port` of each CONNECT so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

fn tunnel(mut client: TcpStream, to: SocketAddr, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if method != "CONNECT" {
        return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n");
    }
    log.lock().push(target.to_owned());
    let server = TcpStream::connect(to)?;
    client.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n")?;
    join(client, server)
}

fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 || head.len() > 64 * 1024 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Copies both ways until both are done.
fn join(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut c, mut s) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut c, &mut s);
        let _ = s.shutdown(Shutdown::Write);
    });
    let (mut c, mut s) = (client, server);
    let _ = io::copy(&mut s, &mut c);
    let _ = c.shutdown(Shutdown::Write);
    let _ = up.join();
    Ok(())
}

/// The attacker's name: serves `page` at first; after [`Rebinding::turn`] the same address leads to the victim.
pub struct Rebinding {
    pub address: SocketAddr,
    turned: Arc<Mutex<Option<SocketAddr>>>,
}

impl Rebinding {
    /// The first connections get `page`. A request for `/turn` answers 204 and, from then on, every new connection
    /// goes to `victim`, as if the name's address had changed.
    pub fn start(page: String, victim: SocketAddr) -> Result<Rebinding> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let turned = Arc::new(Mutex::new(None));
        let state = turned.clone();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (state, page) = (state.clone(), page.clone());
                thread::spawn(move || {
                    let now = *state.lock();
                    match now {
                        Some(victim) => join(socket, TcpStream::connect(victim)?),
                        None => serve(socket, &page, &state, victim),
                    }
                });
            }
        });
        Ok(Rebinding { address, turned })
    }

    pub fn has_turned(&self) -> bool {
        self.turned.lock().is_some()
    }
}

fn serve(
    mut client: TcpStream,
    page: &str,
    state: &Mutex<Option<SocketAddr>>,
    victim: SocketAddr,
) -> io::Result<()> {
    let head = read_head(&mut client)?;
    // A browser opens connections before it has use for them: one from before the turn is used after it.
    let turned = *state.lock();
    if let Some(victim) = turned {
        let mut server = TcpStream::connect(victim)?;
        server.write_all(head.as_bytes())?;
        return join(client, server);
    }
    if head.starts_with("GET /turn ") {
        *state.lock() = Some(victim);
        return client.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    }
    let kind = "content-type: text/html\r\nconnection: close";
    let answer = format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    client.write_all(answer.as_bytes())
}

/// A server that answers 200 to everybody: what a hostile page hopes to find.
pub struct Careless {
    pub address: SocketAddr,
}

impl Careless {
    pub fn start() -> Result<Careless> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                thread::spawn(move || {
                    read_head(&mut socket)?;
                    socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                });
            }
        });
        Ok(Careless { address })
    }
}
