#!/usr/bin/env bash
# The chart without a cluster: lint, what a few sets of values render (compared with snapshots/), what is refused and in which
# words, and that deploy/install.yaml is what the chart renders. What needs a cluster, NOTES too, is in ../install.
#
# usage: test.sh [--update]
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-target/helm}
chart=charts/gastown-operator
update=${1:-}
failures=0

command -v "$helm" >/dev/null || { echo "chart: $helm is missing: run make helm (needs Go)" >&2; exit 1; }
# One version of Kubernetes, whatever Helm was built for.
render() { "$helm" template gastown-operator "$chart" --namespace gastown-system --kube-version 1.35 "$@"; }
wrong() { printf 'chart: %s\n' "$*" >&2; failures=$((failures + 1)); }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# same FILE COMMITTED: what was made is what is committed
same() {
    if [ "$update" = --update ]; then
        cp "$1" "$2"
    elif ! diff -u "$2" "$1"; then
        wrong "$2 is not what the chart renders; if that is meant: make chart-generate"
    fi
}

# refused WORDS ARGUMENT...: an install with these values is refused in those words
refused() {
    local words=$1
    shift
    if render "$@" >"$scratch/out" 2>&1; then
        wrong "accepted: $*"
    elif ! grep -qF -- "$words" "$scratch/out"; then
        wrong "$* is refused without saying '$words':" "$(cat "$scratch/out")"
    fi
}

"$helm" lint --strict --quiet "$chart" || wrong "helm lint"
"$helm" lint --strict --quiet "$chart" --values "$chart/values-openshift.yaml" || wrong "helm lint, OpenShift's values"

for values in e2e/chart/values/*.yaml "$chart/values-openshift.yaml"; do
    name=$(basename "$values")
    render --values "$values" --set crds.install=false >"$scratch/$name"
    same "$scratch/$name" "e2e/chart/snapshots/$name"
done
render >"$scratch/whole"
[ "$(grep -c '^kind: CustomResourceDefinition' "$scratch/whole")" = 6 ] || wrong "the chart does not bring six definitions"
[ "$(grep -c 'helm.sh/resource-policy: keep' "$scratch/whole")" = 6 ] || wrong "a definition would not survive an uninstall"
render --api-versions security.openshift.io/v1 --set crds.install=false >"$scratch/seen"
grep -A1 GASTOWN_POD_USER "$scratch/seen" | grep -q '"none"' || wrong "OpenShift is not seen by its API"
printf 'pods: {user: 1000660000}\n' >"$scratch/user.yaml"
render --values "$scratch/user.yaml" --set crds.install=false >"$scratch/seen"
grep -A1 GASTOWN_POD_USER "$scratch/seen" | grep -q '"1000660000"' || wrong "a user that is a number is written otherwise"
render --set crds.install=false >"$scratch/plain"
for value in watchNamespaces networkPolicy.pods.namespaces networkPolicy.apiServer.cidrs pods.user image.tag; do
    render --set crds.install=false --set "$value=null" >"$scratch/null" || wrong "$value=null is not the same as unset"
    cmp -s "$scratch/plain" "$scratch/null" || wrong "$value=null is not the same as unset"
done
render --set crds.install=false --set networkPolicy.pods.except=null >/dev/null || wrong "nothing to except is refused"
! grep -E 'secrets|pods/exec|"\*"' "$scratch/whole" | grep -vE 'description:|^ *#' | grep -E 'resources:|verbs:' || wrong "a right that nobody needs"

refused "additional properties 'replicaCounts' not allowed" --set replicaCounts=2
refused "at '/replicaCount': got string, want integer" --set replicaCount=two
refused "must be one of 'Always', 'IfNotPresent', 'Never'" --set image.pullPolicy=Sometimes
refused "at '/networkPolicy/apiServer/cidrs/0': 'nonsense' does not match" --set 'networkPolicy.apiServer.cidrs={nonsense}'
refused "at '/watchNamespaces/0': 'Team_A' does not match" --set 'watchNamespaces={Team_A}'
refused "at '/pods/user'" --set pods.user=root
refused "leaderElection.enabled=true" --set replicaCount=2 --set leaderElection.enabled=false
refused "image.tag is 0.4.2-fips: a release of the predecessor" --set image.tag=0.4.2-fips
refused "serviceAccount.name" --set serviceAccount.create=false

# What stands before the marker is xtask's.
marker='# The operator, rendered from the chart by `make chart-generate`.'
{
    sed "/^$marker\$/q" deploy/install.yaml
    render --set crds.install=false | grep -vE '^# Source: '
} >"$scratch/install.yaml"
same "$scratch/install.yaml" deploy/install.yaml

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
grep -qx "version: $version" "$chart/Chart.yaml" && grep -qx "appVersion: \"$version\"" "$chart/Chart.yaml" ||
    wrong "Chart.yaml is not of version $version"

[ "$failures" = 0 ] || { echo "chart: $failures failed" >&2; exit 1; }
echo "chart: lint, $(ls e2e/chart/snapshots | wc -l) snapshots, refusals, install.yaml: as they should be"
