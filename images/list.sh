#!/usr/bin/env bash
# list.sh: the images that a release for $ARCH holds, on one line: all whose parts versions.env pins for that architecture.
set -euo pipefail
. "$(dirname "$0")/engine.sh"

list=(operator harness)
for part in claude-code:polecat-agent opencode:polecat-agent-opencode aider:polecat-agent-aider; do
    pin=${part%%:*}
    pin=${pin//-/_}_$ARCH
    pin=${pin^^}
    # One hash for each architecture has what comes from npm; aider's file names those of both.
    case $part in
        aider:*) list+=("${part#*:}") ;;
        *) [ -z "${!pin:-}" ] || list+=("${part#*:}") ;;
    esac
done
echo "${list[*]}"
