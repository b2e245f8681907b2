//! TLS on a loopback address, for kubectl and everything else outside this process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::base64;
use crate::identity::Identity;
use crate::respond;
use crate::server::ApiServer;
use crate::status::ApiError;

/// How long a client may take to say hello.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long open requests may go on after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// One machine's API is for that machine.
    #[error("{0} is not a loopback address; this API is for one machine, use 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("cannot use the API server's certificate: {0}")]
    Certificate(String),
}

/// A listening server.
pub struct Serving {
    /// The address it listens on, with the port it got.
    pub addr: SocketAddr,
    identity: Arc<Identity>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Serving {
    /// A kubeconfig for this server. It holds the token: write it with mode 0600.
    pub fn kubeconfig(&self, default_namespace: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: gastown\n  cluster:\n    server: https://{addr}\n    \
             certificate-authority-data: {authority}\ncontexts:\n- name: gastown\n  context:\n    cluster: gastown\n    \
             user: gastown\n    namespace: {default_namespace}\ncurrent-context: gastown\nusers:\n- name: gastown\n  \
             user:\n    token: {token}\n",
            addr = self.addr,
            authority = base64::encode(self.identity.authority.as_bytes()),
            token = self.identity.token,
        )
    }

    /// Returns when the server has stopped and its connections are closed.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

impl ApiServer {
    /// Serves over TLS until `shutdown`. Every request has to carry the identity's bearer token.
    ///
    /// # Errors
    /// When `addr` is not a loopback address or cannot be had, or the certificate cannot be used.
    pub async fn serve(
        &self,
        addr: SocketAddr,
        identity: Identity,
        shutdown: CancellationToken,
    ) -> Result<Serving, ServeError> {
        if !addr.ip().is_loopback() {
            return Err(ServeError::NotLoopback(addr));
        }
        let acceptor = TlsAcceptor::from(Arc::new(tls(&identity)?));
        let bind = |source| ServeError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        let identity = Arc::new(identity);
        let tasks = TaskTracker::new();
        let door = Door {
            server: self.clone(),
            identity: Arc::clone(&identity),
            acceptor,
            shutdown,
        };
        tasks.spawn(door.keep(listener, tasks.clone()));
        tasks.close();
        Ok(Serving { addr, identity, tasks })
    }
}

fn tls(identity: &Identity) -> Result<ServerConfig, ServeError> {
    let failed = |e: &dyn std::fmt::Display| ServeError::Certificate(e.to_string());
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| failed(&e))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|e| failed(&e))?;
    // Named, not the process default: a library must not depend on what main installed.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| failed(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Clone)]
struct Door {
    server: ApiServer,
    identity: Arc<Identity>,
    acceptor: TlsAcceptor,
    shutdown: CancellationToken,
}

impl Door {
    async fn keep(self, listener: TcpListener, tasks: TaskTracker) {
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(self.clone().attend(stream));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others must end before this can go on.
                    tracing::warn!(%error, "the API server cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn attend(self, stream: TcpStream) {
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await else {
            return;
        };
        let shutdown = self.shutdown.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let door = self.clone();
            async move { Ok::<_, std::convert::Infallible>(door.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            // A client that hangs up in the middle is no news.
            ended = connection.as_mut() => drop(ended),
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                drop(tokio::time::timeout(FAREWELL, connection).await);
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> http::Response<respond::Body> {
        let given = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok());
        if !self.identity.admits(given) {
            return respond::error(&ApiError::unauthorized());
        }
        self.server.answer(request).await
    }
}
