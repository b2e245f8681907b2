#!/usr/bin/env bash
# containerd.sh FOLDER COMMAND...: runs a command beside a containerd of its own in FOLDER, its socket in CONTAINERD_ADDRESS, and ends it.
set -euo pipefail
folder=$1
shift
mkdir -p "$folder"
cat >"$folder/config.toml" <<END
version = 2
root = "$folder/root"
state = "$folder/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$folder/containerd.sock"
[ttrpc]
  address = "$folder/containerd.sock.ttrpc"
END
containerd --config "$folder/config.toml" >"$folder/log" 2>&1 &
containerd=$!
trap 'kill $containerd 2>/dev/null && wait $containerd || true' EXIT
export CONTAINERD_ADDRESS=$folder/containerd.sock
for _ in $(seq 600); do
    ctr version >/dev/null 2>&1 && break
    kill -0 $containerd 2>/dev/null || { tail -20 "$folder/log" >&2; exit 1; }
    sleep 0.1
done
"$@"
