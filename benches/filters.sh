#!/usr/bin/env bash
# Measures searches in which only some rows fulfil a filter: for every kind of index and for 50, 10, 1 and 0.1 % of the rows, who
# answers, the recall, and queries per second beside those of the exact search over the same rows. The filter's own pass over
# the payload is not counted in either.
#
# Usage: benches/filters.sh RESULTS [FOLDER]
#   RESULTS     folder for filters.txt; made if it is not there
#   FOLDER      where 2 GB of scratch files may lie [default: a temporary folder]
#   TRAIN,TEST  .npy files of at least 10,000 rows, and of queries [fashion-mnist.train.npy and .test.npy of the folder FASHION]
#   KINDS       indexes to build ["flat hnsw ivf pq ivf-pq lsh"]
#   THREADS     threads of a search [1]
#   RECALL      share of the true neighbours that is asked for [0.95]
set -euo pipefail
cd "$(dirname "$0")/.."

results=${1:?usage: benches/filters.sh RESULTS [FOLDER]}
bin=$PWD/${CARGO_TARGET_DIR:-target}/release
case ${CARGO_TARGET_DIR:-} in /*) bin=$CARGO_TARGET_DIR/release ;; esac
train=${TRAIN:-${FASHION:?FASHION, or TRAIN and TEST, say where the vectors are}/fashion-mnist.train.npy}
test=${TEST:-${FASHION:-}/fashion-mnist.test.npy}
work=$(mktemp -d "${2:-${TMPDIR:-/tmp}}/vexfs-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$results"
read -r -a kinds <<<"${KINDS:-flat hnsw ivf pq ivf-pq lsh}"

# The rows of a .npy file, by the shape in its header.
rows=$(head -c 256 "$train" | tr -d '\0' | LC_ALL=C sed -n "s/.*'shape': (\([0-9]*\),.*/\1/p" | head -n 1)
if [ "$rows" -lt 10000 ]; then
    echo "$train: has $rows rows; a thousandth of at least 10000 makes ten neighbours" >&2
    exit 1
fi
seq 0 $((rows - 1)) | awk '{ printf "{\"part\":%d}\n", $1 % 1000 }' >"$work/payload.jsonl"

image=$work/filters.img
"$bin/mkfs-vexfs" -q "$image" 2G
"$bin/vexfs-import" -q -d "$image" -c rows --payload "$work/payload.jsonl" "$train"
for kind in "${kinds[@]}"; do "$bin/vexfs-tune" -q -d "$image" -c rows --index add "$kind"; done

# $1: name of a figure, in the line of --stats on standard input.
figure() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

# The flags of a search: prints the line of its figures and keeps the neighbours.
search() {
    "$bin/vexfs-query" -q -d "$image" -c rows -k 10 --threads "${THREADS:-1}" --stats "$@" "$test" 2>&1 >"$work/ids.npy" |
        tail -n 1
}

{
    printf '%-8s %8s %-8s %8s %12s %12s %14s\n' index matching answers recall qps exact-qps distances/query
    for below in 500 100 10 1; do
        filter="part < $below"
        exact=$(search --exact --filter "$filter" -o npy)
        mv "$work/ids.npy" "$work/truth.npy"
        exact_qps=$(figure qps <<<"$exact")
        for kind in "${kinds[@]}"; do
            line=$(search --index "$kind" --recall "${RECALL:-0.95}" --filter "$filter" --ground-truth "$work/truth.npy" -o npy)
            queries=$(figure queries <<<"$line")
            distances=$(figure distance_computations <<<"$line")
            printf '%-8s %7s%% %-8s %8.4f %12.1f %12.1f %14d\n' "$kind" \
                "$(awk "BEGIN { print $below / 10 }")" "$(figure index <<<"$line")" "$(figure recall <<<"$line")" \
                "$(figure qps <<<"$line")" "$exact_qps" "$((distances / queries))"
        done
    done
} | tee "$results/filters.txt"
