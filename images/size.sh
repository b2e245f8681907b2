#!/usr/bin/env bash
# size.sh IMAGE: its unpacked size.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
find_engine
name=$(image_name "$1")
case $ENGINE in
    buildah) buildah images --format '{{.Size}}' "$name" ;;
    *) echo "$(($("$ENGINE" image inspect --format '{{.Size}}' "$name") / 1000000)) MB" ;;
esac
