#!/usr/bin/env bash
# Measures what BENCHMARKS.md states, each figure beside what it is compared with, in one run.
#
# Usage: benches/run.sh [FOLDER]
#   FOLDER      where 6 GB of scratch files may lie [default: a temporary folder]
#   ROUNDS      rounds of each comparison; medians are printed [5]
#   FASHION     folder with fashion-mnist.{train,test,gt}.npy, for the batch against FAISS [skipped without it]
#   FAISS       a Python that has numpy and faiss-cpu, likewise
# As root the page cache is dropped where a row says cold.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$PWD/${CARGO_TARGET_DIR:-target}/release
rounds=${ROUNDS:-5}
work=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/vexfs-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

seconds() {
    local begun
    begun=$(date +%s%N)
    "$@" >/dev/null 2>&1
    awk -v ns=$(($(date +%s%N) - begun)) 'BEGIN { printf "%.4f\n", ns / 1e9 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.4f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
row() { printf '%-58s %s\n' "$1" "$2"; }
drop_caches() { sync && [ -w /proc/sys/vm/drop_caches ] && echo 3 >/proc/sys/vm/drop_caches; }

# $1: rows, $2: dimensions, $3: file. Rows of f32 from 0 to 1 of a fixed generator.
make_npy() {
    python3 - "$@" <<'EOF'
import array, random, struct, sys
rows, dim, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
random.seed(42)
head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, dim)
head += " " * (64 - (11 + len(head)) % 64) + "\n"
some = array.array("f", (random.random() for _ in range(min(rows, 8192) * dim))).tobytes()
with open(path, "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    left = rows * dim * 4
    while left > 0:
        left -= f.write(some[:left])
EOF
}

echo "$(grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'), $(nproc) cores, Linux $(uname -r), load $(cut -d' ' -f1 /proc/loadavg)"

# --- format
size=2000363274240
for _ in $(seq "$rounds"); do
    rm -f "$work/big.img"
    seconds "$bin/mkfs-vexfs" -q -V "$work/big.img" "$((size / 1024))"
done >"$work/mkfs"
row 'mkfs of 1.8 TB, s' "$(median <"$work/mkfs")"
row 'mkfs of 1.8 TB, MiB written' "$(du -m "$work/big.img" | cut -f1)"
rm -f "$work/big.img"

# --- import against dd, to the same preallocated file
make_npy 2097152 128 "$work/g.npy"
fallocate -l 3G "$work/dev.img"
cat "$work/g.npy" >/dev/null
for _ in $(seq "$rounds"); do
    seconds dd if="$work/g.npy" of="$work/dev.img" bs=1M conv=fsync,notrunc >>"$work/dd"
    "$bin/mkfs-vexfs" -q -f -K -V -D 128 "$work/dev.img"
    seconds "$bin/vexfs-import" -q -d "$work/dev.img" "$work/g.npy" >>"$work/import"
done
dd=$(median <"$work/dd") import=$(median <"$work/import")
row 'dd of a 1 GiB .npy, conv=fsync, s' "$dd"
row 'import of the same file, durable, s' "$import"
row 'import / dd' "$(ratio "$import" "$dd")"
"$bin/mkfs-vexfs" -q -f -K -V -D 128 "$work/dev.img"
if command -v /usr/bin/time >/dev/null; then
    /usr/bin/time -f %M -o "$work/rss" "$bin/vexfs-import" -q -d "$work/dev.img" "$work/g.npy"
    row 'peak resident memory of that import, MiB' "$(awk '{ printf "%.0f", $1 / 1024 }' "$work/rss")"
else
    "$bin/vexfs-import" -q -d "$work/dev.img" "$work/g.npy"
fi

# --- one exact query, one thread, against reading
cargo build --quiet --release --package vexfs-fs --example scan_speed
"$bin/examples/scan_speed" "$work/dev.img"
rm -f "$work/g.npy" "$work/dev.img"

# --- a fresh process
make_npy 10000 128 "$work/s.npy"
"$bin/mkfs-vexfs" -q -V -D 128 "$work/s.img" 64M
"$bin/vexfs-import" -q -d "$work/s.img" "$work/s.npy"
for _ in $(seq 100); do seconds "$bin/vexfs-query" -d "$work/s.img" --id 7; done >"$work/fresh"
for _ in $(seq 100); do seconds /bin/true; done >"$work/true"
row 'fresh process, one exact query over 10,000 x 128, ms' "$(median <"$work/fresh" | awk '{ printf "%.2f", $1 * 1000 }')"
row '/bin/true, started the same way, ms' "$(median <"$work/true" | awk '{ printf "%.2f", $1 * 1000 }')"

# --- check
make_npy 1000000 128 "$work/m.npy"
"$bin/mkfs-vexfs" -q -V -D 128 "$work/m.img" 1G
"$bin/vexfs-import" -q -d "$work/m.img" "$work/m.npy"
for _ in $(seq "$rounds"); do
    seconds "$bin/fsck-vexfs" -n -f "$work/m.img" >>"$work/fsck"
    seconds dd if="$work/m.npy" of=/dev/null bs=1M >>"$work/read"
    seconds "$bin/fsck-vexfs" -n -f --data=full "$work/m.img" >>"$work/full"
done
row 'fsck -n -f, 1,000,000 x 128, s' "$(median <"$work/fsck")"
row 'fsck -n -f --data=full, warm, s' "$(median <"$work/full")"
row 'dd of the rows to /dev/null, warm, s' "$(median <"$work/read")"
if drop_caches; then
    for _ in $(seq "$rounds"); do
        drop_caches
        seconds dd if="$work/m.npy" of=/dev/null bs=1M >>"$work/read-cold"
        drop_caches
        seconds "$bin/fsck-vexfs" -n -f --data=full "$work/m.img" >>"$work/full-cold"
    done
    full=$(median <"$work/full-cold") read=$(median <"$work/read-cold")
    row 'fsck -n -f --data=full, cold, s' "$full"
    row 'dd of the rows to /dev/null, cold, s' "$read"
    row 'read bandwidth of the check / sequential, cold' "$(ratio "$read" "$full")"
fi
rm -f "$work/m.npy" "$work/m.img"

# --- batch against FAISS
if [ -n "${FASHION:-}" ]; then
    "$bin/mkfs-vexfs" -q -V -D 784 "$work/f.img" 1G
    "$bin/vexfs-import" -q -d "$work/f.img" "$FASHION/fashion-mnist.train.npy"
    "$bin/vexfs-import" -q -d "$work/f.img" -c u8 "$FASHION/fashion-mnist.train.npy"
    for threads in 1 2; do
        for _ in $(seq "$rounds"); do
            if [ -n "${FAISS:-}" ]; then
                "$FAISS" benches/faiss_flat.py "$FASHION" "$threads" >>"$work/faiss$threads"
            fi
            for collection in vectors u8; do
                "$bin/vexfs-query" -q -d "$work/f.img" -c "$collection" --exact --threads "$threads" --stats -o npy \
                    --ground-truth "$FASHION/fashion-mnist.gt.npy" "$FASHION/fashion-mnist.test.npy" \
                    2>"$work/stats" >/dev/null
                grep -o '"qps":[0-9.]*' "$work/stats" | cut -d: -f2 >>"$work/$collection$threads"
            done
        done
        [ -z "${FAISS:-}" ] || row "FAISS IndexFlatL2, batch of 1,000, $threads threads, q/s" "$(median <"$work/faiss$threads")"
        row "exact over f32, $threads threads, q/s" "$(median <"$work/vectors$threads")"
        row "exact over u8, $threads threads, q/s" "$(median <"$work/u8$threads")"
    done
    row 'recall of the last' "$(grep -o '"recall":[0-9.]*' "$work/stats" | cut -d: -f2)"
fi
