#!/usr/bin/env bash
# name.sh IMAGE: what it is called, tag and all.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
image_name "$1"
