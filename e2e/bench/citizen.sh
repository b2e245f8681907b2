#!/usr/bin/env bash
# The operator as a citizen of a real control plane, under its own ServiceAccount with the rights that are installed:
# an API server killed and begun again, a leader killed, every call of the table made; then its audit log is read.
#
# usage: citizen.sh [BIN]      BIN: folder of gastown-operator and gastown-bench (target/debug)
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(realpath "${1:-$top/target/debug}")
dir=$(mktemp -d /tmp/gastown-citizen.XXXXXX)
rmdir "$dir"
own=()

finish() {
    local rc=$?
    trap - EXIT
    for pid in ${own[@]+"${own[@]}"}; do kill -KILL "$pid" 2>/dev/null || true; done
    if [ "$rc" = 0 ]; then
        "$top/e2e/cluster/down.sh" "$dir"
    else
        "$top/e2e/cluster/down.sh" --keep "$dir" || true
        echo "citizen: failed; logs stay in $dir" >&2
        tail -n 5 "$dir"/log/operator-* >&2 || true
    fi
    exit "$rc"
}
trap finish EXIT

say() { printf '%4ss  %s\n' "$SECONDS" "$*"; }
kubectl() { "${CLUSTER_BINARY:-$top/target/cluster}" kubectl --kubeconfig "$dir/kubeconfig" "$@"; }

# until_true WHAT COMMAND...: with a deadline that a loaded machine keeps
until_true() {
    local what=$1 deadline=$((SECONDS + 180))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { echo "citizen: never: $what" >&2 && return 1; }
        sleep 0.2
    done
    say "$what"
}

count() { # count WORDS TIMES COMMAND...: whether the command's output has so many words
    local words=$1 times=$2
    shift 2
    [ "$("$@" | tr ' ' '\n' | grep -cxF "$words")" -ge "$times" ]
}

sling() { # sling NAME...
    for name in "$@"; do
        kubectl apply -f - >/dev/null <<YAML
{apiVersion: gastown.gastown.io/v1alpha1, kind: Polecat, metadata: {name: $name, namespace: gastown-system},
 spec: {rig: parts, desiredState: Working, beadID: pa-$name, task: {description: Do it}}}
YAML
    done
}
merged() { count True "$1" kubectl -n gastown-system get polecats -o 'jsonpath={.items[*].status.conditions[?(@.type=="Merged")].status}'; }
phase() { [ "$(kubectl -n gastown-system get polecat "$1" -o 'jsonpath={.status.phase}')" = "$2" ]; }
holder() { kubectl -n gastown-system get lease 9a7b81dd.gastown.io -o 'jsonpath={.spec.holderIdentity}'; }
holds() { [ "$(holder)" = "$1" ]; }

# As its image sets it.
memory=$(sed -n 's/^ENV \(MALLOC_.*\)/\1/p' "$top/images/operator/Dockerfile")
[ -n "$memory" ] || { echo "citizen: images/operator/Dockerfile sets no MALLOC_ any more" >&2 && exit 1; }
operator() { # operator NAME PORT: a replica
    # shellcheck disable=SC2086
    env $memory KUBECONFIG=$dir/operator.kubeconfig "$bin/gastown-operator" --leader-elect --namespace gastown-system --identity "$1" \
        --metrics-bind-address 0 --health-probe-bind-address "127.0.0.1:$2" >"$dir/log/operator-$1" 2>&1 &
    own+=($!)
}

modest() { # modest PID: it never held more memory than the chart asks for it (docs/OPERATIONS.md), though not optimized
    local most
    most=$(awk '/^VmHWM:/ {print $2}' "/proc/$1/status")
    [ "${most:-0}" -gt 0 ] || { echo "citizen: operator $1 is not there to be measured" >&2 && exit 1; }
    [ "$most" -le $((64 * 1024)) ] || { echo "citizen: the operator held $most KiB, more than 64 MiB" >&2 && exit 1; }
    say "the operator held $((most / 1024)) MiB at most"
}

"$top/e2e/cluster/up.sh" --audit "$dir" >/dev/null
# No node fits a pod here: the scheduler would only say so on each.
kill "$(sed -n 's/^kube-scheduler //p' "$dir/pids")"
kubectl apply --server-side -f "$top/deploy/install.yaml" >/dev/null
kubectl -n gastown-system delete deployment --all >/dev/null
"$top/e2e/cluster/account.sh" "$dir" gastown-system gastown-operator >"$dir/operator.kubeconfig"
say "control plane, rights and account"

{ read -r first && read -r second; } < <("${CLUSTER_BINARY:-$top/target/cluster}" free-ports 2)
"$bin/gastown-bench" kubelet --kubeconfig "$dir/kubeconfig" --life-ms 1000 >"$dir/log/fake-kubelet" 2>&1 &
own+=($!)
operator one "$first"
leader=$!
until_true "one leads" holds one
operator two "$second"

# What the predecessor left, and one of each thing there is a right for.
kubectl apply -f - >/dev/null <<YAML
{apiVersion: gastown.gastown.io/v1alpha1, kind: Rig, metadata: {name: parts, finalizers: [gastown.io/rig-cleanup]},
 spec: {gitURL: "https://example.com/parts.git", beadsPrefix: pa, testCommand: make test, agent: custom,
  agentConfig: {command: [./agent.sh]}, settings: {maxPolecats: 100}}}
---
{apiVersion: gastown.gastown.io/v1alpha1, kind: BeadStore,
 metadata: {name: beads, namespace: gastown-system, finalizers: [gastown.io/beadstore-cleanup]}, spec: {rigRef: parts, prefix: pa-}}
---
{apiVersion: gastown.gastown.io/v1alpha1, kind: Convoy, metadata: {name: batch, namespace: gastown-system},
 spec: {description: a batch, trackedBeads: [pa-convoyed], rigRef: parts}}
---
{apiVersion: gastown.gastown.io/v1alpha1, kind: Polecat,
 metadata: {name: long, namespace: gastown-system, finalizers: [gastown.io/polecat-cleanup]},
 spec: {rig: parts, desiredState: Working, beadID: pa-long, task: {description: "$(printf 'x%.0s' $(seq 40000))"}}}
---
{apiVersion: gastown.gastown.io/v1alpha1, kind: Polecat, metadata: {name: lost, namespace: gastown-system},
 spec: {rig: nowhere, desiredState: Working, beadID: pa-lost, task: {description: Do it}}}
YAML
sling a b c
until_true "five landed" merged 5
for step in Stuck/Terminated Terminated/Working Stuck/Working; do
    until_true "lost is ${step%/*}" phase lost "${step%/*}"
    kubectl -n gastown-system patch polecat lost --type merge -p "{\"spec\":{\"desiredState\":\"${step#*/}\"}}" >/dev/null
done
until_true "the same event is counted" sh -c "'${CLUSTER_BINARY:-$top/target/cluster}' kubectl --kubeconfig '$dir/kubeconfig' -n gastown-system get events -o 'jsonpath={.items[*].count}' | tr ' ' '\n' | grep -qx 2"
described=$(kubectl -n gastown-system describe polecat a)
for word in Running WorkComplete Merged; do
    grep -qE "Normal +$word " <<<"$described" || { echo "$described" >&2 && echo "citizen: describe shows no $word" >&2 && exit 1; }
done
say "kubectl describe tells Running, WorkComplete, Merged"

# The API server dies without a word and comes back: the operator neither ends nor repeats anything.
server=$(sed -n 's/^kube-apiserver //p' "$dir/pids" | tail -n 1)
mapfile -d '' -t words <"/proc/$server/cmdline"
kill -KILL "$server"
while kill -0 "$server" 2>/dev/null; do sleep 0.1; done
setsid "${words[@]}" >>"$dir/log/kube-apiserver" 2>&1 </dev/null &
echo "kube-apiserver $!" >>"$dir/pids"
until_true "the API server is back" kubectl get --raw /readyz
sling d e
until_true "seven landed" merged 7
kill -0 "$leader" || { echo "citizen: the leader ended" >&2 && exit 1; }

# The leader dies without a word: the other takes over within the lease.
held=$(holder)
case $held in one) pid=$leader ;; *) pid=${own[-1]} ;; esac
modest "$pid"
kill -KILL "$pid"
killed=$SECONDS
until_true "another leads" sh -c "[ \"\$('${CLUSTER_BINARY:-$top/target/cluster}' kubectl --kubeconfig '$dir/kubeconfig' -n gastown-system get lease 9a7b81dd.gastown.io -o 'jsonpath={.spec.holderIdentity}')\" != '$held' ]"
# A lease of 15 s that a standby looks at each 2 s; the rest is for a busy machine, on which two processes and a call must get
# their turn.
[ $((SECONDS - killed)) -le 40 ] || { echo "citizen: the leader was dead for $((SECONDS - killed)) s before another led" >&2 && exit 1; }
say "another led $((SECONDS - killed)) s after the leader's death"
sling f g
until_true "nine landed" merged 9
for pid in "${own[@]:1}"; do [ ! -e "/proc/$pid" ] || modest "$pid"; done

# Nothing was made twice: as many polecat pods were created as there are attempts.
made=$(grep -F '"stage":"ResponseComplete"' "$dir/audit.log" | grep -F '"verb":"create"' | grep -F '"resource":"pods"' | grep -F '"code":201' | grep -cE '"name":"polecat-' || true)
attempts=$(kubectl -n gastown-system get polecats -o 'jsonpath={range .items[*]}{.status.attempt}{"\n"}{end}' | awk '{n += $1} END {print n}')
[ "$made" -le "$attempts" ] || { echo "citizen: $made pods for $attempts attempts" >&2 && exit 1; }
say "$made pods for $attempts attempts"

# SIGTERM: within the grace, and the lease is free.
for pid in "${own[@]:1}"; do kill "$pid" 2>/dev/null || true; done
until_true "the lease is given up" holds ''

# A name that was taken is looked at, and a silent agent is nudged: in a healthy run there is neither.
"$bin/gastown-bench" audit --log "$dir/audit.log" --user system:serviceaccount:gastown-system:gastown-operator \
    --role "$top/deploy/install.yaml" --rare 'get pods' --rare 'patch pods' --rare 'get configmaps' \
    --rare 'get polecats.gastown.gastown.io' --rare 'get witnesses.gastown.gastown.io' --rare 'get refineries.gastown.gastown.io'
say "citizen: ok"
