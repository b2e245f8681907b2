#!/usr/bin/env bash
# A real Kubernetes control plane on loopback, for tests: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.
# Several run side by side, each in its own DIR on ports that are free.
#
# usage: up.sh [--audit] [--audit-policy FILE] [--user NAME[=GROUP,...]]... [--bare] [--openshift] [--kubelet | --processes | --fake] DIR
#   --audit          every call at level Metadata into DIR/audit.log
#   --audit-policy   the same with a policy of one's own
#   --user           a further user; its kubeconfig is DIR/NAME.kubeconfig (service accounts: account.sh)
#   --bare           no scheduler, no service accounts, and nothing of Kubernetes' own in a new namespace (no pods of controllers then);
#                    lists of old revisions are the store's alone, so that they can be forgotten
#   --kubelet        a real node too: kubelet on containerd (needs root; one on a machine)
#   --processes      our own node: pods are processes of this machine
#   --fake           a node that takes every pod and runs nothing, for scale: containers are ready at once, and end after 2 seconds
#   --openshift      pods are admitted as by OpenShift's restricted-v2 (openshift.yaml)
# exit code 3: this machine lacks something, and it is said what.
# leaves DIR/kubeconfig (cluster admin), DIR/etcd.url, DIR/log, DIR/pids; down.sh DIR ends and removes it all.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$here/node.sh"

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

policy='' users=() node='' bare='' openshift='' dir=''
while [ $# -gt 0 ]; do
    case $1 in
    --audit) policy=$here/audit-policy.yaml ;;
    --audit-policy) policy=$(realpath "${2:?--audit-policy needs a file}") && shift ;;
    --user) users+=("${2:?--user needs a name}") && shift ;;
    --bare) bare=1 ;;
    --kubelet | --processes | --fake) [ -z "$node" ] || usage && node=${1#--} ;;
    --openshift) openshift=1 ;;
    -*) usage ;;
    *) [ -z "$dir" ] || usage && dir=$1 ;;
    esac
    shift
done
[ -n "$dir" ] || usage
[ -x "$binary" ] || cannot "$binary is missing: run make cluster (needs Go 1.25 or newer)"
[ ! -e "$dir/pids" ] || fail "$dir is in use: run down.sh $dir first"

[ -z "$node" ] || [ -z "$bare" ] || fail "a --bare cluster schedules nothing: a node would have nothing to do"
case $node in
kubelet)
    lacks=$(node_lacks)
    [ -z "$lacks" ] || cannot "no node can run here:" "$lacks"
    node_claim
    lacks=$(node_alone)
    [ -z "$lacks" ] || cannot "no node can run here:" "$lacks"
    ;;
processes) [ -x "$programs/process-node" ] || cannot "$programs/process-node is missing: cargo build --locked --workspace --bins" ;;
fake) [ -x "$programs/gastown-bench" ] || cannot "$programs/gastown-bench is missing: cargo build --locked --workspace --bins" ;;
esac

umask 077
mkdir -p "$dir/log"
dir=$(cd "$dir" && pwd)
: >"$dir/pids"
[ "$node" != kubelet ] || : >"$dir/node"
# Under a name that no function has for something else: a trap sees the names of whatever it interrupts.
up='' state=$dir
trap '[ -n "$up" ] || "$here/down.sh" "$state"' EXIT
trap 'exit 1' INT TERM HUP

word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# kubeconfig FILE USER TOKEN: how USER reaches this control plane
kubeconfig() {
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: e2e
  cluster: {server: "https://$address:$port", certificate-authority: "$dir/certs/apiserver.crt"}
users:
- name: "$2"
  user: {token: "$3"}
contexts:
- name: e2e
  context: {cluster: e2e, user: "$2"}
current-context: e2e
YAML
}

# member NAME GROUPS KUBECONFIG: a line of the token file, and the kubeconfig that holds its token
member() {
    local token
    token=$(word)
    echo "$token,$1,$1,\"$2\"" >>"$dir/tokens"
    kubeconfig "$3" "$1" "$token"
}

control_plane() {
    address=127.0.0.1 range=10.0.0.0/24
    { read -r port && read -r client && read -r peer; } < <("$binary" free-ports 3)
    if [ "$node" = kubelet ]; then
        node_network
        address=$service port=443 range=$service_range
    fi
    : >"$dir/tokens"
    member admin system:masters "$dir/kubeconfig"
    member system:node:localhost system:nodes "$dir/kubelet.kubeconfig"
    member system:kube-scheduler '' "$dir/scheduler.kubeconfig"
    local user
    for user in ${users[@]+"${users[@]}"}; do
        local groups=''
        case $user in *=*) groups=${user#*=} ;; esac
        member "${user%%=*}" "$groups" "$dir/${user%%=*}.kubeconfig"
    done

    # What is lost with the machine need not be on its disk first.
    begin "$dir" etcd "$binary" etcd --name e2e --data-dir "$dir/etcd" --unsafe-no-fsync=true --log-level warn \
        --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "e2e=http://127.0.0.1:$peer"

    echo "http://127.0.0.1:$client" >"$dir/etcd.url"

    local more=()
    [ -z "$openshift" ] || more=(--feature-gates=MutatingAdmissionPolicy=true --runtime-config=admissionregistration.k8s.io/v1beta1=true)
    [ -z "$policy" ] || more+=(--audit-policy-file "$policy" --audit-log-path "$dir/audit.log" --audit-log-maxsize 4096)
    begin "$dir" kube-apiserver "$binary" kube-apiserver --etcd-servers "http://127.0.0.1:$client" \
        --bind-address "$address" --advertise-address "$address" --secure-port "$port" --cert-dir "$dir/certs" \
        --endpoint-reconciler-type none \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-signing-key-file "$dir/accounts.key" --service-account-key-file "$dir/accounts.key" \
        --token-auth-file "$dir/tokens" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --service-cluster-ip-range "$range" --allow-privileged=true --kubelet-preferred-address-types=Hostname \
        --profiling=false ${bare:+--disable-admission-plugins=ServiceAccount --feature-gates=ListFromCacheSnapshot=false} ${more[@]+"${more[@]}"}
    await "$dir" kube-apiserver 120 readyz kubectl get --raw /readyz
}

kubectl() { "$binary" kubectl --kubeconfig "$dir/kubeconfig" "$@"; }

"$binary" new-key "$dir/accounts.key"
# Between finding a port and binding it another may have taken it: that, and nothing else, is tried again.
for attempt in 1 2 3; do
    control_plane && break
    [ "$attempt" -lt 3 ] && grep -qs 'address already in use' "$dir/log/etcd" "$dir/log/kube-apiserver" || exit 1
    "$here/down.sh" --keep "$dir"
done

begin "$dir" kube-controller-manager "$binary" kube-controller-manager --kubeconfig "$dir/kubeconfig" --secure-port 0 --leader-elect=false \
    --service-account-private-key-file "$dir/accounts.key" --root-ca-file "$dir/certs/apiserver.crt" --profiling=false \
    --controllers='*,-nodeipam,-node-route-controller,-service-lb-controller,-cloud-node-lifecycle-controller'"${bare:+,-serviceaccount-controller,-serviceaccount-token-controller,-root-ca-certificate-publisher-controller}"
# A pod that nobody schedules stays as it was written: what a test says of it does not depend on who was first.
[ -n "$bare" ] || begin "$dir" kube-scheduler "$binary" kube-scheduler --kubeconfig "$dir/scheduler.kubeconfig" --secure-port 0 --leader-elect=false --profiling=false
[ -n "$bare" ] || await "$dir" kube-controller-manager 120 'default service account' kubectl get serviceaccount default
[ -n "$bare" ] || await "$dir" kube-controller-manager 120 'root certificate' kubectl get configmap kube-root-ca.crt

# openshift: whom the API server would have a pod run as that names nobody
openshift() {
    local pod='{"apiVersion":"v1","kind":"Pod","metadata":{"name":"probe"},"spec":{"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}},
        "containers":[{"name":"probe","image":"probe","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}'
    [ "$(kubectl create --dry-run=server -f - -o 'jsonpath={.spec.containers[0].securityContext.runAsUser}' <<<"$pod")" = 1000660000 ] &&
        ! kubectl create --dry-run=server -f - <<<"${pod/\"securityContext\":/\"hostNetwork\":true,\"securityContext\":}"
}
if [ -n "$openshift" ]; then
    kubectl apply --server-side -f "$here/openshift.yaml" >/dev/null
    # Policies are in force a moment after they were made.
    await "$dir" kube-apiserver 60 'policies in force' openshift
fi

[ "$node" != kubelet ] || node_up "$dir"
if [ "$node" = processes ]; then
    KUBECONFIG=$dir/kubeconfig begin "$dir" process-node "$programs/process-node" --data "$dir/node" --path-prefix "$programs" --hide "$dir"
fi
[ "$node" != fake ] || begin "$dir" fake-node "$programs/gastown-bench" kubelet --kubeconfig "$dir/kubeconfig" --node localhost --all
case $node in
processes) await "$dir" process-node 120 'ready node' kubectl wait --for=condition=Ready --timeout=2s node/localhost ;;
fake) await "$dir" fake-node 120 'ready node' kubectl wait --for=condition=Ready --timeout=2s node/localhost ;;
esac

up=1
echo "Kubernetes $(kubectl version -o json | sed -n '/serverVersion/,$s/.*"gitVersion": "\(.*\)".*/\1/p') after $SECONDS s; export KUBECONFIG=$dir/kubeconfig"
