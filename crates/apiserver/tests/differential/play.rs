//! Playing a conversation: requests out, answers in.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::script::{Conversation, Step};

/// The longest wait for a controller or a watch event. Reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) step: String,
    pub(crate) code: u16,
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub(crate) media: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) body: Value,
}

/// Plays conversations on one server.
pub(crate) struct Player {
    client: Client,
    /// Makes namespaces of this run unlike those of any other.
    run: String,
    past: Past,
}

/// How a server's past is forgotten.
pub(crate) enum Past {
    /// The real one's store is told to compact. None: nobody knows its store.
    Compacted(Option<Client>),
    /// Ours forgets the oldest changes of a kind after so many newer ones.
    Outgrown(usize),
}

impl Past {
    /// Forgets what was before that revision, of that collection at least.
    async fn forget(&self, server: &Client, collection: &str, revision: &Value) {
        match self {
            Self::Compacted(None) => panic!("nobody said where its store is: REAL_ETCD"),
            Self::Compacted(Some(store)) => {
                let body = json!({"revision": revision, "physical": true});
                ask(store, "POST", "/v3/kv/compaction", body).await;
            }
            Self::Outgrown(changes) => {
                let list = ask(server, "GET", collection, Value::Null).await;
                outgrow(server, collection, list["items"][0].clone(), *changes).await;
            }
        }
    }
}

/// Changes a collection so often, by an object like that one which comes and goes.
pub(crate) async fn outgrow(server: &Client, collection: &str, like: Value, changes: usize) {
    let mut passing = like;
    passing["metadata"] = json!({"name": "passing"});
    ask(server, "POST", collection, passing).await;
    let passing = format!("{collection}/passing");
    for i in 0..changes {
        let change = json!({"metadata": {"annotations": {"i": i.to_string()}}});
        ask(server, "MERGE", &passing, change).await;
    }
    ask(server, "DELETE", &passing, Value::Null).await;
}

/// What must succeed for a conversation to make sense.
async fn ask(client: &Client, verb: &str, path: &str, body: Value) -> Value {
    let response = send(client, verb, path, "", "", &body).await;
    let code = response.status().as_u16();
    let said = read(response).await;
    assert!(code < 300, "{verb} {path}: {code} {said}");
    said
}

/// An open watch: its answer, and what of its next line has come.
struct Watch {
    body: Body,
    rest: Vec<u8>,
}

#[derive(Default)]
struct Memory {
    answers: BTreeMap<String, Value>,
    watch: Option<Watch>,
}

impl Player {
    /// Brings in the definitions the conversations are about.
    pub(crate) async fn prepare(client: Client, past: Past) -> Player {
        let player = Player {
            client,
            run: uuid::Uuid::new_v4().simple().to_string()[..6].to_owned(),
            past,
        };
        for definition in definitions() {
            let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
            let collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            let made = player.send("POST", collection, "", "", &definition).await;
            assert!(
                matches!(made.status().as_u16(), 201 | 409),
                "{name}: {:?}",
                read(made).await
            );
            let group = definition["spec"]["group"].as_str().unwrap();
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
            for version in definition["spec"]["versions"].as_array().unwrap() {
                let path = format!("/apis/{group}/{}/{plural}", version["name"].as_str().unwrap());
                player.until(&path, 200).await;
            }
        }
        player
    }

    async fn until(&self, path: &str, code: u16) {
        let wait = async {
            while self.send("GET", path, "", "", &Value::Null).await.status() != code {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("{path} never answered {code}"));
    }

    pub(crate) async fn play(&self, conversation: &Conversation) -> (String, Vec<Answer>) {
        let number = conversation
            .title
            .bytes()
            .fold(0u32, |n, b| n.wrapping_mul(31).wrapping_add(b.into()));
        let namespace = format!("d{}-{number:08x}", self.run);
        let body = json!({"metadata": {"name": namespace}});
        let made = self.send("POST", "/api/v1/namespaces", "", "", &body).await;
        assert_eq!(made.status(), 201, "{}: {:?}", conversation.title, read(made).await);
        let mut memory = Memory::default();
        let mut answers = Vec::new();
        for step in &conversation.steps {
            let taken = tokio::time::timeout(PATIENCE, self.take(step, &namespace, &mut memory)).await;
            answers.push(taken.unwrap_or_else(|_| Answer {
                step: step.text.clone(),
                code: 0,
                media: String::new(),
                warnings: vec![format!("nothing came of it in {PATIENCE:?}")],
                body: memory.answers.remove("last").unwrap_or_default(),
            }));
        }
        (namespace, answers)
    }

    async fn take(&self, step: &Step, namespace: &str, memory: &mut Memory) -> Answer {
        if step.verb == "EVENTS" {
            let body = memory.events(&step.body).await;
            return step.answer(200, String::new(), Vec::new(), body);
        }
        let fill = |text: &str| filled(text, namespace, &memory.answers);
        let path = fill(&step.path);
        let body = filled_value(&step.body, &fill);
        if step.verb == "FORGET" {
            self.past.forget(&self.client, &path, &body).await;
            return step.answer(200, String::new(), Vec::new(), Value::Null);
        }
        let (media, accept) = (
            step.options.media.as_deref().unwrap_or_default(),
            step.options.accept.as_deref().unwrap_or_default(),
        );
        loop {
            let response = self.send(&step.verb, &path, media, accept, &body).await;
            let (code, head) = (response.status().as_u16(), response.headers().clone());
            let text = |v: &http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
            let media = head.get(header::CONTENT_TYPE).map(text).unwrap_or_default();
            let warnings: Vec<String> = head.get_all(header::WARNING).iter().map(text).collect();
            if step.verb == "WATCH" && code == 200 {
                memory.watch = Some(Watch {
                    body: response.into_body(),
                    rest: Vec::new(),
                });
                return step.answer(code, media, warnings, Value::Null);
            }
            let content = read(response).await;
            memory.answers.insert("last".into(), content.clone());
            if step.is_settled(code, &content) {
                if let Some(name) = &step.options.name {
                    memory.answers.insert(name.clone(), content.clone());
                }
                return step.answer(code, media, warnings, content);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn send(&self, verb: &str, path: &str, media: &str, accept: &str, body: &Value) -> Response<Body> {
        send(&self.client, verb, path, media, accept, body).await
    }
}

/// Sends what a verb of a conversation means.
async fn send(client: &Client, verb: &str, path: &str, media: &str, accept: &str, body: &Value) -> Response<Body> {
    let (method, default_media) = match verb {
        "MERGE" => ("PATCH", "application/merge-patch+json"),
        "JSON" => ("PATCH", "application/json-patch+json"),
        "STRATEGIC" => ("PATCH", "application/strategic-merge-patch+json"),
        "APPLY" => ("PATCH", "application/apply-patch+yaml"),
        "WATCH" => ("GET", ""),
        method => (method, "application/json"),
    };
    let media = if media.is_empty() { default_media } else { media };
    let accept = if accept.is_empty() { "application/json" } else { accept };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, accept);
    let content = match body {
        Value::Null => Vec::new(),
        // A text is sent as it stands: for what is no JSON.
        Value::String(text) => text.clone().into_bytes(),
        value => serde_json::to_vec(value).unwrap(),
    };
    if !content.is_empty() && !media.is_empty() {
        request = request.header(header::CONTENT_TYPE, media);
    }
    let request = request.body(Body::from(content)).unwrap();
    client.send(request).await.unwrap_or_else(|error| {
        let mut none = Response::new(Body::from(format!("{verb} {path}: no answer: {error}").into_bytes()));
        *none.status_mut() = http::StatusCode::BAD_GATEWAY;
        none
    })
}

impl Step {
    fn answer(&self, code: u16, media: String, warnings: Vec<String>, body: Value) -> Answer {
        Answer {
            step: self.text.clone(),
            code,
            media,
            warnings,
            body: self.reduced(body),
        }
    }

    fn is_settled(&self, code: u16, body: &Value) -> bool {
        match &self.options.until {
            None => true,
            Some(Value::Number(wanted)) => wanted.as_u64() == Some(code.into()),
            Some(Value::Object(wanted)) => wanted
                .iter()
                .all(|(at, value)| body.pointer(at).unwrap_or(&Value::Null) == value),
            Some(other) => panic!("{}: until what? {other}", self.text),
        }
    }

    /// What is compared of a body.
    fn reduced(&self, mut body: Value) -> Value {
        for (at, fields) in &self.options.only {
            if let Some(list) = body.pointer_mut(at).and_then(Value::as_array_mut) {
                list.retain(|item| {
                    fields.iter().all(|(field, wanted)| {
                        let found = field.split('.').try_fold(item, |v, f| v.get(f)).and_then(Value::as_str);
                        wanted.iter().any(|w| Some(w.as_str()) == found)
                    })
                });
            }
        }
        if self.options.pick.is_empty() {
            return body;
        }
        let found = |at: &String| (at.clone(), body.pointer(at).cloned().unwrap_or_default());
        self.options
            .pick
            .iter()
            .map(found)
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl Memory {
    async fn events(&mut self, how_many: &Value) -> Value {
        let watch = self.watch.as_mut().expect("a watch is open");
        let limit = how_many.as_u64().unwrap_or(u64::MAX);
        let mut events = Vec::new();
        while (events.len() as u64) < limit {
            let Some(line) = watch.line().await else { break };
            let event: Value =
                serde_json::from_slice(&line).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&line)));
            // When a bookmark comes is the server's affair; only the one that ends the initial events has its place.
            let bookmark = event.get("type").and_then(Value::as_str) == Some("BOOKMARK");
            if !bookmark || event.to_string().contains("initial-events-end") {
                events.push(event);
            }
        }
        Value::Array(events)
    }
}

impl Watch {
    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=end).collect();
                line.pop();
                return Some(line);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.rest.extend(frame.into_data().unwrap_or_default()),
                _ => return None,
            }
        }
    }
}

async fn read(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)))
}

/// `$ns`, and `${name.path.to.field}` of remembered answers.
fn filled(text: &str, namespace: &str, answers: &BTreeMap<String, Value>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let (name, tail) = after[2..].split_once('}').expect("a closed ${");
        let mut words = name.split('.');
        let mut value = &answers.get(words.next().unwrap()).cloned().unwrap_or_default();
        for word in words {
            value = match word.parse::<usize>() {
                Ok(index) => value.get(index),
                Err(_) => value.get(word),
            }
            .unwrap_or(&Value::Null);
        }
        let owned = value.clone();
        out.push_str(owned.as_str().unwrap_or(&owned.to_string()));
        rest = tail;
    }
    out.push_str(rest);
    out.replace("$ns", namespace)
}

fn filled_value(value: &Value, fill: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::from(fill(text)),
        Value::Array(items) => items.iter().map(|i| filled_value(i, fill)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| (fill(k), filled_value(v, fill)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// The test kinds, and the definitions the chart ships.
fn definitions() -> Vec<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![here.join("tests/differential/definitions.yaml")];
    let chart = here.join("../../charts/gastown-operator/files/crds");
    files.extend(std::fs::read_dir(chart).unwrap().map(|f| f.unwrap().path()));
    files.sort();
    files
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        })
        .collect()
}
