#!/usr/bin/env bash
# What the plugin's transcripts say of our API server holds on a real one. Without Go there is no real one: then it says so.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster=$PWD/e2e/cluster

if [ ! -x target/cluster ] && ! command -v go >/dev/null; then
    echo "SKIPPED: the plugin was not asked to speak to a real kube-apiserver, which Go builds: install Go 1.25 or newer (https://go.dev/dl)" >&2
    exit 0
fi
make --no-print-directory target/cluster

state=$(mktemp -d)
trap '"$cluster/down.sh" "$state/cluster" >/dev/null; rm -rf "$state"' EXIT
"$cluster/up.sh" --bare "$state/cluster"
export GASTOWN_TEST_KUBECONFIG=$state/cluster/kubeconfig
"${CARGO:-cargo}" test --locked --quiet --workspace --test transcripts
