//! Objects as the server has them, and as we read them. What is printed for machines is the former: a field that is
//! newer than this program is not lost, and one object that cannot be read spoils no list.

use crate::output::note;
use crate::{Failure, exit};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

/// Most objects a page: lists of many thousands come in parts.
const PAGE: u32 = 2000;

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Held<K> {
    raw: DynamicObject,
    /// As we read it.
    pub(crate) object: K,
}

impl<K> Serialize for Held<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<K: DeserializeOwned> Held<K> {
    pub(crate) fn read(mut raw: DynamicObject, kind: &ApiResource) -> Result<Self, Failure> {
        // As kubectl: who wrote what is for debuggers of API servers.
        raw.metadata.managed_fields = None;
        raw.types.get_or_insert_with(|| kube::core::TypeMeta {
            api_version: kind.api_version.clone(),
            kind: kind.kind.clone(),
        });
        let name = raw.name_any();
        let object = serde_json::to_value(&raw)
            .and_then(serde_json::from_value)
            .map_err(|e| {
                Failure::new(
                    exit::FAILED,
                    format!(
                        "{} {name} cannot be read by this version: {e}",
                        kind.kind.to_lowercase()
                    ),
                )
                .hint(
                    "the cluster's Gas Town may be newer: update this program; -o yaml of kubectl get shows the object",
                )
            })?;
        Ok(Self { raw, object })
    }

    /// One that was not sent.
    pub(crate) fn imagined(object: K) -> Result<Self, Failure>
    where
        K: Serialize + Resource<DynamicType = ()>,
    {
        let value = serde_json::to_value(&object)
            .and_then(serde_json::from_value)
            .map_err(|e| Failure::new(exit::FAILED, format!("the object cannot be written: {e}")))?;
        Self::read(value, &ApiResource::erase::<K>(&()))
    }
}

/// Access to one kind, for reading and writing whole objects.
pub(crate) struct Shelf<K> {
    pub(crate) api: Api<DynamicObject>,
    kind: ApiResource,
    held: std::marker::PhantomData<K>,
}

impl<K> Shelf<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize,
{
    pub(crate) fn cluster(client: &Client) -> Self
    where
        K: Resource<Scope = ClusterResourceScope>,
    {
        Self::over(|kind| Api::all_with(client.clone(), kind))
    }

    /// In a namespace; `None`: in all.
    pub(crate) fn within(client: &Client, namespace: Option<&str>) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        Self::over(|kind| match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
            None => Api::all_with(client.clone(), kind),
        })
    }

    fn over(api: impl FnOnce(&ApiResource) -> Api<DynamicObject>) -> Self {
        let kind = ApiResource::erase::<K>(&());
        Self {
            api: api(&kind),
            kind,
            held: std::marker::PhantomData,
        }
    }

    /// The kind's name as people type it.
    pub(crate) fn word(&self) -> String {
        self.kind.kind.to_lowercase()
    }

    pub(crate) fn hold(&self, raw: DynamicObject) -> Result<Held<K>, Failure> {
        Held::read(raw, &self.kind)
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Held<K>>, Failure> {
        match self.api.get(name).await {
            Ok(raw) => self.hold(raw).map(Some),
            // The object; not the kind, which is another failure.
            Err(kube::Error::Api(s)) if s.code == 404 && s.details.as_ref().is_some_and(|d| !d.name.is_empty()) => {
                Ok(None)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// One that has to be there.
    pub(crate) async fn need(&self, name: &str, program: &str) -> Result<Held<K>, Failure> {
        self.get(name).await?.ok_or_else(|| {
            let word = self.word();
            Failure::new(exit::NOT_FOUND, format!("there is no {word} {name}")).hint(format!("{program} {word} list"))
        })
    }

    /// All of them, by name. What cannot be read is named on stderr and left out of tables.
    pub(crate) async fn list(&self, labels: Option<&str>) -> Result<Vec<Held<K>>, Failure> {
        let mut params = ListParams::default().limit(PAGE);
        if let Some(labels) = labels {
            params = params.labels(labels);
        }
        let mut all = Vec::new();
        loop {
            let page = self.api.list(&params).await?;
            let next = page.metadata.continue_.filter(|c| !c.is_empty());
            for raw in page.items {
                match self.hold(raw) {
                    Ok(held) => all.push(held),
                    Err(failure) => note(format!("note: {}", failure.what)),
                }
            }
            match next {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }
}
