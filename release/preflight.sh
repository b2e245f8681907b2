#!/usr/bin/env bash
# preflight.sh TAG ACCOUNT: whether this tag may be released by this account, and, as KEY=VALUE, what release.env says.
set -euo pipefail
cd "$(dirname "$0")/.."
. "${RELEASE_ENV:-./release.env}"
tag=$1
account=$(echo "$2" | tr '[:upper:]' '[:lower:]')

fail() {
    echo "$*" >&2
    exit 1
}
[ "$tag" = "v$VERSION" ] || fail "the tag is $tag, release.env and Cargo.toml say $VERSION: tag v$VERSION, or change both first"
[ "$REGISTRY" != localhost ] || fail "release.env names no registry of ours: nothing is published. Name REGISTRY and OWNER there first"
[ "$OWNER" = "$account" ] || fail "release.env says the owner is $OWNER, this repository belongs to $account"
printf 'registry=%s\nowner=%s\nversion=%s\n' "$REGISTRY" "$OWNER" "$VERSION"
