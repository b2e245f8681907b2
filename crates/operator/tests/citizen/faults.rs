//! A network and a server that misbehave on command, between an operator and the API server of one machine.

use futures::{StreamExt, TryStreamExt};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use std::io::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What befalls a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is refused with that status and `Retry-After`.
    Refused { code: u16, after: Option<u64> },
    /// No connection.
    Down,
    /// It arrives and is never answered.
    Unanswered,
    /// It is answered, this much later.
    Slow(Duration),
    /// It never arrives, and nothing says so.
    Lost,
    /// A watch that opens and says nothing.
    Mute,
}

type Answer = Response<UnsyncBoxBody<bytes::Bytes, tower::BoxError>>;
type Chooses = Arc<dyn Fn(&Call) -> Option<Fault> + Send + Sync>;

/// A call, as the network saw it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub method: Method,
    pub uri: String,
    pub asked: Instant,
    pub answered: Option<Instant>,
    pub body: String,
}

impl Call {
    pub(crate) fn writes(&self) -> bool {
        self.method != Method::GET
    }
    pub(crate) fn is_lease(&self) -> bool {
        self.uri.contains("/leases")
    }
    pub(crate) fn watches(&self) -> bool {
        self.uri.contains("watch=true")
    }
}

/// The network of one operator.
#[derive(Clone)]
pub(crate) struct Network {
    chooses: Arc<Mutex<Chooses>>,
    calls: Arc<Mutex<Vec<Call>>>,
    cut: Arc<Mutex<CancellationToken>>,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            chooses: Arc::new(Mutex::new(Arc::new(|_| None))),
            calls: Arc::default(),
            cut: Arc::default(),
        }
    }

    /// From now on.
    pub(crate) fn set(&self, chooses: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) {
        *self.chooses.lock().unwrap() = Arc::new(chooses);
    }

    /// Breaks every watch that is open.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }

    /// Everything that was called so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// A client whose calls pass through this network.
    pub(crate) fn client(&self, server: &gastown_apiserver::ApiServer, namespace: &str) -> Client {
        let (network, inner) = (self.clone(), server.client(namespace));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (network, inner) = (network.clone(), inner.clone());
            async move { network.carry(inner, request).await }
        });
        Client::new(service, namespace)
    }

    async fn carry(&self, inner: Client, request: Request<Body>) -> Result<Answer, tower::BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let call = Call {
            method: parts.method.clone(),
            uri: parts.uri.to_string(),
            asked: Instant::now(),
            answered: None,
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let fault = (self.chooses.lock().unwrap().clone())(&call);
        let (nth, watches) = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(call.clone());
            (calls.len() - 1, call.watches())
        };
        let request = Request::from_parts(parts, Body::from(body.to_vec()));
        match fault {
            Some(Fault::Down) => return Err(Box::new(Error::other("connection refused"))),
            Some(Fault::Lost) => return std::future::pending().await,
            Some(Fault::Unanswered) => {
                inner.send(request).await?;
                return std::future::pending().await;
            }
            Some(Fault::Slow(wait)) => tokio::time::sleep(wait).await,
            Some(Fault::Refused { code, after }) => {
                let mut answer = Response::builder().status(code);
                if let Some(after) = after {
                    answer = answer.header("Retry-After", after.to_string());
                }
                return Ok(answer.body(whole(Body::from(b"as ordered".to_vec())))?);
            }
            Some(Fault::Mute) => {
                let nothing = futures::stream::pending::<Result<Frame<bytes::Bytes>, Error>>();
                return Ok(Response::new(whole(StreamBody::new(nothing))));
            }
            None => {}
        }
        let answer = inner.send(request).await?;
        self.calls.lock().unwrap()[nth].answered = Some(Instant::now());
        if !watches {
            return Ok(answer.map(whole));
        }
        let cut = self.cut.lock().unwrap().clone();
        let lines = answer.into_body().into_data_stream();
        let frames = lines
            .map_ok(Frame::data)
            .map_err(Error::other)
            .take_until(cut.cancelled_owned());
        let broken = futures::stream::once(async { Err(Error::other("connection reset")) });
        Ok(Response::new(whole(StreamBody::new(frames.chain(broken)))))
    }
}

fn whole<B>(body: B) -> UnsyncBoxBody<bytes::Bytes, tower::BoxError>
where
    B: BodyExt<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
