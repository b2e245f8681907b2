#!/usr/bin/env bash
# given.sh [SCENARIO]: the backend `kubeconfig` as a person has it: a cluster that was there before, whose nodes have the images.
# Scenarios whose name holds SCENARIO (lands) are played; then nothing of Gas Town is left there but its definitions, which
# `make uninstall` takes away.
set -euo pipefail
cd "$(dirname "$0")/../.."
state=$(mktemp -d)
trap 'e2e/cluster/down.sh "$state/cluster" >/dev/null; rm -rf "$state"' EXIT
e2e/cluster/up.sh --kubelet "$state/cluster"
CONTAINERD_ADDRESS=/run/gastown-e2e/containerd.sock images/load.sh operator harness
export KUBECONFIG=$state/cluster/kubeconfig PATH=$PWD/target:$PATH
names() { kubectl get "$1" --output name; }

before=$(names namespaces)
make --no-print-directory e2e BACKEND=kubeconfig ONLY="${1:-lands}" E2E_IMAGES= E2E_STRICT=1
kubectl wait --for=delete namespace --selector gastown.io/e2e=scene --timeout=60s >/dev/null || true
after=$(names namespaces | grep -vx namespace/gastown-system)
[ "$before" = "$after" ] || { echo "namespaces before: $before; after: $after" >&2 && exit 1; }
left=$(helm list --all-namespaces --short)
[ -z "$left" ] || { echo "left of Helm's: $left" >&2 && exit 1; }
names crds | grep -q '/rigs\.gastown\.' || { echo "the definitions went with the release" >&2 && exit 1; }
make --no-print-directory uninstall >/dev/null
[ -z "$(names crds)" ] || { echo "make uninstall left: $(names crds)" >&2 && exit 1; }
