#!/usr/bin/env bash
# A kubeconfig for a service account of a cluster that up.sh began, on stdout. Its token lasts a day.
#
# usage: account.sh DIR NAMESPACE NAME
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ $# = 3 ] || fail "usage: account.sh DIR NAMESPACE NAME"
token=$("$binary" kubectl --kubeconfig "$1/kubeconfig" --namespace "$2" create token "$3" --duration 24h)
sed -e "s/token: \".*\"/token: \"$token\"/" "$1/kubeconfig"
