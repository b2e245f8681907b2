#!/usr/bin/env bash
# What can be tested of a release without making one.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
check() { # check WHAT COMMAND...
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then echo "  ok      $what"; else printf '  FAILED  %s\n%s\n' "$what" "$said"; failed=1; fi
}
refuses() { # refuses TEXT COMMAND...: it fails and says so
    local text=$1 said
    shift
    ! said=$("$@" 2>&1) && [[ $said == *"$text"* ]] || { echo "$said"; return 1; }
}
ours() { RELEASE_ENV=$scratch/release.env "$@"; }
printf 'REGISTRY=example.com\nOWNER=somebody\nVERSION=1.2.3\n' >"$scratch/release.env"

printf 'REGISTRY=localhost\nOWNER=gastown\nVERSION=1.2.3\n' >"$scratch/unnamed.env"
check "an unnamed registry is not released" refuses "nothing is published" env RELEASE_ENV="$scratch/unnamed.env" release/preflight.sh v1.2.3 gastown
check "the tag must be the version" refuses "tag v1.2.3" ours release/preflight.sh v1.2.4 somebody
check "the account must be the owner" refuses "belongs to other" ours release/preflight.sh v1.2.3 other
check "the right tag of the right account passes, in any case" ours release/preflight.sh v1.2.3 SomeBody

mkdir "$scratch/built" "$scratch/packed"
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
    echo "$platform" >"$scratch/built/kubectl-gt"
    check "packs $platform" ours release/pack.sh "$scratch/built" "${platform%/*}" "${platform#*/}" "$scratch/packed"
done
check "what is not built is not packed" refuses "is not built" ours release/pack.sh "$scratch/built" windows amd64 "$scratch/packed"
check "a missing archive fails the manifest" refuses "windows-amd64.tar.gz is missing" ours release/krew.sh "$scratch/packed" https://example.com/r
echo "<html>Not Found" >"$scratch/packed/kubectl-gt-1.2.3-windows-amd64.tar.gz"
check "an error page fails the manifest" refuses "holds no kubectl-gt.exe" ours release/krew.sh "$scratch/packed" https://example.com/r
echo windows >"$scratch/built/kubectl-gt.exe"
check "packs windows/amd64" ours release/pack.sh "$scratch/built" windows amd64 "$scratch/packed"
ours release/krew.sh "$scratch/packed" https://example.com/r >"$scratch/gt.yaml" || failed=1
sums() { sed -n 's/^ *sha256: //p' "$scratch/gt.yaml" | sort; }
check "five platforms, each with its archive's checksum" diff <(sums) <(cd "$scratch/packed" && sha256sum ./*.tar.gz | cut -d' ' -f1 | sort)
check "the archive's address is where it is uploaded" grep -qx '      uri: https://example.com/r/releases/download/v1.2.3/kubectl-gt-1.2.3-darwin-arm64.tar.gz' "$scratch/gt.yaml"

# What the chart asks for unless told otherwise is what is published: deploy/install.yaml is the chart as it stands.
workflow=.github/workflows/release.yml
published=$(sed -n 's/^ *image: \[\(.*\)\]$/\1/p' $workflow | tr -d ,)
names() { for image in "$@"; do images/name.sh "$image"; done | sort; }
# shellcheck disable=SC2086
check "every image that the chart names is published, and no other" \
    diff <(names $published) <(grep -oE "^ +(image|value): \"$(sed -n 's/^REGISTRY=//p' release.env)/[^\"]*" deploy/install.yaml | sed 's/.*"//' | sort -u)
check "every one of them is built for amd64" [ "$(ARCH=amd64 images/list.sh)" = "$published" ]
check "none is built for arm64 that amd64 has not" [ -z "$(ARCH=arm64 images/list.sh | tr ' ' '\n' | grep -vxF "$(tr ' ' '\n' <<<"$published")")" ]
check "Trivy looks at each of them" diff <(tr ' ' '\n' <<<"$published" | sort) <(sed -n 's/.*input: archives\/\(.*\)\.tar,.*/\1/p' $workflow | sort)

platforms() { sed -n 's/.*{ os: \([a-z]*\), arch: \([a-z0-9]*\), .*/\1\/\2/p' $workflow | sort; }
check "the manifest's platforms are those that are built" diff <(platforms) <(sed -n 's/^for platform in \(.*\); do$/\1/p' release/krew.sh | tr ' ' '\n' | sort)
# Windows: what is of one system alone is in crates/git, and its compiler needs nothing else. All of the plugin needs a C compiler
# for Windows too: cargo check --target x86_64-pc-windows-gnu -p kubectl-gt, with mingw-w64.
if [ -d "$(rustc --print sysroot)/lib/rustlib/x86_64-pc-windows-gnu" ]; then
    check "the plugin's git compiles for windows" cargo check --quiet --locked --target x86_64-pc-windows-gnu -p gastown-git
else
    echo "  SKIPPED the plugin's git for windows: rustup target add x86_64-pc-windows-gnu"
fi
[ "$failed" = 0 ] || { echo "some checks failed" >&2; exit 1; }
