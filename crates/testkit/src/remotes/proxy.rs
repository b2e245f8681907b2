//! A company's proxy: carries connections to whom it is asked for, and counts them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A proxy for HTTPS (CONNECT) on loopback. Its threads end with the connections that they carry.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    carried: Arc<AtomicUsize>,
}

impl Proxy {
    /// On a free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, carried) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&carried);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || carry(stream, &count));
            }
        });
        Self { addr, carried }
    }

    /// What HTTPS_PROXY is to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Connections that it has carried.
    #[must_use]
    pub fn carried(&self) -> usize {
        self.carried.load(Ordering::SeqCst)
    }
}

/// None: the client does not ask as one does, or its host cannot be reached; it sees a closed connection.
fn carry(client: TcpStream, count: &AtomicUsize) -> Option<()> {
    let mut head = BufReader::new(client.try_clone().ok()?);
    let mut first = String::new();
    head.read_line(&mut first).ok()?;
    let host = first.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        head.read_line(&mut line).ok().filter(|n| *n > 0)?;
    }
    let server = TcpStream::connect(host).ok()?;
    (&client)
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .ok()?;
    count.fetch_add(1, Ordering::SeqCst);
    let (from, to) = (server.try_clone().ok()?, client.try_clone().ok()?);
    let back = std::thread::spawn(move || pass(from, to));
    pass(client, server);
    back.join().ok()
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
