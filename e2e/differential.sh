#!/usr/bin/env bash
# Holds the recordings of crates/apiserver/tests/differential against a real kube-apiserver, and our API server against
# the recordings. RECORD=1 writes the recordings anew. Without Go there is no real one: then it says so and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster=$PWD/e2e/cluster

if [ ! -x target/cluster ] && ! command -v go >/dev/null; then
    echo "SKIPPED: the differential suite needs a real kube-apiserver, which Go builds: install Go 1.25 or newer (https://go.dev/dl)" >&2
    exit 0
fi
make --no-print-directory target/cluster

state=$(mktemp -d)
trap '"$cluster/down.sh" "$state/cluster" >/dev/null; rm -rf "$state"' EXIT
# --bare: what Kubernetes writes into every namespace for its own sake would be in every list.
"$cluster/up.sh" --bare "$state/cluster"
export DIFFERENTIAL_KUBECONFIG=$state/cluster/kubeconfig
[ -z "${RECORD:-}" ] || export DIFFERENTIAL_RECORD=1
"${CARGO:-cargo}" test --locked --workspace --test differential -- --nocapture
