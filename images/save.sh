#!/usr/bin/env bash
# save.sh IMAGE FILE: an image as a docker archive, which containerd, Trivy and syft read.
set -euo pipefail
case $2 in /*) file=$2 ;; *) file=$PWD/$2 ;; esac
. "$(dirname "$0")/engine.sh"
find_engine
name=$(image_name "$1")
image_exists "$name" || fail "$name is not built: make images"
case $ENGINE in
    buildah) buildah push --quiet "$name" "docker-archive:$file:$name" ;;
    podman) podman save --quiet --format docker-archive --output "$file" "$name" ;;
    docker) docker save --output "$file" "$name" ;;
esac
