//! The head of `deploy/install.yaml`: the namespace and the six definitions. What follows is rendered from the chart.

use crate::generated::Generated;
use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

const PATH: &str = "deploy/install.yaml";
/// From here on the file is Helm's.
const MARKER: &str = "# The operator, rendered from the chart by `make chart-generate`.\n";
const HEAD: &str = "# Generated: the chart with its defaults, for those without Helm. kubectl apply --server-side -f deploy/install.yaml
---
apiVersion: v1
kind: Namespace
metadata:
  name: gastown-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
";

/// The file with a fresh head.
pub(crate) fn manifest(root: &Path, definitions: &[Generated]) -> Result<Generated> {
    let held = match fs::read_to_string(root.join(PATH)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context(PATH),
    };
    let rendered = held
        .split_once(MARKER)
        .map(|(_, rendered)| rendered)
        .unwrap_or_default();
    let mut text = HEAD.to_owned();
    for definition in definitions {
        text.push_str(&definition.text);
    }
    text.push_str(MARKER);
    text.push_str(rendered);
    Ok(Generated {
        path: PATH.to_owned(),
        text,
    })
}
