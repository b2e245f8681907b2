#!/usr/bin/env bash
# with.sh WHAT COMMAND...: runs COMMAND beside a bare real API server of its own, whose kubeconfig $REAL_KUBECONFIG names;
# $REAL_ETCD is the address of its store.
# Without Go there is none: then it says that WHAT was not asked of one, and does nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
what=$1
shift

if [ ! -x "${CLUSTER_BINARY:-target/cluster}" ]; then
    if ! command -v go >/dev/null; then
        echo "SKIPPED: $what needs a real kube-apiserver, which Go builds: install Go 1.25 or newer (https://go.dev/dl)" >&2
        exit 0
    fi
    make --no-print-directory target/cluster
fi
state=$(mktemp -d)
trap 'e2e/cluster/down.sh "$state/cluster" >/dev/null; rm -rf "$state"' EXIT
# --bare: what Kubernetes writes into every namespace for its own sake would be in every list.
e2e/cluster/up.sh --bare "$state/cluster"
REAL_KUBECONFIG=$state/cluster/kubeconfig REAL_ETCD=$(cat "$state/cluster/etcd.url") "$@"
