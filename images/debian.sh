#!/bin/sh
# debian.sh PACKAGE...: installs packages as the user nobody has to be: no caches, no setuid, one home that any UID of group 0 may
# write. Runs inside an image build, takes itself away, and leaves nothing that differs between two builds.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
apt-get clean
find /var/lib/apt/lists /var/cache /var/log /tmp /var/tmp -type f -delete
rm -rf /etc/machine-id /var/lib/dpkg/*-old

echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/bin/sh' >>/etc/passwd
echo 'nonroot:x:65532:' >>/etc/group
mkdir -p /home/nonroot
chown 65532:0 /home/nonroot
chmod 0770 /home/nonroot

find / -xdev -type f -perm /6000 -exec chmod a-s {} +
rm -f "$0"
