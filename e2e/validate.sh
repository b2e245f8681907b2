#!/usr/bin/env bash
# Templates, the manifests in README and docs, and those that the predecessor's READMEs print: would the API server of
# REAL_KUBECONFIG take them, strictly and with nothing made?
set -euo pipefail
cd "$(dirname "$0")/.."
export KUBECONFIG=$REAL_KUBECONFIG
kubectl() { "${CLUSTER_BINARY:-target/cluster}" kubectl "$@"; }
kubectl apply --server-side -f charts/gastown-operator/files/crds/ >/dev/null
kubectl wait --for=condition=Established --timeout=60s crd --all >/dev/null
# A dry run, too, wants the namespace to be there.
for namespace in gastown-system gastown-workers; do kubectl create namespace "$namespace" >/dev/null; done
told=$(target/debug/gastown validate --on-cluster "$@") || { echo "$told"; exit 1; }
# Whoever takes everything judges nothing.
! sed 's/desiredState/desiredStat/' templates/polecat-minimal.yaml | target/debug/gastown validate --on-cluster /dev/stdin >/dev/null 2>&1 ||
    { echo "a misspelt field is taken: nothing was judged" >&2; exit 1; }
echo "a real API server would take all $(grep -c '^ok' <<<"$told") of them"
