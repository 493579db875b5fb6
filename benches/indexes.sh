#!/usr/bin/env bash
# Measures every kind of index on the standard workload, Fashion-MNIST and SIFT: builds, sizes, memory, and recall against queries per
# second. Of each workload there are a table, the result as JSON, and a plot.
#
# Usage: benches/indexes.sh RESULTS [FOLDER]
#   RESULTS     folder for WORKLOAD.{txt,json,svg,png}; made if it is not there
#   FOLDER      where 4 GB of scratch files may lie [default: a temporary folder]
#   FASHION     folder with fashion-mnist.{train,test,gt}.npy [skipped without it]
#   SIFT        sift.hdf5 of ANN-Benchmarks, or a part of it [skipped without it]
#   KINDS       indexes to build ["flat hnsw ivf pq ivf-pq lsh"]
#   RUNS        counted runs of each search [20; of Fashion-MNIST and SIFT 5]
#   PROMISES    if set, also measures which recall --recall 0.9, 0.95 and 0.99 gives the queries
set -euo pipefail
cd "$(dirname "$0")/.."

results=${1:?usage: benches/indexes.sh RESULTS [FOLDER]}
bin=$PWD/${CARGO_TARGET_DIR:-target}/release
case ${CARGO_TARGET_DIR:-} in /*) bin=$CARGO_TARGET_DIR/release ;; esac
work=$(mktemp -d "${2:-${TMPDIR:-/tmp}}/vexfs-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$results"
read -r -a kinds <<<"${KINDS:-flat hnsw ivf pq ivf-pq lsh}"

# $1: name of the workload; the rest: flags that say where it is, where it goes, and how often it is measured.
measure() {
    local name=$1 flags=() kind
    shift
    for kind in "${kinds[@]}"; do flags+=(--index "$kind"); done
    "$bin/vexfs-bench" run "$@" "${flags[@]}" --from 0.8 --json \
        --plot "$results/$name.svg" >"$results/$name.json"
    "$bin/vexfs-bench" show "$results/$name.json" --plot "$results/$name.png" | tee "$results/$name.txt"
}

# $1: name; $2: image with the indexes; queries, true neighbours. What each kind promises, and what its answers hold.
promises() {
    local name=$1 image=$2 queries=$3 truth=$4 kind k recall
    for kind in "${kinds[@]}"; do
        for k in 1 10 100; do
            for recall in 0.9 0.95 0.99; do
                printf '%s %s k=%s promised %s ' "$name" "$kind" "$k" "$recall"
                "$bin/vexfs-query" -d "$image" -c bench -k "$k" --index "$kind" --recall "$recall" \
                    --ground-truth "$truth" --stats -o jsonl "$queries" 2>&1 >/dev/null |
                    sed -n 's/.*"recall":\([0-9.]*\).*/measured \1/p'
            done
        done
    done | tee "$results/$name.promises.txt"
}

# $1: name of the workload; rows, queries, true neighbours.
measure_files() {
    local name=$1 image=$work/$1.img
    "$bin/mkfs-vexfs" -q "$image" 4G
    measure "$name" --train "$2" --test "$3" --ground-truth "$4" -d "$image" --runs "${RUNS:-5}" --warm-ups 2
    if [ -n "${PROMISES:-}" ]; then promises "$name" "$image" "$3" "$4"; fi
    rm "$image"
}

measure standard --directory "$work" --runs "${RUNS:-20}"
if [ -n "${FASHION:-}" ]; then
    fashion=$FASHION/fashion-mnist
    measure_files fashion "$fashion.train.npy" "$fashion.test.npy" "$fashion.gt.npy"
fi
if [ -n "${SIFT:-}" ]; then measure_files sift "$SIFT:/train" "$SIFT:/test" "$SIFT:/neighbors"; fi
