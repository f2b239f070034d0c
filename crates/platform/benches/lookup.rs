//! What identifying a client costs: paid once for each connection, before its first byte is read.

#![allow(clippy::print_stdout)] // its output is the table

use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sallyport_platform::process::Processes;
use sallyport_platform::{owner_of, socket_owner::listener_owner};

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    // Other connections in the kernel's table, as a busy machine has them.
    let others: Vec<(TcpStream, TcpStream)> = (0..200)
        .map(|_| (TcpStream::connect(address).expect("connect"), listener.accept().expect("accept").0))
        .collect();
    let client = TcpStream::connect(address).expect("connect");
    let (server, peer) = listener.accept().expect("accept");
    let local = server.local_addr().expect("local");
    let owner = owner_of(local, peer).expect("owner");

    println!("{:<34} {:>10} {:>10} {:>10}", "lookup", "median", "p99", "max");
    row("owner of a connection", 20_000, || drop(black_box(owner_of(local, peer))));
    row("owner of a listener", 20_000, || drop(black_box(listener_owner(address))));
    let warm = Processes::new();
    row("process of a socket, seen before", 300, || drop(black_box(warm.of_socket(owner.inode, owner.uid))));
    row("process of a socket, first time", 300, || {
        drop(black_box(Processes::new().of_socket(owner.inode, owner.uid)));
    });
    drop((client, others));
}

fn row(name: &str, times: usize, mut act: impl FnMut()) {
    let mut taken: Vec<Duration> = (0..times)
        .map(|_| {
            let start = Instant::now();
            act();
            start.elapsed()
        })
        .collect();
    taken.sort();
    let at = |share: f64| taken[((times as f64 * share) as usize).min(times - 1)];
    println!("{name:<34} {:>10.1?} {:>10.1?} {:>10.1?}", at(0.5), at(0.99), at(1.0));
}
