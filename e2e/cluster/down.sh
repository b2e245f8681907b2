#!/usr/bin/env bash
# Ends what up.sh began in DIR and removes DIR.
#
# usage: down.sh [--keep] DIR      --keep leaves the logs
set -euo pipefail
. "$(dirname "$0")/common.sh"

keep=''
[ "${1:-}" != --keep ] || { keep=1 && shift; }
[ $# = 1 ] || fail "usage: down.sh [--keep] DIR"
dir=$1
[ -d "$dir" ] || exit 0
[ -f "$dir/pids" ] || fail "$dir is not a cluster's folder: it holds no pids"
dir=$(cd "$dir" && pwd)

# ours PID: whether it is still the process that was begun here, and not a later one of the same number
ours() { grep -qzF -e "$dir/" "/proc/$1/cmdline" 2>/dev/null; }

end() { # end NAME PID
    ours "$2" || return 0
    kill "$2" 2>/dev/null || return 0
    local deadline=$((SECONDS + 10))
    while ours "$2"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            kill -KILL "$2" 2>/dev/null || true
            deadline=$((SECONDS + 10))
        fi
        sleep 0.05
    done
}

# The last begun goes first: what others rest on ends last.
tac "$dir/pids" | while read -r name pid; do end "$name" "$pid"; done
if [ -n "$keep" ]; then
    rm -rf "$dir/etcd" "$dir/certs"
    : >"$dir/pids"
else
    rm -rf "$dir"
fi
