#!/usr/bin/env bash
# The chart on a real control plane, with real Helm: install, upgrade, uninstall, listed namespaces, and clusters that older
# releases left behind. There is no kubelet: the Deployment's pod is admitted and stays pending, and the operator runs here, as its
# ServiceAccount, with the environment that the Deployment gives it.
#
# usage: run.sh [PART...]   parts: fresh policies targets namespaced from-v0.4.2 from-v0.4.2-manifest from-v0.1.2 manifest documents
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-$PWD/target/helm}
operator=${OPERATOR:-$PWD/target/debug/gastown-operator}
export CLUSTER_BINARY=${CLUSTER_BINARY:-$PWD/target/cluster}
bench=${BENCH_PROGRAM:-$PWD/target/debug/gastown-bench}
chart=charts/gastown-operator
ns=gastown-system
patience=120
. e2e/install/older.sh

for needed in "$helm:make helm" "$CLUSTER_BINARY:make cluster" "$operator:make build" "$bench:make build"; do
    [ -x "${needed%%:*}" ] || { echo "install: ${needed%%:*} is missing: run ${needed#*:}" >&2; exit 1; }
done

scratch=$(mktemp -d)
cluster=$scratch/cluster
operator_pid='' others=()
finish() {
    [ ${#others[@]} = 0 ] || kill "${others[@]}" 2>/dev/null || true
    [ -z "$operator_pid" ] || kill "$operator_pid" 2>/dev/null || true
    e2e/cluster/down.sh "$cluster" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap finish EXIT

kubectl() { "$CLUSTER_BINARY" kubectl --kubeconfig "$cluster/kubeconfig" "$@"; }
helm() { KUBECONFIG=$cluster/kubeconfig "$helm" "$@"; }
say() { printf '%4ss  %s\n' "$SECONDS" "$*"; }
wrong() {
    printf 'install: %s\n' "$@" >&2
    [ ! -s "$scratch/operator.log" ] || { echo "the operator's last words:" && tail -n 15 "$scratch/operator.log"; } >&2
    exit 1
}

# await WHAT COMMAND...: until it succeeds
await() {
    local what=$1 deadline=$((SECONDS + patience))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || wrong "never: $what"
        sleep 0.2
    done
}

# field JSONPATH ARGUMENT...: one field of an object
field() {
    local path=$1
    shift
    kubectl get "$@" -o "jsonpath=$path"
}
is() { [ "$(field "$2" "${@:3}")" = "$1" ]; }
gone() { ! kubectl get "$@"; }
pod_of() { kubectl -n "$1" get pod "polecat-$2"; }

# refused WORDS COMMAND...: fails, and says so
refused() {
    local words=$1
    shift
    if "$@" >"$scratch/refusal" 2>&1; then
        wrong "succeeded: $*"
    fi
    grep -qF -- "$words" "$scratch/refusal" || wrong "$* fails without saying '$words':" "$(cat "$scratch/refusal")"
}

# account NAMESPACE: a kubeconfig of the operator's account there
account() { e2e/cluster/account.sh "$cluster" "$1" "${2:-gastown-operator}" >"$scratch/account"; }

# begin NAMESPACE [ACCOUNT]: the operator, as its account, with the Deployment's environment
begin() {
    local env=()
    account "$@"
    mapfile -t env < <(kubectl -n "$1" get deployment -l control-plane=controller-manager -o \
        'jsonpath={range .items[0].spec.template.spec.containers[0].env[?(@.value)]}{.name}={.value}{"\n"}{end}')
    KUBECONFIG=$scratch/account env "${env[@]}" GASTOWN_NAMESPACE="$1" POD_NAME=here "$operator" --leader-elect --log-format text \
        --metrics-bind-address=0 --health-probe-bind-address="127.0.0.1:$("$CLUSTER_BINARY" free-ports 1)" >"$scratch/operator.log" 2>&1 &
    operator_pid=$!
}
stop() {
    kill "$operator_pid"
    wait "$operator_pid" || wrong "the operator ended badly"
    operator_pid=''
}

# may YES|NO VERB RESOURCE ARGUMENT...: whether the account has the right
may() {
    local answer
    answer=$("$CLUSTER_BINARY" kubectl --kubeconfig "$scratch/account" auth can-i "${@:2}" 2>/dev/null || true)
    [ "$answer" = "$1" ] || wrong "may it ${*:2}? $answer, and it should be $1"
}

# Nothing that an operator asked was refused to it.
nothing_refused() {
    local refusals
    refusals=$(grep -F '"username":"system:serviceaccount:' "$cluster/audit.log" | grep -E 'gastown-operator"' | grep -F '"code":403' | head -n 3 || true)
    [ -z "$refusals" ] || wrong "the operator asked for what its role does not hold:" "$refusals"
}

rig() {
    kubectl apply --server-side -f - >/dev/null <<YAML
apiVersion: gastown.gastown.io/v1alpha1
kind: Rig
metadata: {name: parts}
spec: {gitURL: "https://example.com/org/parts.git", beadsPrefix: pa, testCommand: ./test.sh, agent: custom, agentConfig: {command: [./agent.sh]}}
YAML
}

polecat() { # polecat NAMESPACE NAME
    kubectl apply --server-side -f - >/dev/null <<YAML
apiVersion: gastown.gastown.io/v1alpha1
kind: Polecat
metadata: {name: $2, namespace: $1}
spec: {rig: parts, desiredState: Working, beadID: pa-$2, taskDescription: Do it}
YAML
}

namespace() { # namespace NAME: one that is held to Pod Security's strictest
    kubectl create namespace "$1" >/dev/null
    kubectl label namespace "$1" pod-security.kubernetes.io/enforce=restricted >/dev/null
}

# Whatever a part leaves: nothing of it may hang, though no operator runs.
clean() {
    [ -z "$operator_pid" ] || stop
    nothing_refused
    for release in $(helm list -A -q); do
        timeout 60 "$helm" --kubeconfig "$cluster/kubeconfig" uninstall "$release" -n "$(helm list -A --filter "^$release\$" | awk 'NR==2 {print $2}')" --wait >/dev/null 2>&1
    done
    kubectl delete polecats,convoys,beadstores,witnesses,refineries -A --all --timeout=60s >/dev/null
    kubectl delete rigs --all --timeout=60s >/dev/null
    kubectl delete -f "$chart/files/crds/" --timeout=60s >/dev/null
    for name in $ns $old_ns team-a team-b; do
        kubectl delete namespace "$name" --ignore-not-found --timeout=60s >/dev/null
    done
}

fresh() {
    namespace $ns
    helm install gastown-operator $chart --namespace $ns >"$scratch/notes"
    grep -qF 'rollout status deployment/gastown-operator-controller-manager' "$scratch/notes" || wrong "NOTES do not name the next command"
    ! grep -q 'has no effect' "$scratch/notes" || wrong "NOTES complain of the chart's own defaults"
    await "the operator's pod, admitted where Pod Security is restricted" is 1 '{.status.replicas}' -n $ns deployment gastown-operator-controller-manager
    await "its pod" kubectl -n $ns wait --for=create pod -l control-plane=controller-manager --timeout=1s
    say "installed; its pod is admitted under restricted"

    begin $ns
    rig
    polecat $ns furiosa
    kubectl apply --server-side -f - >/dev/null <<YAML
apiVersion: gastown.gastown.io/v1alpha1
kind: Convoy
metadata: {name: batch, namespace: $ns}
spec: {description: a batch, trackedBeads: [pa-nux], rigRef: parts}
YAML
    await "the rig's children" kubectl -n $ns get witness/parts-witness refinery/parts-refinery
    await "furiosa's pod" pod_of $ns furiosa
    await "a pod of what the convoy dispatched" kubectl -n $ns get pod -l gastown.io/convoy=batch
    is Ready '{.status.phase}' rig parts || await "the rig is ready" is Ready '{.status.phase}' rig parts
    await "an event" kubectl -n $ns events --for polecat/furiosa
    say "as its account, it made the rig's children, a polecat's pod and a convoy's polecat, in a restricted namespace"

    for right in "get secrets" "list secrets -A" "update pods" "create pods --subresource=exec" "get pods --subresource=log" "delete polecats" "update rigs" "create rigs" \
        "get nodes" "create rolebindings" "impersonate users" "delete leases" "create serviceaccounts --subresource=token"; do
        # shellcheck disable=SC2086
        may no $right -n $ns
    done
    may yes create pods -n $ns
    say "no right to Secrets, exec, or anybody's roles"

    # A release with a changed definition: Helm would not touch it, were it in crds/.
    cp -r $chart "$scratch/newer"
    sed -i 's/^    kind: Rig$/    kind: Rig\n    shortNames: [rg]/' "$scratch/newer/files/crds/rigs.gastown.gastown.io.yaml"
    helm upgrade gastown-operator "$scratch/newer" --namespace $ns --set replicaCount=2 --set podDisruptionBudget.enabled=true >/dev/null
    await "the upgraded definition" kubectl get rg parts
    is 2 '{.spec.replicas}' -n $ns deployment gastown-operator-controller-manager || wrong "not upgraded"
    kubectl -n $ns get polecat/furiosa pdb/gastown-operator >/dev/null
    say "upgraded: the definition with it, and everything is still there"

    stop
    timeout 60 "$helm" --kubeconfig "$cluster/kubeconfig" uninstall gastown-operator --namespace $ns --wait >/dev/null 2>&1 || wrong "uninstall hangs"
    [ "$(kubectl get crd -o name | grep -c gastown)" = 6 ] || wrong "definitions did not survive the uninstall"
    kubectl get rig/parts >/dev/null && kubectl -n $ns get polecat/furiosa pod/polecat-furiosa >/dev/null || wrong "work did not survive the uninstall"
    ! kubectl get clusterrole -o name | grep -q gastown || wrong "rights survived the uninstall"
    kubectl -n $ns delete polecat furiosa --timeout=60s >/dev/null
    await "its pod is collected, with no operator there" gone -n $ns pod polecat-furiosa
    say "uninstalled: definitions, rigs and polecats stay; deleting one hangs on nobody"

    helm install gastown-operator $chart --namespace $ns >/dev/null
    begin $ns
    polecat $ns slit
    await "slit's pod" pod_of $ns slit
    say "installed again over what stayed"
}

# recorded ROLE: the labels of each pod of that role that ever was, one a line
recorded() { grep -F "\"gastown.io/role\":\"$1\"" "$scratch/pods"; }

# selects POLICY YES|NO LABELS...: whether a network policy selects pods with these labels
selects() {
    local policy=$1 wanted=$2 labels pair answer=yes
    shift 2
    for labels in "$@"; do
        answer=yes
        while read -r pair; do
            [[ $labels == *"$pair"* ]] || answer=no
        done < <(kubectl -n $ns get networkpolicy "$policy" -o 'go-template={{range $k, $v := .spec.podSelector.matchLabels}}"{{$k}}":"{{$v}}"{{"\n"}}{{end}}')
        [ "$answer" = "$wanted" ] || wrong "does NetworkPolicy $policy select a pod of these labels? $answer, and it should be $wanted:" "$labels"
    done
}

# Every pod that there is, of whatever role, is recorded from before there is any, while a kubelet that runs nothing brings work to
# its end: then each policy is asked whom it selects.
policies() {
    namespace $ns
    helm install gastown-operator $chart --namespace $ns >/dev/null
    : >"$scratch/pods"
    kubectl -n $ns get pods --watch -o 'jsonpath={.metadata.labels}{"\n"}' >>"$scratch/pods" 2>/dev/null &
    others+=($!)
    await "the operator's pod" grep -q control-plane "$scratch/pods"
    "$bench" kubelet --kubeconfig "$cluster/kubeconfig" --life-ms 100 >"$scratch/kubelet.log" 2>&1 &
    others+=($!)
    begin $ns
    rig
    kubectl apply --server-side -f - >/dev/null <<YAML
apiVersion: gastown.gastown.io/v1alpha1
kind: BeadStore
metadata: {name: beads, namespace: $ns}
spec: {rigRef: parts, prefix: pa-}
---
apiVersion: gastown.gastown.io/v1alpha1
kind: Convoy
metadata: {name: batch, namespace: $ns}
spec: {description: a batch, trackedBeads: [pa-nux], rigRef: parts, notifyOnComplete: "https://hooks.example.com/x"}
YAML
    local role labels own
    own=$(grep -F '"control-plane":"controller-manager"' "$scratch/pods" | head -n 1)
    for role in polecat test land notify; do await "a pod of role $role" recorded "$role"; done
    selects gastown-operator yes "$own"
    selects gastown-operator-pods no "$own"
    selects gastown-operator-notify no "$own"
    while read -r labels; do
        selects gastown-operator no "$labels"
        selects gastown-operator-pods yes "$labels"
        case $labels in
        *'"gastown.io/role":"notify"'*) selects gastown-operator-notify yes "$labels" ;;
        *) selects gastown-operator-notify no "$labels" ;;
        esac
    done < <(grep -F '"gastown.io/role"' "$scratch/pods" | sort -u)
    [ "$(kubectl -n $ns get networkpolicies -o name | wc -l)" = 3 ] || wrong "there are policies that nobody looked at:" "$(kubectl -n $ns get networkpolicies)"
    kill "${others[@]}"
    others=()
    say "three network policies, each selects the pods that it is for and no other: of the operator, of polecats, tests and landings, of notices"
}

# The targets of the Makefile that reach a cluster, as they stand there. What `cargo run` would build once more is the operator that
# is built; kubectl-gt-install is nothing but a build.
targets() {
    local make=(env KUBECONFIG="$cluster/kubeconfig" PATH="$scratch/bin:$PATH" make --no-print-directory CARGO="$scratch/bin/cargo")
    mkdir -p "$scratch/bin"
    ln -sf "$CLUSTER_BINARY" "$scratch/bin/kubectl"
    printf '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "%s" "$@"\n' "$operator" >"$scratch/bin/cargo"
    chmod +x "$scratch/bin/cargo"
    "${make[@]}" install >/dev/null
    [ "$(kubectl get crd -o name | grep -c gastown)" = 6 ] || wrong "make install brings no six definitions"
    "${make[@]}" deploy HELM="$helm" IMG=registry.example.com:5000/town/operator:v9 >/dev/null
    is registry.example.com:5000/town/operator:v9 '{.spec.template.spec.containers[0].image}' -n $ns deployment gastown-operator-controller-manager ||
        wrong "make deploy IMG= did not name the image:" "$(field '{.spec.template.spec.containers[0].image}' -n $ns deployment gastown-operator-controller-manager)"
    "${make[@]}" undeploy HELM="$helm" >/dev/null
    [ -z "$(kubectl -n $ns get deployment -o name)" ] && [ "$(kubectl get crd -o name | grep -c gastown)" = 6 ] || wrong "make undeploy leaves a deployment, or takes the definitions"
    say "make install, deploy IMG=, undeploy"

    rig
    polecat $ns furiosa
    setsid "${make[@]}" run-local >"$scratch/operator.log" 2>&1 &
    others+=($!)
    await "furiosa's pod, by make run-local" pod_of $ns furiosa
    # make and the operator, which have a session of their own.
    kill -TERM -- "-${others[0]}"
    wait "${others[0]}" || true
    others=()
    say "make run-local serves the cluster of KUBECONFIG"
    "${make[@]}" uninstall >/dev/null
    ! kubectl get crd -o name | grep -q gastown || wrong "make uninstall leaves definitions"
    kubectl apply --server-side -f $chart/files/crds/ >/dev/null
    say "make uninstall takes the definitions, and with them all that they define"
}

namespaced() {
    kubectl apply --server-side --force-conflicts -f $chart/files/crds/ >/dev/null
    for name in $ns team-a team-b; do namespace $name; done
    helm install gastown-operator $chart --namespace $ns --set 'watchNamespaces={team-a}' --set crds.install=false >/dev/null
    begin $ns
    rig
    polecat team-b nux
    polecat team-a furiosa
    polecat $ns slit
    await "furiosa's pod" pod_of team-a furiosa
    await "slit's pod" pod_of $ns slit
    await "the rig's children" kubectl -n $ns get witness/parts-witness refinery/parts-refinery
    await "the rig's status" is Ready '{.status.phase}' rig parts
    gone -n team-b pod polecat-nux 2>/dev/null || wrong "it made a pod in a namespace that is not listed"
    [ -z "$(field '{.status}' -n team-b polecat nux)" ] || wrong "it wrote in a namespace that is not listed"
    for right in "list polecats -A" "list pods -A" "create pods -n team-b" "get polecats -n team-b" "create events -n default" "create witnesses -n team-a"; do
        # shellcheck disable=SC2086
        may no $right
    done
    may yes list rigs
    may yes create pods -n team-a
    kubectl -n team-a get networkpolicy gastown-operator-pods >/dev/null || wrong "no network policy beside the polecats"
    say "listed namespaces: served where its Roles are, silent elsewhere; of the whole cluster only rigs"

    # As a second release finds a Rig that the first one holds.
    kubectl patch rig parts --subresource status --type merge -p '{"status":{"childNamespace":"team-b","message":"of another"}}' >/dev/null
    # One after the other: sums are written with what they sum, at most once a second.
    for name in toast rictus; do
        polecat team-a $name
        await "$name's pod" pod_of team-a $name
    done
    is 'team-b of another' '{.status.childNamespace} {.status.message}' rig parts || wrong "it wrote the status of a Rig that another operator holds:" "$(field '{.status}' rig parts)"
    kubectl patch rig parts --subresource status --type merge -p '{"status":{"childNamespace":null}}' >/dev/null
    await "a Rig that was handed over is taken" is "$ns 4" '{.status.childNamespace} {.status.polecatCount}' rig parts
    say "a Rig that another operator holds is served and left alone, until it is handed over"

    stop
    refused 'list each in watchNamespaces' env KUBECONFIG="$scratch/account" GASTOWN_NAMESPACE=$ns "$operator" --metrics-bind-address=0 --health-probe-bind-address=0
    # What was refused just now was meant to be.
    sed -i '/"code":403/d' "$cluster/audit.log"
    say "asked to serve all, it says which right it lacks"
}

manifest() {
    kubectl apply --server-side -f deploy/install.yaml >/dev/null
    await "the operator's pod" is 1 '{.status.replicas}' -n $ns deployment gastown-operator-controller-manager
    await "its pod" kubectl -n $ns wait --for=create pod -l control-plane=controller-manager --timeout=1s
    begin $ns
    rig
    polecat $ns furiosa
    await "furiosa's pod" pod_of $ns furiosa
    stop
    say "deploy/install.yaml: applied without Helm, and works"
    # As OpenShift gets it: the API server takes it, and the pods name no user.
    helm template gastown-operator $chart --namespace $ns --values $chart/values-openshift.yaml --set crds.install=false |
        kubectl apply --server-side --force-conflicts -f - >/dev/null
    begin $ns
    polecat $ns slit
    await "slit's pod" pod_of $ns slit
    [ -z "$(field '{.spec.securityContext.runAsUser}{.spec.securityContext.runAsGroup}{.spec.securityContext.fsGroup}' -n $ns pod polecat-slit)" ] ||
        wrong "a pod names a user where the cluster names them"
    say "OpenShift's values: neither the operator nor its pods name a user, group or fsGroup"
    stop
    helm template gastown-operator $chart --namespace $ns --set crds.install=false | kubectl delete -f - >/dev/null
}

# The words of README and docs, as they stand there: crates/kubectl-gt/tests/transcripts/documents.rs looks for them here.
documents() {
    kubectl config current-context
    kubectl auth can-i create customresourcedefinitions
    kubectl version
    kubectl create namespace team-a
    helm install gastown-operator charts/gastown-operator --namespace gastown-system --create-namespace >/dev/null
    kubectl label namespace gastown-system pod-security.kubernetes.io/enforce=restricted
    says_ready
    kubectl rollout status deployment/gastown-operator-controller-manager --namespace gastown-system
    kubectl rollout status deployment/gastown-operator-controller-manager --namespace gastown-system --timeout=2m
    kubectl create clusterrolebinding developers-see-rigs --clusterrole gastown-operator-rig-viewer --group developers
    kubectl create rolebinding developers-sling --clusterrole gastown-operator-editor --group developers --namespace team-a
    developer yes create polecats -n team-a
    developer yes list rigs
    developer no create polecats -n $ns
    helm upgrade gastown-operator charts/gastown-operator --namespace gastown-system --reuse-values \
        --set replicaCount=2 --set podDisruptionBudget.enabled=true >/dev/null
    helm upgrade gastown-operator charts/gastown-operator --namespace gastown-system --reset-then-reuse-values >/dev/null
    helm upgrade gastown-operator charts/gastown-operator --namespace gastown-system --reset-then-reuse-values --take-ownership >/dev/null
    is 2 '{.spec.replicas}' -n $ns deployment gastown-operator-controller-manager || wrong "an upgrade forgot what was set"
    helm uninstall gastown-operator --namespace gastown-system >/dev/null
    helm install gastown-operator charts/gastown-operator --namespace gastown-system --create-namespace \
        --set image.registry=registry.example.com/gastown >/dev/null
    field '{.spec.template.spec.containers[0].image}' -n $ns deployment gastown-operator-controller-manager | grep -q '^registry.example.com/gastown/gastown-operator:' ||
        wrong "the image is not the registry's"
    helm uninstall gastown-operator --namespace gastown-system >/dev/null
    kubectl create namespace team-b
    helm install gastown-operator charts/gastown-operator --namespace gastown-system --set 'watchNamespaces={team-a,team-b}' >/dev/null
    [ -n "$(kubectl -n team-b get role -o name)" ] || wrong "no rights in a listed namespace"
    kubectl delete clusterrolebinding developers-see-rigs >/dev/null
    say "what README and docs say to type about a cluster works"
}

developer() { # developer YES|NO VERB RESOURCE ARGUMENT...: whether somebody of that group has the right
    local answer
    answer=$(kubectl auth can-i "${@:2}" --as=jo --as-group=developers 2>/dev/null || true)
    [ "$answer" = "$1" ] || wrong "may developers ${*:2}? $answer, and it should be $1"
}

# What a kubelet would say of the operator's pod.
says_ready() {
    await "the operator's pod" kubectl -n $ns wait --for=create pod -l control-plane=controller-manager --timeout=1s
    local pod
    pod=$(kubectl -n $ns get pods -l control-plane=controller-manager -o name)
    kubectl -n $ns patch "$pod" --subresource=status --type=merge \
        -p '{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}' >/dev/null
}

parts=("$@")
[ $# -gt 0 ] || parts=(fresh policies targets namespaced from-v0.4.2 from-v0.4.2-manifest from-v0.1.2 manifest documents)
e2e/cluster/up.sh --audit "$cluster" | sed 's/; export.*//'
for part in "${parts[@]}"; do
    echo "== $part"
    "${part//[-.]/_}"
    clean
done
echo "install: ${#parts[@]} parts in $SECONDS s"
