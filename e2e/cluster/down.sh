#!/usr/bin/env bash
# Ends what up.sh began in DIR and removes DIR.
#
# usage: down.sh [--keep] DIR      --keep leaves the logs
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$here/node.sh"

keep=''
[ "${1:-}" != --keep ] || { keep=1 && shift; }
[ $# = 1 ] || fail "usage: down.sh [--keep] DIR"
dir=$1
[ -d "$dir" ] || exit 0
[ -f "$dir/pids" ] || fail "$dir is not a cluster's folder: it holds no pids"
dir=$(cd "$dir" && pwd)

node_down "$dir"
processes_down "$dir"
# The last begun goes first: what others rest on ends last.
tac "$dir/pids" | while read -r _ pid; do end "$pid" "$dir"; done
if [ -n "$keep" ]; then
    rm -rf "$dir/etcd" "$dir/certs"
    : >"$dir/pids"
else
    rm -rf "$dir"
fi
