#!/usr/bin/env bash
# pack.sh FOLDER OS ARCH OUT: the plugin of one platform as the archive that krew downloads.
set -euo pipefail
cd "$(dirname "$0")/.."
. "${RELEASE_ENV:-./release.env}"
from=$1 os=$2 arch=$3 out=$4
program=kubectl-gt
[ "$os" != windows ] || program=kubectl-gt.exe
[ -s "$from/$program" ] || { echo "$from/$program is not built" >&2; exit 1; }
mkdir -p "$out"
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
cp "$from/$program" LICENSE "$staged/"
chmod 0755 "$staged/$program"
tar -czf "$out/kubectl-gt-$VERSION-$os-$arch.tar.gz" -C "$staged" "$program" LICENSE
