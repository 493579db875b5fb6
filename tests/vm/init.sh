#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the virtual machine: mounts what is needed, runs the cases, and switches the machine off.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o size=600m tmpfs /tmp
for module in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk dax dm-mod dm-flakey dm-log-writes; do
    # What is built in has no file.
    [ ! -e "/modules/$module.ko" ] || insmod "/modules/$module.ko"
done
if sh -eu /cases.sh; then
    echo 'all cases passed'
fi
poweroff -f
