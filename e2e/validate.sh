#!/usr/bin/env bash
# Templates, the manifests in README and docs, and those that the predecessor's READMEs print: would a real API server take
# them, strictly and with nothing made? Ours is asked first. Without Go there is no real one: then it says so.
set -euo pipefail
cd "$(dirname "$0")/.."
files=(templates README.md docs crates/api/tests/manifests)
gastown=${GASTOWN:-target/debug/gastown}
cluster=${CLUSTER_BINARY:-target/cluster}

"$gastown" validate "${files[@]}"

if [ ! -x "$cluster" ]; then
    if ! command -v go >/dev/null; then
        echo "SKIPPED: no real API server was asked; Go builds one: install Go 1.25 or newer (https://go.dev/dl)" >&2
        exit 0
    fi
    make --no-print-directory target/cluster
fi
state=$(mktemp -d)
trap 'e2e/cluster/down.sh "$state/cluster" >/dev/null; rm -rf "$state"' EXIT
e2e/cluster/up.sh --bare "$state/cluster"
export KUBECONFIG=$state/cluster/kubeconfig
kubectl() { "$cluster" kubectl "$@"; }
kubectl apply --server-side -f charts/gastown-operator/files/crds/ >/dev/null
kubectl wait --for=condition=Established --timeout=60s crd --all >/dev/null
# A dry run, too, wants the namespace to be there.
for namespace in gastown-system gastown-workers; do kubectl create namespace "$namespace" >/dev/null; done
"$gastown" validate --on-cluster "${files[@]}" >"$state/told" || { cat "$state/told"; exit 1; }
# Whoever takes everything judges nothing.
sed 's/desiredState/desiredStat/' templates/polecat-minimal.yaml >"$state/slip.yaml"
! "$gastown" validate --on-cluster "$state/slip.yaml" >/dev/null 2>&1 || { echo "a misspelt field is taken: nothing was judged" >&2; exit 1; }
echo "a real API server would take all $(grep -c '^ok' "$state/told") of them"
