#!/usr/bin/env bash
# test.sh IMAGE...: loads images into a containerd of its own and looks at each: what it says of itself, what is in it, and whether
# its programs run as the strictest clusters run them (images/run.sh). As root.
set -euo pipefail
. "$(dirname "$0")/engine.sh"
find_engine
if [ -z "${FOLDER:-}" ]; then
    [ "$(id -u)" = 0 ] || fail "containers are started here, and only root may do that: sudo make images-test"
    for program in containerd ctr runc readelf; do
        command -v $program >/dev/null || fail "$program is not here (Debian: apt-get install containerd runc binutils)"
    done
    FOLDER=$(mktemp -d)
    export FOLDER ENGINE CONTAINERD_NAMESPACE=images-test
    trap 'umount "$FOLDER/image" 2>/dev/null || true; rm -rf "$FOLDER"' EXIT
    images/containerd.sh "$FOLDER/containerd" "$0" "$@"
    exit
fi

failed=0
check() { # check WHAT COMMAND...: the command succeeds
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "  ok      $what"
    else
        printf '  FAILED  %s: %s\n%s\n' "$what" "$*" "$said"
        failed=1
    fi
}
root=$FOLDER/image
inside() { images/run.sh "$root" "$@"; }
says() { # says TEXT COMMAND...: what it prints inside holds the text
    local text=$1 said
    shift
    said=$(inside "$@" 2>&1) && [[ $said == *"$text"* ]] || { echo "wanted: $text, got: $said"; return 1; }
}
fails_with() { # fails_with TEXT COMMAND...: it fails inside, and for this reason
    local text=$1 said
    shift
    ! said=$(inside "$@" 2>&1) && [[ $said == *"$text"* ]] || { echo "wanted: $text, got: $said"; return 1; }
}
configured() { # configured FIELD VALUE
    local found
    case $ENGINE in
        buildah) found=$(buildah inspect --type image --format "{{.OCIv1.Config.$1}}" "$name") ;;
        *) found=$("$ENGINE" image inspect --format "{{.Config.$1}}" "$name") ;;
    esac
    [[ $found == $2 ]] || { echo "found: $found"; return 1; }
}
labelled() { # labelled NAME PATTERN
    local found
    case $ENGINE in
        buildah) found=$(buildah inspect --type image --format "{{index .OCIv1.Config.Labels \"$1\"}}" "$name") ;;
        *) found=$("$ENGINE" image inspect --format "{{index .Config.Labels \"$1\"}}" "$name") ;;
    esac
    [[ $found == $2 ]] || { echo "found: $found"; return 1; }
}
nothing() { # nothing FIND-EXPRESSION...: no such file in the image
    local found
    found=$(cd "$root" && find . -xdev "$@" | head -20)
    [ -z "$found" ] || { echo "$found"; return 1; }
}
static() { # static FILE: a program that asks for no loader
    local headers
    headers=$(readelf -lW "$1") && [[ $headers == *LOAD* && $headers != *INTERP* ]] || { echo "$headers"; return 1; }
}

everywhere() {
    check "user is 65532" configured User 65532:65532
    check "version label" labelled org.opencontainers.image.version "$VERSION"
    check "revision label" labelled org.opencontainers.image.revision '????????????????????????????????????????*'
    check "profile label" labelled io.gastown.profile "$PROFILE"
    check "licence label" labelled org.opencontainers.image.licenses Apache-2.0
    check "no setuid or setgid program" nothing -type f -perm /6000
    check "nothing the world may write" nothing ! -type l -perm -0002 ! -perm -1000 ! -path './dev/*' ! -path ./proc
    check "no package lists, caches, logs" nothing -type f \( -path './var/lib/apt/lists/*' -o -path './var/cache/*' -o -path './var/log/*' -o -path './tmp/*' \)
    check "no credential of the build" nothing -path './run/secrets/*'
    check "nothing in any home" nothing -type f \( -path './root/*' -o -path './home/*' \) ! -name .bashrc ! -name .profile
}
of_operator() {
    check "holds four files and no other" diff <(printf './%s\n' etc/group etc/nsswitch.conf etc/passwd usr/local/bin/gastown-operator) \
        <(cd "$root" && find . -xdev ! -type d | sort)
    check "is static" static "$root/usr/local/bin/gastown-operator"
    check "has no shell" fails_with "no such file or directory" /bin/sh -c true
    check "runs as any UID" says "$VERSION" gastown-operator --version
}
of_harness() {
    check "harness is static" static "$root/usr/local/bin/gastown-harness"
    check "harness runs as any UID" says "gastown-harness $VERSION" gastown-harness --version
    check "git is 2.38 or newer" inside sh -c 'printf "%s\n" "git version 2.38" "$(git --version)" | sort -CV'
    check "git commits as any UID" inside sh -ec 'git init -q /tmp/r; cd /tmp/r; git -c user.name=a -c user.email=b commit -q --allow-empty -m c; git log --oneline'
    check "ssh starts for a UID that no passwd file knows" says OpenSSH ssh -V
    check "ssh looks for its files under HOME" says "userknownhostsfile /tmp/.ssh/known_hosts" ssh -G example.com
    check "curl speaks https and smtps" inside sh -c 'curl -V | grep -qw https && curl -V | grep -qw smtps'
    check "certificate authorities" test -s "$root/etc/ssl/certs/ca-certificates.crt"
    check "root cannot be written" fails_with "Read-only file system" touch /usr/local/bin/x
    check "home is open to group 0" inside sh -c '[ "$(stat -c "%u %g %a" /home/nonroot)" = "65532 0 770" ]'
}
of_tools() {
    check "tools" inside sh -ec 'for t in bash curl file git jq less make patch pkg-config ps python3 pip3 rg ssh unzip xz zip; do command -v $t >/dev/null || { echo "no $t"; exit 1; }; done'
    check "a C and a C++ program are built and run" inside sh -ec 'cd /tmp; echo "int main(){return 0;}" >a.c; cp a.c b.cc; gcc -o a a.c; g++ -o b b.cc; ./a; ./b'
    check "a virtual environment is made" inside python3 -m venv /tmp/v
    check "node runs" says "v$NODE" node --version
    check "npm packs" inside sh -ec 'mkdir /tmp/p; cd /tmp/p; npm init -y >/dev/null; npm pack --silent'
    check "git commits as any UID" inside sh -ec 'git init -q /tmp/r; cd /tmp/r; git -c user.name=a -c user.email=b commit -q --allow-empty -m c; git log --oneline'
    check "home is open to group 0" inside sh -c '[ "$(stat -c "%u %g %a" /home/nonroot)" = "65532 0 770" ]'
}
of_polecat-agent() {
    of_tools
    check "claude runs as any UID" says "$CLAUDE_CODE" claude --version
    check "and is the only agent" inside sh -c '! command -v opencode && ! command -v aider'
}
of_polecat-agent-opencode() {
    of_tools
    check "opencode runs as any UID" says "$OPENCODE" opencode --version
    check "a new home needs no plugin installed" grep -qF "\"@opencode-ai/plugin\":\"$OPENCODE\"" "$root/etc/skel/.config/opencode/package-lock.json"
    check "and is the only agent" inside sh -c '! command -v claude && ! command -v aider'
}
of_polecat-agent-aider() {
    of_tools
    check "aider runs as any UID" says "$AIDER" aider --version
    check "and is the only agent" inside sh -c '! command -v claude && ! command -v opencode'
}

mkdir -p "$root"
for image in "$@"; do
    name=$(image_name "$image")
    echo "$name ($(images/size.sh "$image"))"
    images/load.sh "$image" >/dev/null
    ctr --namespace "$CONTAINERD_NAMESPACE" images mount --rw "$name" "$root" >/dev/null
    everywhere
    "of_$image"
    ctr --namespace "$CONTAINERD_NAMESPACE" images unmount --rm "$root" >/dev/null
done
[ "$failed" = 0 ] || fail "some checks failed"
