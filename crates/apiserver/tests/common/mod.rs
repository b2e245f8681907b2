//! A server in memory with one kind of its own, and builders for the objects tests write.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use gastown_apiserver::{ApiServer, Options};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, CustomResource, CustomResourceExt, KubeSchema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A kind that is nobody's product.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "things.example.org",
    version = "v1alpha1",
    kind = "Gadget",
    namespaced,
    status = "GadgetStatus",
    shortname = "gd",
    category = "toys",
    printcolumn(name = "Size", type_ = "integer", json_path = ".spec.size"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("!has(self.twin) || self.size % 2 == 1").message("only gadgets of odd size have a twin; remove spec.twin"),
    validation = Rule::new("self.size >= oldSelf.size").message("a gadget never shrinks")
)]
pub struct GadgetSpec {
    #[schemars(range(min = 0, max = 10))]
    pub size: i32,
    #[serde(default = "red", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 20))]
    pub colour: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub twin: Option<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, schemars::JsonSchema)]
pub struct GadgetStatus {
    pub state: String,
}

fn red() -> String {
    "red".into()
}

pub struct Town {
    pub server: ApiServer,
    pub client: Client,
}

impl Town {
    pub async fn new() -> Town {
        Self::open(Options::default()).await
    }

    pub async fn with_history(history: usize) -> Town {
        Self::open(Options {
            history,
            ..Options::default()
        })
        .await
    }

    pub async fn open(options: Options) -> Town {
        let server = ApiServer::open(options).unwrap();
        let client = server.client("default");
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        if crds.get_opt("gadgets.things.example.org").await.unwrap().is_none() {
            crds.create(&PostParams::default(), &Gadget::crd()).await.unwrap();
        }
        Town { server, client }
    }

    pub fn namespaced<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub async fn node(&self, name: &str) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
    }
}

pub fn config(name: &str, key: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {key: value}})).unwrap()
}

pub fn namespace(name: &str) -> Namespace {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

pub fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "none:1"}]},
    }))
    .unwrap()
}

/// The server's refusal.
pub fn status(error: kube::Error) -> kube::core::Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("not an answer of the server: {other}"),
    }
}
