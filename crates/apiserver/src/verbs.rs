//! The verbs on resources: from query and body to a read or a write.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::kinds::BuiltIn;
use crate::object::Object;
use crate::request::{Context, ResourcePath, View, decode_body, media_type};
use crate::respond::{self, Body};
use crate::server::ApiServer;
use crate::status::{self, ApiError, ApiResult, FieldError};
use crate::store::Txn;
use crate::table;
use crate::write::{self, DeleteOptions, Deleted, Patch, Propagation, Strictness, Subject, Update, Written};

/// One request about a resource.
pub(crate) struct Call<'a> {
    pub(crate) server: &'a ApiServer,
    pub(crate) resource: Arc<Resource>,
    pub(crate) path: &'a ResourcePath,
    pub(crate) context: &'a Context,
}

impl Call<'_> {
    pub(crate) async fn dispatch(&self, body: &Bytes) -> ApiResult<Response<Body>> {
        let mut response = self.answer(body).await?;
        let version = self.resource.version(&self.path.version);
        if let Some(warning) = version.and_then(|v| v.deprecation.as_ref()) {
            respond::warn(&mut response, std::slice::from_ref(warning));
        }
        Ok(response)
    }

    async fn answer(&self, body: &Bytes) -> ApiResult<Response<Body>> {
        let method = &self.context.method;
        match (self.path.name.as_deref(), self.path.subresource.as_deref()) {
            (None, _) if method == Method::GET => self.collection().await,
            (None, _) if method == Method::POST => self.create(body).await,
            (None, _) if method == Method::DELETE => self.delete_collection(body).await,
            (Some(name), None) if method == Method::GET => self.get(name).await,
            (Some(name), Some("status")) if method == Method::GET && self.has_status() => self.get(name).await,
            (Some(name), None) if method == Method::DELETE => self.delete(name, body).await,
            (Some(name), sub) if method == Method::PUT => self.replace(name, self.status_only(sub)?, body).await,
            (Some(name), sub) if method == Method::PATCH => self.patch(name, self.status_only(sub)?, body).await,
            (Some(name), Some("log")) if self.resource.is(BuiltIn::Pod) && method == Method::GET => {
                self.log(name).await
            }
            (Some(name), Some("binding")) if self.resource.is(BuiltIn::Pod) && method == Method::POST => {
                self.bind(name, body).await
            }
            (Some(_), Some(other)) if !self.has_subresource(other) => Err(ApiError::not_served(format!(
                "the server could not find the requested resource: {}/{other} is not served by this one-machine API",
                self.path.plural
            ))),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    fn has_status(&self) -> bool {
        self.resource.version(&self.path.version).is_some_and(|v| v.has_status)
    }

    fn has_subresource(&self, name: &str) -> bool {
        name == "status" && self.has_status() || self.resource.is(BuiltIn::Pod) && matches!(name, "log" | "binding")
    }

    fn status_only(&self, subresource: Option<&str>) -> ApiResult<bool> {
        match subresource {
            None => Ok(false),
            Some("status") if self.has_status() => Ok(true),
            Some(other) => Err(ApiError::not_served(format!(
                "the server could not find the requested resource: {}/{other} is not served by this one-machine API",
                self.path.plural
            ))),
        }
    }

    pub(crate) fn subject(&self, name: &str) -> Subject {
        Subject {
            resource: Arc::clone(&self.resource),
            version: self.path.version.clone(),
            namespace: self.path.namespace.clone(),
            name: name.to_owned(),
        }
    }

    fn strictness(&self) -> ApiResult<Strictness> {
        self.check_options()?;
        match self.context.query.text("fieldValidation") {
            "" | "Warn" => Ok(Strictness::Warn),
            "Strict" => Ok(Strictness::Strict),
            "Ignore" => Ok(Strictness::Ignore),
            other => {
                let choices = [json!(""), json!("Ignore"), json!("Strict"), json!("Warn")];
                let error = FieldError::unsupported("fieldValidation", &Value::from(other), &choices);
                Err(ApiError::invalid_options(self.options_kind(), vec![error]))
            }
        }
    }

    fn dry_run(&self) -> ApiResult<bool> {
        match self.context.query.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(self.bad_dry_run(&json!([other]))),
        }
    }

    /// What is asked of every write, whatever its body.
    fn check_options(&self) -> ApiResult<()> {
        let query = &self.context.query;
        let mut errors = Vec::new();
        if query.text("fieldManager").len() > 128 {
            errors.push(FieldError::too_long("fieldManager", 128));
        }
        if query.get("force").is_some() {
            let detail = "may not be specified for non-apply patch";
            errors.push(FieldError::forbidden("force", detail));
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid_options(self.options_kind(), errors))
    }

    fn bad_dry_run(&self, value: &Value) -> ApiError {
        let error = FieldError::unsupported("dryRun", value, &[json!("All")]);
        ApiError::invalid_options(self.options_kind(), vec![error])
    }

    fn options_kind(&self) -> &'static str {
        match self.context.method {
            Method::PUT => "UpdateOptions",
            Method::PATCH => "PatchOptions",
            Method::DELETE => "DeleteOptions",
            _ => "CreateOptions",
        }
    }

    /// Runs a change, or only rehearses it.
    async fn change<T, F>(&self, dry: bool, job: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Txn<'_>) -> ApiResult<T> + Send + 'static,
    {
        if dry {
            self.server.inner.rehearse(job)
        } else {
            self.server.inner.write(job).await
        }
    }

    async fn get(&self, name: &str) -> ApiResult<Response<Body>> {
        let subject = self.subject(name);
        let found = self.server.inner.state().get(&subject.key()).cloned();
        self.show(StatusCode::OK, &found.ok_or_else(|| subject.missing())?, &[])
    }

    async fn create(&self, body: &Bytes) -> ApiResult<Response<Body>> {
        let value = decode_body(&self.context.headers, body)?;
        if self.resource.namespaced && self.path.namespace.is_empty() {
            return Err(ApiError::method_not_allowed());
        }
        let (subject, strictness) = (self.subject(""), self.strictness()?);
        let written = self
            .change(self.dry_run()?, move |txn| {
                write::create(txn, &subject, value, strictness)
            })
            .await?;
        self.shown(StatusCode::CREATED, &written)
    }

    async fn replace(&self, name: &str, status_only: bool, body: &Bytes) -> ApiResult<Response<Body>> {
        let value = decode_body(&self.context.headers, body)?;
        let subject = self.subject(name);
        let how = Update {
            status_only,
            strictness: self.strictness()?,
            must_name_revision: true,
        };
        let written = self
            .change(self.dry_run()?, move |txn| write::update(txn, &subject, value, how))
            .await?;
        self.shown(StatusCode::OK, &written)
    }

    async fn patch(&self, name: &str, status_only: bool, body: &Bytes) -> ApiResult<Response<Body>> {
        let patch = self.decode_patch(body)?;
        let subject = self.subject(name);
        let how = Update {
            status_only,
            strictness: self.strictness()?,
            must_name_revision: false,
        };
        let written = self
            .change(self.dry_run()?, move |txn| write::patch(txn, &subject, &patch, how))
            .await?;
        self.shown(StatusCode::OK, &written)
    }

    fn decode_patch(&self, body: &Bytes) -> ApiResult<Patch> {
        let bad = |e: serde_json::Error| ApiError::bad_request(format!("error decoding patch: {e}"));
        match media_type(&self.context.headers) {
            "application/json-patch+json" => Ok(Patch::Json(serde_json::from_slice(body).map_err(bad)?)),
            "application/merge-patch+json" => Ok(Patch::Merge(self.decode_merge(body)?)),
            "application/strategic-merge-patch+json" if self.resource.built_in.is_some() => {
                Ok(Patch::Strategic(self.decode_merge(body)?))
            }
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => Err(ApiError::unsupported_media(
                "server-side apply is not served by this one-machine API; use kubectl apply without --server-side, \
                 or send application/merge-patch+json",
            )),
            other => Err(ApiError::unsupported_media(format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json (got {other:?})"
            ))),
        }
    }

    fn decode_merge(&self, body: &Bytes) -> ApiResult<Value> {
        let value: Value =
            serde_json::from_slice(body).map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
        if value.is_object() {
            Ok(value)
        } else {
            Err(ApiError::bad_request("a merge patch is a JSON object"))
        }
    }

    async fn bind(&self, name: &str, body: &Bytes) -> ApiResult<Response<Body>> {
        let binding = decode_body(&self.context.headers, body)?;
        let subject = self.subject(name);
        self.change(self.dry_run()?, move |txn| write::bind(txn, &subject, &binding))
            .await?;
        let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(respond::json(StatusCode::CREATED, &done))
    }

    async fn delete(&self, name: &str, body: &Bytes) -> ApiResult<Response<Body>> {
        let (options, dry) = self.delete_options(body)?;
        let subject = self.subject(name);
        let deleted = self
            .change(dry, move |txn| write::delete(txn, &subject, &options))
            .await?;
        let Deleted { object, gone } = deleted;
        // Upstream answers with the object where it lives on, and for pods always.
        if !gone || self.resource.is(BuiltIn::Pod) {
            return self.show(StatusCode::OK, &object, &[]);
        }
        let mut about = self.resource.about(name);
        object.uid().clone_into(&mut about.uid);
        Ok(respond::json(StatusCode::OK, &status::success(&about)))
    }

    async fn delete_collection(&self, body: &Bytes) -> ApiResult<Response<Body>> {
        let refused = self.resource.built_in.is_some_and(|kind| !kind.deletes_collections());
        if refused || (self.resource.namespaced && self.path.namespace.is_empty()) {
            return Err(ApiError::method_not_allowed());
        }
        let (options, dry) = self.delete_options(body)?;
        let selector = self.selector()?;
        let (subject, namespace) = (self.subject(""), self.path.namespace.clone());
        let deleted = self
            .change(dry, move |txn| {
                let mut deleted = Vec::new();
                for (key, object) in txn.list(&subject.resource.id, &namespace) {
                    // An earlier deletion of this loop may have taken it along.
                    if selector.admits(&object.value) && txn.get(&key).is_some() {
                        let one = Subject {
                            name: key.name.clone(),
                            ..subject.clone()
                        };
                        deleted.push(write::delete(txn, &one, &options)?.object);
                    }
                }
                Ok(deleted)
            })
            .await?;
        let rv = self.server.inner.state().rv;
        let mut metadata = json!({"resourceVersion": rv.to_string()});
        if let (None, Some(map)) = (self.resource.built_in, metadata.as_object_mut()) {
            map.insert("continue".to_owned(), Value::from(""));
        }
        Ok(self.list_response(deleted.iter(), metadata))
    }

    fn delete_options(&self, body: &Bytes) -> ApiResult<(DeleteOptions, bool)> {
        let value = if body.is_empty() {
            json!({})
        } else {
            decode_body(&self.context.headers, body)?
        };
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or("DeleteOptions");
        if kind != "DeleteOptions" {
            return Err(ApiError::bad_request(format!(
                "the body of a delete is DeleteOptions, not {kind}"
            )));
        }
        let query = &self.context.query;
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let policy = text("/propagationPolicy").or_else(|| query.get("propagationPolicy").map(str::to_owned));
        let orphan = value.get("orphanDependents").and_then(Value::as_bool);
        let propagation = match policy.as_deref() {
            None | Some("") if orphan == Some(true) => Some(Propagation::Orphan),
            None | Some("") => None,
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let choices = ["Foreground", "Background", "Orphan", "nil"].map(Value::from);
                let error = FieldError::unsupported("propagationPolicy", &Value::from(other), &choices);
                return Err(ApiError::invalid_options("DeleteOptions", vec![error]));
            }
        };
        if let (Some(policy), Some(_)) = (policy.as_deref().filter(|p| !p.is_empty()), orphan) {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            let error = FieldError::invalid("propagationPolicy", &Value::from(policy), detail);
            return Err(ApiError::invalid_options("DeleteOptions", vec![error]));
        }
        let grace = match value.get("gracePeriodSeconds").filter(|g| !g.is_null()) {
            Some(grace) => Some(grace.as_i64().ok_or_else(|| {
                ApiError::bad_request(format!(
                    "gracePeriodSeconds of DeleteOptions is no number of seconds: {grace}"
                ))
            })?),
            None => query.number("gracePeriodSeconds")?,
        };
        let dry = match value.get("dryRun").filter(|d| !d.is_null()) {
            None => false,
            Some(all) if *all == json!(["All"]) => true,
            Some(none) if *none == json!([]) => false,
            Some(other) => return Err(self.bad_dry_run(other)),
        };
        let options = DeleteOptions {
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            grace,
            propagation,
        };
        Ok((options, dry || self.dry_run()?))
    }

    fn shown(&self, code: StatusCode, written: &Written) -> ApiResult<Response<Body>> {
        self.show(code, &written.object, &written.warnings)
    }

    /// One object in the form the client wants.
    fn show(&self, code: StatusCode, object: &Arc<Object>, warnings: &[String]) -> ApiResult<Response<Body>> {
        let content = match self.context.view {
            View::Full => self.rendered(object),
            View::Partial => crate::object::to_bytes(&table::partial(&object.value)),
            View::Table => {
                let shape = table::Shape::new(&self.resource, &self.path.version, self.context);
                crate::object::to_bytes(&shape.table(
                    [object].into_iter(),
                    json!({"resourceVersion": object.rv.to_string()}),
                    true,
                ))
            }
        };
        let mut response = respond::bytes(code, content);
        respond::warn(&mut response, warnings);
        Ok(response)
    }

    /// The bytes of an object in the version of the URL.
    pub(crate) fn rendered(&self, object: &Object) -> Bytes {
        render(&self.resource, &self.path.version, object)
    }
}

/// The bytes of an object in a version; shared when that is the stored one.
pub(crate) fn render(resource: &Resource, version: &str, object: &Object) -> Bytes {
    if resource.storage == version {
        return object.json();
    }
    let mut value = object.value.clone();
    write::in_version(resource, &mut value, version);
    crate::object::to_bytes(&value)
}
