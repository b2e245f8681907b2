#!/usr/bin/env bash
# build.sh IMAGE...: builds images with docker, podman or buildah, whichever is there (ENGINE=...), from the programs in
# dist/$PROFILE, and prints their sizes. The same checkout and the same packages give the same digests.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
find_engine

bin=dist/$PROFILE/linux-$ARCH
[ "$ENGINE" != buildah ] || BASE=$(images/base.sh)

# context IMAGE: a folder that holds exactly what the Dockerfile copies, with modes that no umask has touched.
context() {
    local folder=target/images/$1
    rm -rf "$folder"
    mkdir -p "$folder"
    case $1 in
        operator)
            install -D -m 0644 -t "$folder/rootfs/etc" images/operator/rootfs/etc/*
            chmod 0755 "$folder/rootfs" "$folder/rootfs/etc"
            install -m 0755 "$bin/gastown-operator" "$folder/"
            ;;
        harness)
            install -m 0755 images/debian.sh images/harness/ssh "$bin/gastown-harness" "$folder/"
            ;;
        polecat-agent)
            install -m 0755 images/debian.sh images/polecat-agent/fetch.sh "$folder/"
            install -m 0644 images/versions.env images/polecat-agent/aider.txt "$folder/"
            ;;
    esac
    echo "$folder"
}

# labels IMAGE: what can be known of it from outside.
labels() {
    local revision about
    revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
    [ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || revision=$revision-dirty
    case $1 in
        operator) about="The Gas Town operator" ;;
        harness) about="What runs in a Gas Town pod beside the agent: git, ssh and the harness" ;;
        polecat-agent*) about="A coding agent and the tools it works with" ;;
    esac
    printf '%s\n' \
        "org.opencontainers.image.title=$(basename "$(image_name "$1")")" \
        "org.opencontainers.image.description=$about" \
        "org.opencontainers.image.version=$VERSION" \
        "org.opencontainers.image.revision=$revision" \
        "org.opencontainers.image.created=$(date -u -d "@$created" +%Y-%m-%dT%H:%M:%SZ)" \
        "org.opencontainers.image.licenses=Apache-2.0" \
        "io.gastown.profile=$PROFILE"
    [ "$1" = operator ] || echo "org.opencontainers.image.base.name=$BASE"
    [ "$REGISTRY" = localhost ] || echo "org.opencontainers.image.source=https://github.com/$OWNER/gastown-operator"
}

# engine_build ARGUMENT...: podman or buildah, reading a Dockerfile.
engine_build() {
    case $ENGINE in
        podman) podman build --layers --timestamp "$SOURCE_DATE_EPOCH" "$@" ;;
        # chroot: needs neither a runtime nor cgroups, so it works inside containers too.
        buildah) buildah bud --layers --isolation "${BUILDAH_ISOLATION:-chroot}" --pull-never --timestamp "$SOURCE_DATE_EPOCH" "$@" ;;
    esac
}

build() { # build IMAGE
    local name kind=$1 folder flags=() named=() label plain
    name=$(image_name "$1")
    case $1 in
        polecat-agent-*) kind=polecat-agent flags+=(--build-arg "AGENTS=${1#polecat-agent-}") ;;
    esac
    folder=$(context "$kind")
    named=(--platform "linux/$ARCH" --tag "$name")
    while read -r label; do named+=(--label "$label"); done < <(labels "$1")
    flags+=(--file "images/$kind/Dockerfile" --platform "linux/$ARCH")
    [ "$1" = operator ] || flags+=(--build-arg "BASE=$BASE")
    [ "$kind" != polecat-agent ] || [ -z "${CA_BUNDLE:-${SSL_CERT_FILE:-}}" ] || flags+=(--secret "id=ca,src=${CA_BUNDLE:-$SSL_CERT_FILE}")
    [ -z "${NO_CACHE:-}" ] || flags+=(--no-cache)
    if [ "$ENGINE" = docker ]; then
        docker buildx build --load --provenance=false --sbom=false "${flags[@]}" "${named[@]}" "$folder"
    else
        # Labels name the commit, and go into every step that these engines keep: so they come last, lest an image from steps that
        # another commit has kept differ from one made of nothing.
        plain=target/images/$1.id
        engine_build "${flags[@]}" --iidfile "$plain" "$folder"
        plain=$(cat "$plain")
        engine_build "${named[@]}" --file - "$folder" <<<"FROM ${plain#sha256:}"
    fi
}

for image in "$@"; do
    started=$(date +%s)
    build "$image" >&2
    printf '%-48s %8s  %4s s\n' "$(image_name "$image")" "$(images/size.sh "$image")" "$(($(date +%s) - started))"
done
