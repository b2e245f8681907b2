#!/usr/bin/env bash
# Prints the name of the base image for buildah: the one that was pulled, or, where no registry answers, one made from Debian's
# packages (once; about a minute of work). docker and podman pull it by themselves.
set -euo pipefail
. "$(dirname "$0")/engine.sh"

ENGINE=buildah
own=localhost/gastown-base:$DEBIAN
for name in "$BASE" "$own"; do
    if image_exists "$name"; then
        echo "$name"
        exit
    fi
done
if timeout 60 buildah pull --quiet "$BASE" >/dev/null 2>&1; then
    echo "$BASE"
    exit
fi
[ "$(id -u)" = 0 ] || fail "$BASE cannot be pulled, and only root can make a base: run as root, or name an image that is here: BASE=..."
command -v mmdebstrap >/dev/null || fail "$BASE cannot be pulled, and mmdebstrap is not here to make one: apt-get install mmdebstrap"

echo "$BASE cannot be pulled: making $own from Debian's packages" >&2
tar=$(mktemp --suffix .tar)
trap 'rm -f "$tar"' EXIT
# What the official slim image leaves out.
without=()
for path in doc info lintian locale man; do without+=(--dpkgopt="path-exclude=/usr/share/$path/*"); done
# Without a mirror of your own (DEBIAN_MIRROR=http://host), mmdebstrap's.
mirrors=()
[ -z "${DEBIAN_MIRROR:-}" ] || mirrors=("deb $DEBIAN_MIRROR/debian $DEBIAN main" "deb $DEBIAN_MIRROR/debian $DEBIAN-updates main"
    "deb $DEBIAN_MIRROR/debian-security $DEBIAN-security main")
mmdebstrap --quiet --variant=minbase --architectures="$ARCH" "${without[@]}" --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    "$DEBIAN" "$tar" ${mirrors[@]+"${mirrors[@]}"} >&2
container=$(buildah from scratch)
buildah add --quiet "$container" "$tar" / >/dev/null
buildah config --arch "$ARCH" --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet --rm --timestamp "$SOURCE_DATE_EPOCH" "$container" "$own" >/dev/null
echo "$own"
