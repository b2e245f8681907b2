#!/usr/bin/env bash
# load.sh IMAGE...: puts images into a node's containerd, where no registry is. As root on that node.
#   CONTAINERD_ADDRESS=/run/containerd/containerd.sock  CONTAINERD_NAMESPACE=k8s.io
set -euo pipefail
. "$(dirname "$0")/engine.sh"
find_engine
command -v ctr >/dev/null || fail "ctr is not here: it comes with containerd (Debian: apt-get install containerd)"
export CONTAINERD_ADDRESS=${CONTAINERD_ADDRESS:-/run/containerd/containerd.sock}
[ -S "$CONTAINERD_ADDRESS" ] || fail "no containerd at $CONTAINERD_ADDRESS: start it, or name its socket in CONTAINERD_ADDRESS"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for image in "$@"; do
    name=$(image_name "$image")
    images/save.sh "$image" "$folder/image.tar"
    ctr --namespace "${CONTAINERD_NAMESPACE:-k8s.io}" images import "$folder/image.tar" >/dev/null
    rm "$folder/image.tar"
    echo "loaded $name"
done
