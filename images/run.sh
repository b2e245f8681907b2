#!/usr/bin/env bash
# run.sh ROOT COMMAND...: runs a command in an unpacked image as the strictest clusters run it: UID 1000660000 of group 0, which no
# passwd file knows, read-only root, no capability, no new privileges, no network; only /tmp can be written, and is HOME. As root.
set -euo pipefail
root=$1
shift

bundle=$(mktemp -d)
id=gastown-images-$$
trap 'runc delete --force "$id" >/dev/null 2>&1 || true; rm -rf "$bundle"' EXIT

args=""
for word in "$@"; do
    word=${word//\\/\\\\}
    args+="\"${word//\"/\\\"}\","
done
mount() { printf '{"destination":"%s","type":"%s","source":"%s","options":[%s]}' "$@"; }
cat >"$bundle/config.json" <<END
{"ociVersion": "1.0.2",
 "process": {
   "user": {"uid": 1000660000, "gid": 0},
   "args": [${args%,}],
   "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"],
   "cwd": "/tmp", "noNewPrivileges": true,
   "capabilities": {"bounding": [], "effective": [], "permitted": []}},
 "root": {"path": "$root", "readonly": true},
 "mounts": [
   $(mount /proc proc proc ''),
   $(mount /dev tmpfs tmpfs '"nosuid","mode=755","size=64k"'),
   $(mount /tmp tmpfs tmpfs '"nosuid","nodev","mode=1777","size=512m"')],
 "linux": {
   "cgroupsPath": "/$id",
   "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}]}}
END
runc run --bundle "$bundle" "$id"
