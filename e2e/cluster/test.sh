#!/usr/bin/env bash
# up.sh and down.sh: each kind of node runs a pod, and nothing of it is left; what a machine lacks is said, with code 3.
#
# usage: test.sh [NODE...]      processes fake (unless said otherwise), kubelet: only where it can run
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
# Whoever is nobody walks through it below.
chmod 0755 "$scratch"
dir=$scratch/cluster
trap 'e2e/cluster/down.sh "$dir" >/dev/null 2>&1 || true; rm -rf "$scratch"' EXIT
kubectl() { "${CLUSTER_BINARY:-target/cluster}" kubectl --kubeconfig "$dir/kubeconfig" "$@"; }
say() { printf '%4ss  %s\n' "$SECONDS" "$*"; }
wrong() {
    printf 'cluster-test: %s\n' "$@" >&2
    exit 1
}

# nothing_left [PLACE...]: no process, mount or folder of the cluster, nor of what it has elsewhere
nothing_left() {
    local left process place words=()
    for place in "$dir" "$@"; do
        [ ! -e "$place" ] || wrong "$place is left:" "$(ls -A "$place")"
        ! grep -F "$place/" /proc/mounts || wrong "mounts are left"
        words+=(-e "$place")
    done
    left=$(for process in /proc/[0-9]*; do
        # A pod's process may have changed its words: what it has open, where it is and what it was told count too.
        if grep -qzF "${words[@]}" "$process/cmdline" "$process/environ" 2>/dev/null || [[ $(readlink "$process/cwd" 2>/dev/null) == "$dir"* ]]; then
            tr '\0' ' ' <"$process/cmdline"
        fi
    done)
    [ -z "$left" ] || wrong "processes are left:" "$left"
}

# plays NODE COMMAND...: a pod that runs COMMAND there for ever runs, and nothing is left when the node ends
plays() {
    local node=$1 phase=Running words
    shift
    e2e/cluster/up.sh "--$node" "$dir" >"$scratch/said" 2>&1 || wrong "--$node does not come up:" "$(cat "$scratch/said")"
    words=$(printf ',"%s"' "$@")
    kubectl create -f - >/dev/null <<JSON
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": {"restartPolicy": "Never", "automountServiceAccountToken": false,
 "containers": [{"name": "it", "image": "localhost/gastown-e2e/pause:1", "imagePullPolicy": "Never", "command": [${words:1}]}]}}
JSON
    kubectl wait --for=jsonpath='{.status.phase}'="$phase" --timeout=120s pod/it >/dev/null || wrong "its pod is not $phase:" "$(kubectl get pod it -o yaml)"
    e2e/cluster/down.sh "$dir"
    nothing_of "$node"
    say "--$node: a pod was $phase, and nothing is left of it"
}

nothing_of() { # nothing_of NODE
    [ "$1" != kubelet ] || nothing_left /run/gastown-e2e /var/lib/gastown-e2e /sys/class/net/gastown-e2e0
    nothing_left
}

# interrupted NODE PART: whoever presses Ctrl-C when PART has just begun leaves nothing
interrupted() {
    local node=$1 part=$2 begun
    e2e/cluster/up.sh "--$node" "$dir" >"$scratch/said" 2>&1 &
    begun=$!
    until [ -s "$dir/log/$part" ] || ! kill -0 "$begun" 2>/dev/null; do sleep 0.05; done
    kill -TERM "$begun" 2>/dev/null || wrong "--$node was up or gone before it could be interrupted:" "$(cat "$scratch/said")"
    ! wait "$begun" || wrong "--$node, interrupted, says that it is up"
    nothing_of "$node"
    say "--$node: interrupted at $part, nothing is left"
}
nodes=("$@")
[ $# -gt 0 ] || nodes=(processes fake)
for node in "${nodes[@]}"; do
    case $node in
    # Its words tell whose it is.
    processes) plays processes sh -c 'while :; do sleep 1; done' "$dir" ;;
    fake)
        plays fake sleep 100000
        interrupted fake kube-apiserver
        ;;
    kubelet)
        plays kubelet /pause
        interrupted kubelet etcd
        interrupted kubelet containerd
        ;;
    *) wrong "no node is called $node: processes, fake, kubelet" ;;
    esac
done

# lacks WORDS COMMAND...: code 3, these words, and nothing begun
lacks() {
    local words=$1 code=0
    shift
    "$@" >"$scratch/said" 2>&1 || code=$?
    [ "$code" = 3 ] || wrong "$* ended with $code, not 3:" "$(cat "$scratch/said")"
    grep -qF -- "$words" "$scratch/said" || wrong "$* does not say '$words':" "$(cat "$scratch/said")"
    nothing_left
}
# Everything of the path but what containerd brings.
mkdir "$scratch/path"
for program in bash dirname sed id uname mktemp realpath cat runc ip cc; do
    found=$(command -v "$program") && ln -s "$found" "$scratch/path/"
done
lacks "apt-get install containerd" env PATH="$scratch/path" CLUSTER_BINARY=/bin/true e2e/cluster/up.sh --kubelet "$dir"
lacks "process-node is missing" env CLUSTER_PROGRAMS="$scratch" CLUSTER_BINARY=/bin/true e2e/cluster/up.sh --processes "$dir"
lacks "run make cluster" env CLUSTER_BINARY="$scratch/none" e2e/cluster/up.sh "$dir"
say "without containerd, a node's program, or a control plane it is said which, with code 3"

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    cp -r e2e/cluster "$scratch/scripts"
    lacks "a real node needs root" setpriv --reuid 65534 --regid 65534 --clear-groups \
        env CLUSTER_BINARY=/bin/true "$scratch/scripts/up.sh" --kubelet "$scratch/cluster"
    say "as nobody it says that a real node needs root"
fi

mkdir "$scratch/checkout"
cp -r Makefile e2e "$scratch/checkout/"
ln -s "$(command -v make)" "$(command -v sh)" "$(command -v uname)" "$scratch/path/" 2>/dev/null || true
if PATH=$scratch/path make -C "$scratch/checkout" target/cluster >"$scratch/said" 2>&1 || ! grep -q 'install Go' "$scratch/said"; then
    wrong "make target/cluster without Go:" "$(cat "$scratch/said")"
fi
say "without Go, make says so"
