#!/usr/bin/env bash
# Import speed for each format, beside the reader of its own ecosystem and dd, on the same file in one run.
#
# Usage: benches/import.sh [FOLDER]
#   FOLDER      where scratch files of about six times ROWS x DIM x 4 bytes may lie [default: a temporary folder]
#   ROWS, DIM   shape of the array [1048576, 128]
#   ROUNDS      rounds of each comparison; medians are printed [5]
#   PYTHON      a Python with numpy, h5py, pyarrow [python3]; formats whose package it lacks are left out
#   FORMATS     which of them, such as "npy parquet" [all that can be made]
#   BIN         folder with the tools [${CARGO_TARGET_DIR:-target}/release]
#
# The bound of a row is what an import may take: reading the file and writing the bytes of its rows with dd and a flush, times 1.3;
# where the file is compressed or is text, the time of the ecosystem's own reader is added to the writing, times 1.3, if that is more. All files
# are in the page cache; the device is a preallocated image file.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${BIN:-$PWD/${CARGO_TARGET_DIR:-target}/release}
python=${PYTHON:-python3}
rows=${ROWS:-1048576}
dim=${DIM:-128}
rounds=${ROUNDS:-5}
work=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/vexfs-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

seconds() {
    local begun
    begun=$(date +%s%N)
    "$@" >/dev/null 2>&1 || { echo "failed: $*" >&2; exit 1; }
    awk -v ns=$(($(date +%s%N) - begun)) 'BEGIN { printf "%.4f\n", ns / 1e9 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.4f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# One file for each format, of the same rows. Prints the formats that could be made.
"$python" - "$work" "$rows" "$dim" >"$work/formats" <<'END'
import sys
import numpy as np

work, rows, dim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
a = np.random.default_rng(42).random((rows, dim), dtype=np.float32)
# Few digits, as embeddings in texts have them, and a share that compresses.
text_rows = max(1, rows // 16)
small = np.round(a[:text_rows], 4)
np.save(f"{work}/x.npy", a)
np.savez(f"{work}/x.npz", x=a)
heads = np.full((rows, 1), dim, dtype="<i4").view("<f4")
np.hstack([heads, a]).tofile(f"{work}/x.fvecs")
with open(f"{work}/x.fbin", "wb") as f:
    np.array([rows, dim], dtype="<u4").tofile(f)
    a.tofile(f)
print("npy npz fvecs fbin", end=" ")
with open(f"{work}/x.csv", "w") as f:
    f.write("id,vector,title\n")
    for i, row in enumerate(small):
        f.write(f'{i},"[{", ".join(map(str, row))}]",item {i}\n')
with open(f"{work}/x.jsonl", "w") as f:
    for i, row in enumerate(small):
        f.write(f'{{"id": {i}, "vector": [{", ".join(map(str, row))}], "title": "item {i}"}}\n')
print("csv jsonl", end=" ")
try:
    import h5py
    with h5py.File(f"{work}/x.h5", "w") as f:
        f["train"] = a
    with h5py.File(f"{work}/x-gzip.h5", "w") as f:
        f.create_dataset("train", data=a, chunks=(min(rows, 4096), dim), compression="gzip")
    print("h5 gzip.h5", end=" ")
except ImportError:
    pass
try:
    import pyarrow as pa, pyarrow.parquet as pq
    table = pa.table({"id": np.arange(rows), "vector": pa.FixedSizeListArray.from_arrays(a.ravel(), dim)})
    pq.write_table(table, f"{work}/x.parquet", row_group_size=65536)
    pq.write_table(table, f"{work}/x-zstd.parquet", row_group_size=65536, compression="zstd")
    print("parquet zstd.parquet", end=" ")
except ImportError:
    pass
END

# $1: file. Reads all of it as its own ecosystem does, in slabs where that has them; prints the seconds without the start of Python.
ecosystem() {
    "$python" - "$1" <<'END'
import sys, time
import numpy as np
path = sys.argv[1]
ending = path.rsplit(".", 1)[1]
if ending == "h5":
    import h5py
elif ending == "parquet":
    import pyarrow.parquet as pq
elif ending == "csv":
    import csv
elif ending == "jsonl":
    import json
begun = time.perf_counter()
if ending == "npy":
    np.load(path)
elif ending == "npz":
    np.load(path)["x"]
elif ending in ("fvecs", "fbin"):
    np.fromfile(path, dtype="<f4")
elif ending == "h5":
    with h5py.File(path) as f:
        d = f["train"]
        for start in range(0, len(d), 65536):
            d[start:start + 65536]
elif ending == "parquet":
    for batch in pq.ParquetFile(path).iter_batches(65536):
        batch.column("vector").flatten().to_numpy()
elif ending == "csv":
    with open(path, newline="") as f:
        for row in csv.DictReader(f):
            np.array(row["vector"][1:-1].split(","), dtype="<f4")
else:
    with open(path) as f:
        for line in f:
            np.array(json.loads(line)["vector"], dtype="<f4")
print(f"{time.perf_counter() - begun:.4f}")
END
}

import_once() {
    "$bin/vexfs-import" -q -d "$work/dev.img" -c x "$1"
}

# $1: bytes. Reads them from a file and writes them to the preallocated image, durably.
dd_once() {
    dd if="$1" of="$work/dev.img" bs=4M count="$2" iflag=count_bytes conv=notrunc,fdatasync status=none
}

mkfs=$bin/mkfs.vexfs
[ -x "$mkfs" ] || mkfs=$bin/mkfs-vexfs
size=$((rows * dim * 4 * 2 + (256 << 20)))
echo "$(grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'), $(nproc) cores, Linux $(uname -r), load $(cut -d' ' -f1 /proc/loadavg)"
echo "$rows rows of $dim f32 (csv, jsonl: $((rows / 16)) rows); medians of $rounds, s"
printf '%-14s %9s %9s %9s %9s %9s  %s\n' format MiB import dd ecosystem bound verdict
fallocate -l "$size" "$work/dev.img"
for format in ${FORMATS:-$(cat "$work/formats")}; do
    case $format in
        *.*) file=$work/x-$format ;;
        *) file=$work/x.$format ;;
    esac
    case $format in
        csv | jsonl) few=$((rows / 16)) bytes=$((few * dim * 4)) ;;
        *) bytes=$((rows * dim * 4)) ;;
    esac
    cat "$file" >/dev/null
    for what in import dd ecosystem; do : >"$work/$what"; done
    # In turns, so that a change of the machine meets all three.
    for _ in $(seq "$rounds"); do
        "$mkfs" -q -f -F -V -D 1 "$work/dev.img"
        seconds import_once "$file" >>"$work/import"
        seconds dd_once "$work/x.npy" "$bytes" >>"$work/dd"
        ecosystem "$file" >>"$work/ecosystem"
    done
    case $format in
        csv | jsonl | *.h5 | *parquet) adds=1 ;;
        *) adds=0 ;;
    esac
    awk -v format="$format" -v mib="$(($(stat -c %s "$file") >> 20))" -v import="$(median <"$work/import")" \
        -v dd="$(median <"$work/dd")" -v own="$(median <"$work/ecosystem")" -v adds=$adds 'BEGIN {
            bound = 1.3 * (dd + adds * own)
            printf "%-14s %9d %9.3f %9.3f %9.3f %9.3f  %s\n", format, mib, import, dd, own, bound, import <= bound ? "within" : "SLOWER"
        }'
done
