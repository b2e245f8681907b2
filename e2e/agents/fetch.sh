#!/usr/bin/env bash
# Fetches the real coding agents, pinned, into target/agents: claude, opencode and aider are links there. What cannot be had on this
# machine is said and skipped (E2E_STRICT=1: fails); its contract tests say so too. Their licences are their own: nothing of them is part of this project.
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/versions.env
into=$PWD/target/agents
mkdir -p "$into"

skip() {
    if [ -n "${E2E_STRICT:-}" ]; then
        echo "agents: no $1: $2" >&2
        exit 1
    fi
    echo "agents: $1 SKIPPED: $2" >&2
}

npm_binary() { # npm_binary NAME PACKAGE VERSION FILE: one file of a platform package, without its wrapper
    local name=$1 package=$2 version=$3 file=$4 folder=$into/$1-$3
    if [ ! -x "$folder/$file" ]; then
        command -v npm >/dev/null || { skip "$name" "it comes from the npm registry, and npm is not here"; return; }
        rm -rf "$folder.part" && mkdir -p "$folder.part"
        if ! (cd "$folder.part" && npm pack --silent "$package@$version" >/dev/null && tar xzf ./*.tgz && rm -f ./*.tgz); then
            skip "$name" "npm pack $package@$version failed"
            return
        fi
        rm -rf "$folder" && mv "$folder.part/package" "$folder" && rmdir "$folder.part"
        chmod +x "$folder/$file"
    fi
    ln -sfn "$folder/$file" "$into/$name"
    echo "agents: $name $version"
}

python() { # a Python that aider runs on: 3.10 to 3.12
    local candidate
    for candidate in python3.12 python3.11 python3.10 python3; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

aider() {
    local folder=$into/aider-$AIDER python
    if [ ! -x "$folder/bin/aider" ]; then
        python=$(python) || { skip aider "it needs a Python from 3.10 to 3.12 with venv"; return; }
        rm -rf "$folder" && "$python" -m venv "$folder"
        if ! "$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile "aider-chat==$AIDER"; then
            rm -rf "$folder"
            skip aider "pip install aider-chat==$AIDER failed"
            return
        fi
    fi
    ln -sfn "$folder/bin/aider" "$into/aider"
    echo "agents: aider $AIDER"
}

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) platform=linux-x64 ;;
Linux-aarch64) platform=linux-arm64 ;;
*) platform= ;;
esac
if [ -n "$platform" ]; then
    npm_binary claude "@anthropic-ai/claude-code-$platform" "$CLAUDE_CODE" claude
    npm_binary opencode "opencode-$platform" "$OPENCODE" bin/opencode
else
    skip "claude, opencode" "no package for $(uname -sm)"
fi
aider
