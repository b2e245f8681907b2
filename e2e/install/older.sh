# What older releases left is taken over, as UPGRADE.md says. Sourced by run.sh.
# shellcheck shell=bash

old=e2e/install/v0.4.2
# Where the install.yaml of 0.4.2 put the operator.
old_ns=gastown-operator-system

# released: the predecessor's finalizers are off, others' are kept, and no spec lost a field
released() {
    for object in rig/my-project polecat/nux beadstore/beads; do
        await "$object without finalizer" is '' '{.metadata.finalizers}' -n $ns "$object"
    done
    await "another's finalizer stays" is '["example.com/of-another"]' '{.metadata.finalizers}' -n $ns polecat/furiosa
}

specs() { kubectl get rigs,polecats,convoys,witnesses,refineries,beadstores -A -o 'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.spec}{"\n"}{end}'; }

# kept: every spec stands as it stood; what convoys dispatched since stands beside it
kept() {
    local lost
    specs | sort >"$scratch/after"
    lost=$(sort "$scratch/before" | comm -23 - "$scratch/after")
    [ -z "$lost" ] || wrong "the new definitions lost something; these are no more what they were:" "$lost"
}

# left_behind NAMESPACE: what its users and its operator have made, with the statuses of then, and a pod
left_behind() {
    sed "s/namespace: gastown-system/namespace: $1/" e2e/install/v0.4.2-objects.yaml >"$scratch/objects.yaml"
    kubectl apply --server-side -f "$scratch/objects.yaml" >/dev/null
    kubectl replace --subresource=status -f "$scratch/objects.yaml" >/dev/null
    is Done '{.status.phase}' -n "$1" polecat ace && is elsewhere '{.status.childNamespace}' rig my-project || wrong "the statuses of 0.4.2 were not taken"
    await "the namespace's account" kubectl -n "$1" get serviceaccount default
    kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Pod
metadata: {name: polecat-dag, namespace: $1, labels: {gastown.io/polecat: dag, gastown.io/rig: my-project, gastown.io/bead: mp-8}}
spec: {restartPolicy: Never, containers: [{name: claude, image: "registry.example.com/polecat-agent:0.4.0"}]}
YAML
}

# reason CONDITION NAMESPACE POLECAT
reason() { field "{.status.conditions[?(@.type==\"$1\")].reason}" -n "$2" polecat "$3"; }
has_reason() { [ "$(reason "$2" "$3" "$4")" = "$1" ]; }
ours() { [ "$(field '{.metadata.labels.app\.kubernetes\.io/managed-by}' -n "$1" pod "polecat-$2")" = gastown-operator ]; }

# gone_on NAMESPACE: UPGRADE.md says of each kind of polecat what becomes of it
gone_on() {
    await "the Rig's status is the new operator's" is "$1" '{.status.childNamespace}' rig my-project
    await "who was Working begins anew" ours "$1" toast
    await "who was Stuck begins anew" ours "$1" slit
    is 'Working 1' '{.status.phase} {.status.attempt}' -n "$1" polecat toast || wrong "toast has no first attempt:" "$(field '{.status}' -n "$1" polecat toast)"
    await "an old pod is in the way of the new one, which says so" has_reason PodRefused Progressing "$1" dag
    kubectl delete pods --all-namespaces --selector 'gastown.io/polecat,app.kubernetes.io/managed-by!=gastown-operator' >/dev/null
    await "who waited for the old pod to go begins" ours "$1" dag

    await "who was Done says why it does not land" has_reason CommitUnknown Merged "$1" ace
    is Done '{.status.phase}' -n "$1" polecat ace && gone -n "$1" pod polecat-ace 2>/dev/null || wrong "finished work began again"
    field '{.status.message}' -n "$1" polecat ace | grep -qF "merge feature/mp-10 yourself, or have it done anew: kubectl gt sling mp-10 my-project --again -n $1" ||
        wrong "it does not say what to type:" "$(field '{.status.message}' -n "$1" polecat ace)"
    await "its event" told_of_ace "$1"
    kubectl -n "$1" patch polecat ace --subresource status --type merge \
        -p '{"status":{"branch":"feature/mp-10","commit":"9c1e77f09c1e77f09c1e77f09c1e77f09c1e77f0"}}' >/dev/null
    await "work whose commit somebody names is in the queue" is "$1/ace" '{.status.members[*].polecat}' -n "$1" refinery my-project-refinery
    await "and its test pod is made" pods_of_role "$1" test
    say "Working and Stuck begin, an old pod in the way is named, Done stays done and says how it may land"
}
pods_of_role() { [ -n "$(kubectl -n "$1" get pods -l "gastown.io/role=$2" -o name)" ]; }
told_of_ace() { [ "$(kubectl -n "$1" get events --field-selector reason=CommitUnknown,involvedObject.name=ace -o name | wc -l)" = 1 ]; }

from_v0_4_2() {
    namespace $ns
    # Its chart asks for a root user, so its namespace is not restricted yet.
    kubectl label namespace $ns pod-security.kubernetes.io/enforce- >/dev/null
    helm install gastown-operator $old --namespace $ns >/dev/null
    left_behind $ns
    specs >"$scratch/before"
    refused 'is older than this operator: it lacks' env KUBECONFIG="$cluster/kubeconfig" "$operator" --metrics-bind-address=0 --health-probe-bind-address=0
    grep -oE 'CRD [a-z.]+ is older.*' "$scratch/refusal" | sed 's/^/       /' | cut -c1-200
    say "definitions of 0.4.2 are refused, with the command that mends them"

    refused 'invalid ownership metadata' helm upgrade gastown-operator $chart --namespace $ns
    helm upgrade gastown-operator $chart --namespace $ns --take-ownership >/dev/null
    kubectl label namespace $ns pod-security.kubernetes.io/enforce=restricted >/dev/null
    begin $ns
    released
    kept
    gone_on $ns
    kubectl -n $ns delete polecat nux --timeout=60s >/dev/null
    kubectl -n $ns patch polecat furiosa --type merge -p '{"metadata": {"finalizers": null}}' >/dev/null
    kubectl delete rig my-project --timeout=60s >/dev/null
    say "upgraded from 0.4.2: finalizers are off, no field is lost, deleting hangs on nobody"
    [ "$(kubectl -n $ns get deployment -o name | wc -l)" = 1 ] || wrong "two operators"
}

from_v0_4_2_manifest() {
    kubectl create namespace $old_ns >/dev/null
    # What its install.yaml made: names and selector as kustomize gave them.
    kubectl apply -f $old/crds/ >/dev/null
    await "rigs are served" kubectl get rigs
    kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: ServiceAccount
metadata: {name: gastown-operator-controller-manager, namespace: $old_ns}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: gastown-operator-manager-role}
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: gastown-operator-manager-rolebinding}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gastown-operator-manager-role}
subjects: [{kind: ServiceAccount, name: gastown-operator-controller-manager, namespace: $old_ns}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gastown-operator-controller-manager, namespace: $old_ns, labels: {control-plane: controller-manager}}
spec:
  replicas: 1
  selector: {matchLabels: {control-plane: controller-manager}}
  template:
    metadata: {labels: {control-plane: controller-manager}}
    spec:
      serviceAccountName: gastown-operator-controller-manager
      containers: [{name: manager, image: "registry.example.com/gastown-operator:0.4.2", args: [--leader-elect]}]
YAML
    left_behind $old_ns
    specs >"$scratch/before"
    kubectl delete deployment gastown-operator-controller-manager --namespace gastown-operator-system >/dev/null
    helm install gastown-operator charts/gastown-operator --namespace gastown-operator-system --take-ownership >/dev/null
    [ "$(kubectl get deployments -A -l control-plane=controller-manager -o name | wc -l)" = 1 ] || wrong "not one operator:" "$(kubectl get deployments -A)"
    begin $old_ns
    kept
    gone_on $old_ns
    [ "$(kubectl get witnesses,refineries -A -o name | wc -l)" = 2 ] || wrong "a Rig has children twice:" "$(kubectl get witnesses,refineries -A)"
    for right in "get secrets" "list secrets -A"; do
        # shellcheck disable=SC2086
        may no $right
    done
    kubectl -n $old_ns patch polecat furiosa --type merge -p '{"metadata": {"finalizers": null}}' >/dev/null
    say "install.yaml of 0.4.2: its Deployment deleted, the rest taken over by Helm where it is, Witness and Refinery too"
}

from_v0_1_2() {
    namespace $ns
    kubectl apply --server-side -f $old/crds/ >/dev/null
    kubectl apply --server-side --force-conflicts -f e2e/install/v0.1.2-rigs.yaml >/dev/null
    await "rigs are served" kubectl get rigs
    # Without statuses, of which its definitions do not know all.
    sed -e '/^  beadsPrefix: mp$/a\  localPath: /srv/gt/my-project' -e '/^status:/,/^---/{/^---/!d}' e2e/install/v0.4.2-objects.yaml |
        kubectl apply --server-side -f - >/dev/null
    specs >"$scratch/before"
    grep -q localPath "$scratch/before" || wrong "the fixture does not hold localPath"
    refused 'is older than this operator: it lacks' env KUBECONFIG="$cluster/kubeconfig" "$operator" --metrics-bind-address=0 --health-probe-bind-address=0
    # The very command that it names.
    local command
    command=$(grep -oE 'Update the CRDs: .*/crds/' "$scratch/refusal" | sed 's/^Update the CRDs: //' | head -n 1)
    [ -n "$command" ] || wrong "it names no command"
    eval "$command" >/dev/null
    refused 'invalid ownership metadata' helm install gastown-operator $chart --namespace $ns
    helm install gastown-operator $chart --namespace $ns --take-ownership >/dev/null
    begin $ns
    released
    kept
    kubectl -n $ns patch polecat furiosa --type merge -p '{"metadata": {"finalizers": null}}' >/dev/null
    say "definitions of 0.1.2, put there by kubectl: mended by the command it names, taken over by Helm, localPath kept"
}
