#!/usr/bin/env bash
# krew.sh FOLDER REPOSITORY-URL: krew's manifest of the archives in a folder, with their true checksums. An archive that is missing
# or is no archive of the plugin fails it: no placeholder, and no checksum of an error page.
set -euo pipefail
cd "$(dirname "$0")/.."
. "${RELEASE_ENV:-./release.env}"
folder=$1 repository=$2

cat <<END
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: gt
spec:
  version: v$VERSION
  homepage: $repository
  shortDescription: Run coding agents as pods and land what they write
  description: |
    Slings issues to agents that run as pods, watches them, and shows what the
    merge queue landed. Needs the Gas Town operator in the cluster.
  platforms:
END
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
    os=${platform%/*} arch=${platform#*/} program=kubectl-gt
    [ "$os" != windows ] || program=kubectl-gt.exe
    archive=kubectl-gt-$VERSION-$os-$arch.tar.gz
    [ -f "$folder/$archive" ] || { echo "$folder/$archive is missing: nothing is published without it" >&2; exit 1; }
    holds=$(tar -tzf "$folder/$archive" 2>/dev/null) || holds=""
    [[ $'\n'$holds$'\n' == *$'\n'$program$'\n'* ]] || { echo "$folder/$archive holds no $program" >&2; exit 1; }
    sum=$(sha256sum "$folder/$archive")
    cat <<END
    - selector:
        matchLabels:
          os: $os
          arch: $arch
      uri: $repository/releases/download/v$VERSION/$archive
      sha256: ${sum%% *}
      bin: $program
      files:
        - from: $program
          to: .
        - from: LICENSE
          to: .
END
done
