# Sourced by the scripts beside it: what every one of them has to know.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# An image of your own may stand in for the base.
chosen=${BASE:-}
set -a
# shellcheck source=../release.env
. ./release.env
# shellcheck source=versions.env
. images/versions.env
BASE=${chosen:-$BASE}
set +a

case "$(uname -m)" in
    x86_64) native=amd64 ;;
    aarch64 | arm64) native=arm64 ;;
    *) native=$(uname -m) ;;
esac
ARCH=${ARCH:-$native}
PROFILE=${PROFILE:-release}
# Every file in an image has this one time (versions.env), whenever it was built: what is built from a cache equals what is built
# from nothing. When that was stands in a label.
export SOURCE_DATE_EPOCH
created=$(git log -1 --format=%ct 2>/dev/null || echo "$SOURCE_DATE_EPOCH")

fail() {
    echo "$*" >&2
    exit 1
}

# ENGINE, or the first that works here. A docker client whose daemon does not answer is not there.
find_engine() {
    if [ -n "${ENGINE:-}" ]; then
        return
    elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
        ENGINE=docker
    elif command -v podman >/dev/null; then
        ENGINE=podman
    elif command -v buildah >/dev/null; then
        ENGINE=buildah
    else
        fail "no docker (with its daemon), podman or buildah here: install one (Debian: apt-get install buildah)"
    fi
}

# image_name IMAGE: what it is called, tag and all. `polecat-agent-opencode` is a variant: a tag of polecat-agent.
image_name() {
    case $1 in
        operator | harness) echo "$REGISTRY/$OWNER/gastown-$1:$VERSION" ;;
        polecat-agent) echo "$REGISTRY/$OWNER/polecat-agent:$VERSION" ;;
        polecat-agent-*) echo "$REGISTRY/$OWNER/polecat-agent:$VERSION-${1#polecat-agent-}" ;;
        *) fail "no image is called $1: operator, harness, polecat-agent, polecat-agent-opencode, polecat-agent-aider" ;;
    esac
}

image_exists() { # image_exists NAME
    case $ENGINE in
        buildah) buildah inspect --type image "$1" >/dev/null 2>&1 ;;
        *) "$ENGINE" image inspect "$1" >/dev/null 2>&1 ;;
    esac
}
