# What up.sh and down.sh share. Sourced.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
binary=${CLUSTER_BINARY:-$top/target/cluster}
# Of nodes that are not a kubelet.
programs=${CLUSTER_PROGRAMS:-$top/target/debug}

fail() { # fail WHAT [MORE ...]: says why it cannot go on, and ends
    printf 'cluster: %s\n' "$@" >&2
    exit 1
}

# cannot WHAT [MORE ...]: says what this machine lacks, and ends with code 3
cannot() {
    printf 'cluster: %s\n' "$@" >&2
    exit 3
}

# begin DIR NAME COMMAND...: a process of its own session, its log and pid under DIR
begin() {
    local dir=$1 name=$2
    shift 2
    setsid "$@" >"$dir/log/$name" 2>&1 </dev/null &
    echo "$name $!" >>"$dir/pids"
}

# running DIR NAME: whether what was begun under that name still is
running() {
    local pid
    pid=$(sed -n "s/^$2 //p" "$1/pids" | tail -n 1)
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
}

# await DIR NAME SECONDS WHAT COMMAND...: until COMMAND succeeds; a process NAME that ended, or the deadline, is a failure
await() {
    local dir=$1 name=$2 deadline=$((SECONDS + $3)) what=$4
    shift 4
    until "$@" >/dev/null 2>&1; do
        if ! running "$dir" "$name"; then
            echo "cluster: $name ended before $what; its last words:" >&2
        elif [ "$SECONDS" -ge "$deadline" ]; then
            echo "cluster: no $what by $name in time; its last words:" >&2
        else
            sleep 0.1
            continue
        fi
        tail -n 15 "$dir/log/$name" >&2
        return 1
    done
}

# ours PID DIR: whether it is still the process that was begun for DIR, and not a later one of the same number
ours() { grep -qzF -e "$2/" "/proc/$1/cmdline" 2>/dev/null; }

# end PID DIR: at once; nothing that it holds is kept
end() {
    while ours "$1" "$2"; do
        kill -KILL "$1" 2>/dev/null || true
        sleep 0.05
    done
}

# end_part DIR NAME
end_part() {
    local pid
    for pid in $(sed -n "s/^$2 //p" "$1/pids"); do end "$pid" "$1"; done
}

# processes_down DIR: our own node ends its pods when it is asked to end
processes_down() {
    local pid deadline=$((SECONDS + 15))
    for pid in $(sed -n 's/^process-node //p' "$1/pids"); do
        while ours "$pid" "$1" && [ "$SECONDS" -lt "$deadline" ]; do
            kill -TERM "$pid" 2>/dev/null || true
            sleep 0.1
        done
    done
}
