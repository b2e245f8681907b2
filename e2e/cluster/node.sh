# A real node: kubelet on containerd and runc, one on a machine. Sourced by up.sh and down.sh.
#
# Pods have addresses on a bridge of this machine. The service address of the API server is one of the bridge's, so it
# is simply there, and pods reach servers of this machine at the gateway. No firewall rule is made.

bridge=gastown-e2e0
gateway=10.88.77.1
pod_range=10.88.77.0/24
# The first address of the service range is the API server's.
service_range=10.88.76.0/24
service=10.88.76.1
# Short, for sockets' sake; sockets in one, what is large in the other.
run=/run/gastown-e2e
lib=/var/lib/gastown-e2e
lock=/run/lock/gastown-e2e
pause=localhost/gastown-e2e/pause:1

ctr() { command ctr --address "$run/containerd.sock" --namespace k8s.io "$@"; }

# node_lacks: prints what keeps a node from running here; nothing where nothing does
node_lacks() {
    [ "$(id -u)" = 0 ] || echo "a real node needs root"
    local missing=()
    command -v containerd >/dev/null && command -v ctr >/dev/null || missing+=(containerd)
    command -v runc >/dev/null || missing+=(runc)
    command -v ip >/dev/null || missing+=(iproute2)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    [ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
    [ ${#missing[@]} = 0 ] || echo "a real node needs more programs: apt-get install ${missing[*]}"
}

# node_claim: this machine's one node is ours as long as what we begin runs
node_claim() {
    mkdir -p /run/lock
    exec 9>"$lock"
    flock --nonblock 9 && return
    echo "cluster: another node runs on this machine; waiting for its end" >&2
    flock --timeout 1800 9 || fail "another node has run on this machine for half an hour: down.sh its folder first"
}

# node_alone: prints why a second kubelet would be in the way of another; nothing where there is none. Both take the pods' groups
# for their own, and end what they do not know there.
node_alone() {
    local other
    other=$(find /sys/fs/cgroup -path '*/kubepods*/cgroup.procs' -exec grep -l . {} + 2>/dev/null | head -n 1)
    [ -z "$other" ] || echo "pods of another kubelet run on this machine ($(dirname "$other"))"
}

node_network() {
    # With an address of its own: a bridge without one has the lowest of its ports, so that every pod that comes or goes may
    # change it, and whoever knows the old one talks to nobody for half a minute.
    ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" address 02:67:74:65:32:65 type bridge
    ip address replace "$gateway/24" dev "$bridge"
    ip address replace "$service/32" dev "$bridge"
    ip link set "$bridge" up
}

# An image of one static program that waits, made by hand: what holds a pod's network.
node_pause() {
    local dir
    dir=$(mktemp -d "$lib/pause.XXXXXX")
    mkdir "$dir/layer"
    printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' | cc -x c -Os -static -s -o "$dir/layer/pause" -
    tar -C "$dir/layer" --owner 0 --group 0 --mtime @0 -cf "$dir/layer.tar" pause
    local id
    id=$(sha256sum "$dir/layer.tar" | cut -d ' ' -f 1)
    printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/pause"],"User":"65535:65535"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')" "$id" >"$dir/config.json"
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$pause" >"$dir/manifest.json"
    tar -C "$dir" -cf "$dir/image.tar" manifest.json config.json layer.tar
    ctr images import "$dir/image.tar"
    rm -rf "$dir"
}

# node_up DIR: containerd and kubelet; ready when it returns
node_up() {
    local dir=$1
    # Folders of images that no layer names are made as the umask says, and pods' users walk through them.
    umask 022
    # What the CNI plugin and the kubelet leave on a machine that had none of it is undone in the end.
    cat /proc/sys/net/ipv4/ip_forward >"$dir/ip_forward"
    local folder
    for folder in /var/lib/kubelet /var/log/containers /var/lib/cni; do [ -e "$folder" ] || echo "$folder" >>"$dir/folders"; done
    mkdir -p "$run" "$lib"/{containerd,kubelet,logs,cni}
    # Pods' own users walk through to their volumes.
    chmod 0711 "$lib" "$lib/kubelet" "$lib/containerd"
    local snapshotter=overlayfs
    # One overlay cannot lie on another, as in a container.
    [ "$(stat -f -c %T "$lib")" != overlayfs ] || snapshotter=native
    cat >"$dir/containerd.toml" <<TOML
version = 2
root = "$lib/containerd"
state = "$run/containerd"
[grpc]
address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$pause"
# Without CAP_SYS_RESOURCE runc cannot lower a score, and says so in riddles.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "$snapshotter"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$dir/cni"
TOML
    mkdir -p "$dir/cni"
    cat >"$dir/cni/10-bridge.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "gastown-e2e", "plugins": [{
  "type": "bridge", "bridge": "$bridge", "isGateway": true, "forceAddress": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_range", "gateway": "$gateway"}]],
           "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$lib/cni"}
}]}
JSON
    begin "$dir" containerd containerd --config "$dir/containerd.toml"
    await "$dir" containerd 60 'its socket' ctr version
    node_pause
    local port health
    { read -r port && read -r health; } < <("$binary" free-ports 2)
    cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: "unix://$run/containerd.sock"
address: 127.0.0.1
port: $port
healthzPort: $health
readOnlyPort: 0
podLogsDir: $lib/logs
volumePluginDir: $lib/kubelet/plugins-exec
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
evictionHard: {"memory.available": "50Mi", "nodefs.available": "200Mi", "imagefs.available": "200Mi", "nodefs.inodesFree": "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
# On loopback, where whoever may reach it is root already or could be: kube-apiserver has no certificate of ours to show.
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
# No name server: pods are told addresses.
resolvConf: "$dir/resolv.conf"
YAML
    : >"$dir/resolv.conf"
    begin "$dir" kubelet "$binary" kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/kubelet.kubeconfig" \
        --root-dir "$lib/kubelet" --cert-dir "$dir/kubelet-certs" --hostname-override localhost
    await "$dir" kubelet 120 'ready node' kubectl wait --for=condition=Ready --timeout=2s node/localhost
}

# node_down DIR: pods end while there is a kubelet to end them; then everything, whatever state it is in
node_down() {
    local dir=$1 deadline
    [ -e "$dir/node" ] || return 0
    if running "$dir" kubelet && running "$dir" kube-apiserver; then
        end_part "$dir" kube-controller-manager
        "$binary" kubectl --kubeconfig "$dir/kubeconfig" delete pods --all --all-namespaces --grace-period=1 --wait=false >/dev/null 2>&1 || true
        deadline=$((SECONDS + 30))
        while [ -n "$(ctr tasks list -q 2>/dev/null)" ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.2; done
    fi
    end_part "$dir" kubelet
    local id
    for id in $(ctr tasks list -q 2>/dev/null); do ctr tasks kill --all --signal KILL "$id" >/dev/null 2>&1 || true; done
    end_part "$dir" containerd
    # Shims outlive their containerd by design.
    local process
    for process in /proc/[0-9]*; do
        if grep -qzF -e "$run/containerd.sock" "$process/cmdline" 2>/dev/null; then kill -KILL "${process#/proc/}" 2>/dev/null || true; fi
    done
    local mount
    # Read from the end: what is mounted last lies on top.
    for mount in $(tac /proc/self/mounts | cut -d ' ' -f 2 | grep -e "^$run/" -e "^$lib/"); do umount --lazy "$mount" 2>/dev/null || true; done
    find /var/lib/cni -name 'gastown-e2e-*' -delete 2>/dev/null || true
    find /var/log/containers -lname "$lib/*" -delete 2>/dev/null || true
    local folder
    while read -r folder; do rm -rf "$folder"; done < <(cat "$dir/folders" 2>/dev/null)
    [ ! -e "$dir/ip_forward" ] || cat "$dir/ip_forward" >/proc/sys/net/ipv4/ip_forward
    find /sys/fs/cgroup -depth -type d \( -path '*/kubepods*' -o -path '*/k8s.io*' \) -exec rmdir {} + 2>/dev/null || true
    ip link delete "$bridge" 2>/dev/null || true
    rm -rf "$run" "$lib"
}
