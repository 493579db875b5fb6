#!/usr/bin/env bash
# The tools on a kernel with the device mapper, in a virtual machine: bad sectors, failing writes, every prefix of what was
# written. No root is needed, nor virtualisation. Takes a few minutes.
#
#   tests/vm/run.sh
#
#   QEMU              the emulator                          [qemu-system-x86_64]; QEMU_ARGS are added
#   VM_KERNEL         a kernel with its modules in VM_MODULES [those of Debian's VM_PACKAGE, unpacked under target/vm]
#   VEXFS_TOOLS_DIR   the tools, under their installed names  [built by cargo]
set -euo pipefail
cd "$(dirname "$0")/../.."

QEMU=${QEMU:-qemu-system-x86_64}
VM_PACKAGE=${VM_PACKAGE:-}
target=${CARGO_TARGET_DIR:-target}
store=$target/vm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

need() { command -v "$1" >/dev/null || { echo "tests/vm needs $1 ($2)" >&2; exit 1; }; }
need "$QEMU" qemu-system-x86
need busybox busybox-static
need cpio cpio
need xz xz-utils
PATH=$PATH:/usr/sbin:/sbin
need dmsetup dmsetup

if [ -z "${VM_KERNEL:-}" ]; then
    if [ ! -d "$store/boot" ]; then
        need apt-get apt
        if [ -z "$VM_PACKAGE" ]; then
            VM_PACKAGE=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
        fi
        mkdir -p "$store"
        (cd "$store" && apt-get download "$VM_PACKAGE" && dpkg-deb -x ./linux-image-*.deb . && rm ./linux-image-*.deb)
    fi
    VM_KERNEL=$(find "$store/boot" -name 'vmlinuz-*' | sort | tail -n 1)
    VM_MODULES=$store
fi

if [ -z "${VEXFS_TOOLS_DIR:-}" ]; then
    cargo build --locked --quiet --workspace --bins
    VEXFS_TOOLS_DIR=$work/tools
    mkdir "$VEXFS_TOOLS_DIR"
    for tool in mkfs.vexfs fsck.vexfs vexfs-import vexfs-query vexfs-tune vexfs-dump; do
        cp "$target/debug/${tool/./-}" "$VEXFS_TOOLS_DIR/$tool"
    done
fi
cargo build --locked --quiet --package vexfs-device --example replay_log_writes

# A program with the libraries it is linked to.
install_program() {
    cp "$1" "$root/bin/$2"
    # One that is linked to none is no error.
    { ldd "$1" 2>/dev/null || true; } | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -Ln "$library" "$root$library"
    done
}

# A kernel module, unpacked; those that a kernel has built in are not there.
install_module() {
    local file
    file=$(find "$VM_MODULES" -name "$1.ko*" | head -n 1)
    case $file in
    *.xz) xz -dc "$file" >"$root/modules/$1.ko" ;;
    *.ko) cp "$file" "$root/modules/$1.ko" ;;
    esac
}

root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
install_program "$(command -v busybox)" busybox
install_program "$(command -v dmsetup)" dmsetup
for tool in "$VEXFS_TOOLS_DIR"/*; do
    install_program "$tool" "$(basename "$tool")"
done
install_program "$target/debug/examples/replay_log_writes" replay
for module in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk dax dm-mod dm-flakey dm-log-writes; do
    install_module "$module"
done
cp tests/vm/init.sh "$root/init"
cp tests/vm/cases.sh "$root/cases.sh"
chmod 755 "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"

for disk in small large log; do
    truncate -s 256M "$work/$disk"
done
# shellcheck disable=SC2086 # QEMU_ARGS are several words
timeout "${VM_TIMEOUT:-1200}" "$QEMU" ${QEMU_ARGS:-} -accel tcg,thread=multi -smp 2 -cpu max -m 1024 \
    -nographic -no-reboot -nodefaults -serial stdio \
    -drive "file=$work/small,format=raw,if=none,id=small,cache=unsafe" \
    -device virtio-blk-pci,drive=small,logical_block_size=512 \
    -drive "file=$work/large,format=raw,if=none,id=large,cache=unsafe" \
    -device virtio-blk-pci,drive=large,logical_block_size=4096,physical_block_size=4096 \
    -drive "file=$work/log,format=raw,if=none,id=log,cache=unsafe" \
    -device virtio-blk-pci,drive=log,logical_block_size=512 \
    -kernel "$VM_KERNEL" -initrd "$work/initramfs" \
    -append 'console=ttyS0 panic=-1 quiet loglevel=1' </dev/null | tee "$work/console"
if ! grep -q '^all cases passed' "$work/console"; then
    echo 'tests/vm: FAILED' >&2
    exit 1
fi
