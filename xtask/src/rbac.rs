//! The chart's rules, from the table of what the operator calls.

use crate::generated::Generated;
use gastown_operator::{CALLS, Call, Reach};
use std::fmt::Write as _;

const PATH: &str = "charts/gastown-operator/templates/_rules.tpl";
const HEADER: &str = "{{- /* Generated from crates/operator/src/calls.rs by `make generate`. Do not edit. */}}\n";

/// One named template for each reach.
pub(crate) fn rules() -> Generated {
    let mut text = HEADER.to_owned();
    for (reach, name) in [
        (Reach::Cluster, "cluster"),
        (Reach::Watched, "watched"),
        (Reach::Own, "own"),
    ] {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{{{{- define \"gastown-operator.rules.{name}\" -}}}}");
        for call in CALLS.iter().filter(|call| call.reach == reach) {
            text.push_str(&rule(call));
        }
        text.push_str("{{- end }}\n");
    }
    Generated {
        path: PATH.to_owned(),
        text,
    }
}

fn rule(call: &Call) -> String {
    let names = call
        .name
        .map(|name| format!("  resourceNames: [{name}]\n"))
        .unwrap_or_default();
    format!(
        "# {}\n- apiGroups: [\"{}\"]\n  resources: [{}]\n{names}  verbs: [{}]\n",
        call.why,
        call.group,
        call.resource,
        call.verbs.join(", ")
    )
}
