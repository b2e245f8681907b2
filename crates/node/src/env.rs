//! A container's environment: `envFrom`, `env` with its sources, and `$(VAR)` references.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};

use crate::sources::{SourceError, Sources};

/// Variables in the order they were given; a later one of the same name replaces an earlier one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    pub(crate) fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn default_to(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.set(name, value.to_owned());
        }
    }

    pub(crate) fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    /// Replaces `$(NAME)` by the variable's value. `$$` is a dollar; an unknown name stays as it is.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let after = from.get(1..).unwrap_or_default();
            if let Some(tail) = after.strip_prefix('$') {
                out.push('$');
                rest = tail;
                continue;
            }
            let named = after.strip_prefix('(').and_then(|s| s.split_once(')'));
            match named {
                Some((name, tail)) => {
                    match self.get(name) {
                        Some(value) => out.push_str(value),
                        None => {
                            out.push_str("$(");
                            out.push_str(name);
                            out.push(')');
                        }
                    }
                    rest = tail;
                }
                None => {
                    out.push('$');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// Reads everything a container's environment is made of.
///
/// # Errors
/// A Secret, ConfigMap or key that is missing and not optional, or a source this node does not know.
pub(crate) async fn resolve(
    container: &Container,
    pod: &Pod,
    node: &str,
    sources: &Sources,
) -> Result<Environment, SourceError> {
    let mut env = Environment::default();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let values = if let Some(r) = &from.config_map_ref {
            sources.config_map(&r.name, r.optional == Some(true)).await?
        } else if let Some(r) = &from.secret_ref {
            sources.secret(&r.name, r.optional == Some(true)).await?
        } else {
            BTreeMap::new()
        };
        for (key, value) in values {
            env.set(&format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
        }
    }
    for var in container.env.iter().flatten() {
        if let Some(value) = value_of(var, pod, node, sources, &env).await? {
            env.set(&var.name, value);
        }
    }
    Ok(env)
}

async fn value_of(
    var: &EnvVar,
    pod: &Pod,
    node: &str,
    sources: &Sources,
    env: &Environment,
) -> Result<Option<String>, SourceError> {
    let Some(from) = &var.value_from else {
        return Ok(Some(env.expand(var.value.as_deref().unwrap_or_default())));
    };
    let EnvVarSource {
        config_map_key_ref,
        secret_key_ref,
        field_ref,
        ..
    } = from;
    if let Some(r) = config_map_key_ref {
        let optional = r.optional == Some(true);
        let values = sources.config_map(&r.name, optional).await?;
        return key_of("ConfigMap", &r.name, &r.key, optional, values);
    }
    if let Some(r) = secret_key_ref {
        let optional = r.optional == Some(true);
        let values = sources.secret(&r.name, optional).await?;
        return key_of("Secret", &r.name, &r.key, optional, values);
    }
    if let Some(r) = field_ref {
        return field(pod, node, &r.field_path)
            .map(Some)
            .ok_or_else(|| SourceError::Unsupported(format!("fieldRef {}", r.field_path)));
    }
    Err(SourceError::Unsupported(format!(
        "the source of the variable {}",
        var.name
    )))
}

fn key_of(
    kind: &'static str,
    name: &str,
    key: &str,
    optional: bool,
    mut values: BTreeMap<String, Vec<u8>>,
) -> Result<Option<String>, SourceError> {
    match values.remove(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        None if optional => Ok(None),
        None => Err(SourceError::MissingKey {
            kind,
            name: name.to_owned(),
            key: key.to_owned(),
        }),
    }
}

/// The value of a downward-API field; `None` for a path this node does not know. A label or
/// annotation that is not there is empty.
pub(crate) fn field(pod: &Pod, node: &str, path: &str) -> Option<String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    let value = match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "metadata.labels" => Some(listed(meta.labels.as_ref())),
        "metadata.annotations" => Some(listed(meta.annotations.as_ref())),
        "spec.nodeName" => Some(node.to_owned()),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()),
        "status.podIP" | "status.hostIP" | "status.podIPs" | "status.hostIPs" => {
            Some(crate::status::ADDRESS.to_owned())
        }
        _ => {
            let (map, key) = if let Some(key) = subscript(path, "metadata.labels") {
                (meta.labels.as_ref(), key)
            } else {
                (meta.annotations.as_ref(), subscript(path, "metadata.annotations")?)
            };
            map.and_then(|m| m.get(key).cloned())
        }
    };
    Some(value.unwrap_or_default())
}

/// `key` of `prefix['key']`.
fn subscript<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let inner = path.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
    let quote = |q: char| inner.strip_prefix(q)?.strip_suffix(q);
    quote('\'').or_else(|| quote('"'))
}

/// One `key="escaped value"` a line, as the kubelet writes it.
fn listed(map: Option<&BTreeMap<String, String>>) -> String {
    map.into_iter()
        .flatten()
        // Go quotes as JSON does, but for control characters nobody puts there.
        .map(|(k, v)| format!("{k}={}", serde_json::Value::from(v.as_str())))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_expand_once_and_unknown_ones_stay() {
        let mut env = Environment::default();
        env.set("A", "1".into());
        env.set("B", "$(A)".into());
        for (text, want) in [
            ("x$(A)y", "x1y"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$(NO)", "$(NO)"),
            ("$(A", "$(A"),
            ("cost $5 $", "cost $5 $"),
            ("é$(A)é", "é1é"),
        ] {
            assert_eq!(env.expand(text), want, "{text}");
        }
    }

    #[test]
    fn fields_of_the_downward_api() {
        let mut pod = Pod::default();
        pod.metadata.name = Some("p".into());
        pod.metadata.annotations = Some(
            [
                ("a/b".to_owned(), "x\n\"y\"".to_owned()),
                ("c".to_owned(), "1".to_owned()),
            ]
            .into(),
        );
        assert_eq!(field(&pod, "n", "metadata.name").unwrap(), "p");
        assert_eq!(field(&pod, "n", "spec.nodeName").unwrap(), "n");
        assert_eq!(field(&pod, "n", "metadata.annotations['a/b']").unwrap(), "x\n\"y\"");
        assert_eq!(field(&pod, "n", "metadata.annotations['no']").unwrap(), "");
        assert_eq!(
            field(&pod, "n", "metadata.annotations").unwrap(),
            "a/b=\"x\\n\\\"y\\\"\"\nc=\"1\""
        );
        assert!(field(&pod, "n", "spec.nonsense").is_none());
    }
}
