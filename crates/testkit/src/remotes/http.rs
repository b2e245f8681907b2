//! A forge over HTTP or HTTPS: accounts, an authority of its own, and moods.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::door::{Door, Mood};
use super::{Access, Repositories, backend};

/// A certificate authority of a company that nobody else trusts.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Citadel test authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its certificate, as a `ca.crt` holds it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn acceptor(&self, names: &[String]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, "git server");
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A server to be.
#[derive(Debug)]
pub struct HttpPlan {
    root: PathBuf,
    addr: SocketAddr,
    names: Vec<String>,
    public: bool,
    accounts: Vec<Account>,
}

#[derive(Clone, Debug)]
struct Account {
    /// None: any name will do, as with the tokens of forges.
    user: Option<String>,
    password: String,
    access: Access,
}

impl HttpPlan {
    /// Listens there instead of on a free loopback port; for others on a bridge.
    #[must_use]
    pub fn at(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Its certificate holds for this host or address too.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Anybody may fetch.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.public = true;
        self
    }

    /// Who has this name and password.
    #[must_use]
    pub fn account(mut self, user: &str, password: &str, access: Access) -> Self {
        self.accounts.push(Account {
            user: Some(user.to_owned()),
            password: password.to_owned(),
            access,
        });
        self
    }

    /// Who has this token, whatever name comes with it.
    #[must_use]
    pub fn token(mut self, token: &str, access: Access) -> Self {
        self.accounts.push(Account {
            user: None,
            password: token.to_owned(),
            access,
        });
        self
    }

    /// Without TLS.
    #[must_use]
    pub fn start(self) -> HttpGit {
        self.serve(None)
    }

    /// With TLS and a certificate of this authority.
    #[must_use]
    pub fn start_tls(self, authority: &Authority) -> HttpGit {
        let acceptor = authority.acceptor(&self.names);
        self.serve(Some(acceptor))
    }

    fn serve(self, tls: Option<TlsAcceptor>) -> HttpGit {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let desk = Desk {
            root: self.root,
            public: self.public,
            accounts: self.accounts,
            seen: Arc::clone(&seen),
        };
        let desk = Arc::new(desk);
        let door = Door::open(self.addr, move |stream, mood| {
            attend(stream, tls.clone(), Arc::clone(&desk), mood)
        });
        HttpGit { door, scheme, seen }
    }
}

/// A running server. Dropped, it is gone.
#[derive(Debug)]
pub struct HttpGit {
    door: Door,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl HttpGit {
    /// A server of these repositories: private, without accounts, on a free loopback port.
    #[must_use]
    pub fn of(repositories: &Repositories) -> HttpPlan {
        HttpPlan::of(repositories.root())
    }

    /// The address of a repository by the server's own address.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        self.url_at(&self.door.addr.ip().to_string(), name)
    }

    /// The address of a repository, by the name its callers know the host by.
    #[must_use]
    pub fn url_at(&self, host: &str, name: &str) -> String {
        format!("{}://{host}:{}/{name}", self.scheme, self.door.addr.port())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr
    }

    /// From now on.
    pub fn feel(&self, mood: Mood) {
        self.door.feel(mood);
    }

    /// Connections are refused from now on, and those that stand are cut.
    pub fn down(&self) {
        self.door.down();
    }

    /// Listens at the same address again.
    pub fn up(&self) {
        self.door.up();
    }

    /// The requests that came, as `<method> <path and query> <authorization header>`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl HttpPlan {
    /// A server of the repositories in a folder.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            names: vec!["localhost".into(), "127.0.0.1".into()],
            public: false,
            accounts: Vec::new(),
        }
    }
}

struct Desk {
    root: PathBuf,
    public: bool,
    accounts: Vec<Account>,
    seen: Arc<Mutex<Vec<String>>>,
}

async fn attend(stream: TcpStream, tls: Option<TlsAcceptor>, desk: Arc<Desk>, mood: Arc<Mutex<Mood>>) {
    let now = mood.lock().unwrap().clone();
    match now {
        Mood::Silent => return hold(stream).await,
        Mood::Closing => return,
        _ => {}
    }
    match tls {
        Some(tls) => {
            // Whoever does not trust us goes away here.
            if let Ok(stream) = tls.accept(stream).await {
                converse(stream, desk, mood).await;
            }
        }
        None => converse(stream, desk, mood).await,
    }
}

/// Holds a caller for as long as the server lives.
pub(super) async fn hold<S>(stream: S) {
    std::future::pending::<()>().await;
    drop(stream);
}

async fn converse<S>(stream: S, desk: Arc<Desk>, mood: Arc<Mutex<Mood>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (desk, mood) = (Arc::clone(&desk), mood.lock().unwrap().clone());
        async move { desk.answer(request, mood).await }
    });
    // A caller that hangs up, and a mood that hangs up on one, are no news.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// What ends a conversation without an answer.
#[derive(Debug, thiserror::Error)]
#[error("hung up")]
struct HungUp;

impl Desk {
    async fn answer(&self, request: Request<Incoming>, mood: Mood) -> Result<Response<Full<Bytes>>, HungUp> {
        let (parts, body) = request.into_parts();
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let line = format!("{} {} {}", parts.method, parts.uri, given.unwrap_or("-"));
        self.seen.lock().unwrap().push(line);
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let writes = path.contains("git-receive-pack");
        match &mood {
            Mood::Mute => return std::future::pending().await,
            Mood::Status(code) => return Ok(plain(StatusCode::from_u16(*code).unwrap())),
            Mood::Redirect(to) => {
                let mut answer = plain(StatusCode::MOVED_PERMANENTLY);
                let place = format!("{}{path}", to.trim_end_matches('/')).parse().unwrap();
                answer.headers_mut().insert(header::LOCATION, place);
                return Ok(answer);
            }
            _ => {}
        }
        let user = match self.admit(given, writes) {
            Ok(user) => user,
            Err(StatusCode::UNAUTHORIZED) => return Ok(unauthorized()),
            Err(status) => return Ok(plain(status)),
        };
        let body = body.collect().await.map_err(|_| HungUp)?.to_bytes();
        let is_push = parts.method == http::Method::POST && writes;
        let answer = backend::answer(&self.root, &parts, body, user.as_deref()).await;
        match mood {
            Mood::Cutting => Ok(half(answer).await),
            Mood::CuttingAfterPush if is_push => Err(HungUp),
            _ => Ok(answer),
        }
    }

    /// Who it is, where that matters.
    fn admit(&self, given: Option<&str>, writes: bool) -> Result<Option<String>, StatusCode> {
        let Some(given) = given else {
            return if self.public && !writes {
                Ok(None)
            } else {
                Err(StatusCode::UNAUTHORIZED)
            };
        };
        let decoded = given
            .strip_prefix("Basic ")
            .and_then(decode)
            .ok_or(StatusCode::UNAUTHORIZED)?;
        let (user, password) = decoded.split_once(':').ok_or(StatusCode::UNAUTHORIZED)?;
        let account = self
            .accounts
            .iter()
            .find(|a| a.password == password && a.user.as_deref().is_none_or(|name| name == user));
        match account {
            Some(account) if writes && account.access == Access::Read => Err(StatusCode::FORBIDDEN),
            Some(account) => Ok((account.access == Access::Write).then(|| user.to_owned())),
            None => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(format!("{status}\n"))));
    *answer.status_mut() = status;
    answer
}

fn unauthorized() -> Response<Full<Bytes>> {
    let mut answer = plain(StatusCode::UNAUTHORIZED);
    let realm = header::HeaderValue::from_static("Basic realm=\"git\"");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    answer
}

/// Says how long the answer is, and sends half of it: hyper then hangs up.
async fn half(answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut parts, body) = answer.into_parts();
    let whole = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    parts
        .headers
        .insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    Response::from_parts(parts, Full::new(whole.slice(..whole.len() / 2)))
}

/// Standard base64, as a header holds it.
fn decode(text: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut word, mut bits, mut out) = (0_u32, 0, Vec::new());
    for letter in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|a| *a == letter)?;
        word = (word << 6 | u32::try_from(value).ok()?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(word >> bits & 0xff).ok()?);
        }
    }
    String::from_utf8(out).ok()
}
