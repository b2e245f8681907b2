//! Somebody outside who is told things: a web hook and a mail server that keep all they hear.

#![allow(
    clippy::unwrap_used,
    reason = "never shipped: what is wrong with a sink fails its test"
)]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server on this machine that listens for as long as the test runs.
#[derive(Debug)]
pub struct Sink {
    addr: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    /// A hook. It answers with these codes, one a request, and then 200.
    ///
    /// # Panics
    /// When no port is free; so do all of them: they are for tests.
    pub fn hook(codes: &[u16]) -> Self {
        Self::hook_at(Ipv4Addr::LOCALHOST.into(), codes)
    }

    /// A hook where pods reach it.
    pub fn hook_at(host: IpAddr, codes: &[u16]) -> Self {
        let codes = Mutex::new(codes.iter().copied().collect::<VecDeque<u16>>());
        Self::of(host, move |stream, heard| {
            if let Some(request) = http(stream) {
                heard.lock().unwrap().push(request);
                let code = codes.lock().unwrap().pop_front().unwrap_or(200);
                let location = if code / 100 == 3 {
                    "Location: /elsewhere\r\n"
                } else {
                    ""
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {code} x\r\n{location}Content-Length: 2\r\nConnection: close\r\n\r\nok"
                );
            }
        })
    }

    /// A mail server without TLS. It takes mail to everybody but `nobody@…`.
    pub fn mail() -> Self {
        Self::of(Ipv4Addr::LOCALHOST.into(), |stream, heard| {
            // A client that hangs up has said all.
            let _ = smtp(stream, heard);
        })
    }

    fn of(host: IpAddr, serve: impl Fn(&mut TcpStream, &Mutex<Vec<String>>) + Send + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keeps = heard.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                serve(&mut stream, &keeps);
            }
        });
        Self { addr, heard }
    }

    /// Host and port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// All it heard: requests, head and body; mails, envelope and text.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn http(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

fn smtp(stream: &mut TcpStream, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut mail = String::new();
    write!(stream, "220 sink\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let word = line.to_ascii_uppercase();
        if word.starts_with("MAIL") || word.starts_with("RCPT") {
            mail.push_str(&line);
        }
        let answer = match word.get(..4).unwrap_or_default() {
            "DATA" => {
                write!(stream, "354 go on\r\n")?;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line)? == 0 || line == ".\r\n" {
                        break;
                    }
                    mail.push_str(&line);
                }
                heard.lock().unwrap().push(std::mem::take(&mut mail));
                "250 kept"
            }
            "RCPT" if word.contains("NOBODY@") => "550 no such user",
            "QUIT" => "221 bye",
            "EHLO" | "HELO" | "MAIL" | "RCPT" => "250 ok",
            _ => "502 what",
        };
        write!(stream, "{answer}\r\n")?;
    }
}
