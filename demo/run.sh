#!/usr/bin/env bash
# The main job from end to end: format an image, import real vectors, find neighbours, look inside, check.
# Usage: demo/run.sh [DEVICE]     a block device of your own instead of an image file: everything on it is lost
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
data=testdata/demo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
device=${1:-$work/vectors.img}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() {
    printf '$ %s\n' "$*" | sed "s|$bin/||; s|mkfs-vexfs|mkfs.vexfs|; s|fsck-vexfs|fsck.vexfs|; s|$work/||g"
    "$@"
}

# Row $2 of an array of 28 x 28 bytes behind a header of 128, as a picture of characters.
picture() {
    od -An -v -tu1 -w28 -j $((128 + 784 * $2)) -N 784 "$1" | awk '{
        line = ""
        for (i = 1; i <= NF; i++) { c = substr(" .:-=+*#%@", int($i * 10 / 256) + 1, 1); line = line c c }
        if (line ~ /[^ ]/) print "      " line
    }'
}

# Row numbers of the neighbours stand in their names.
row_of() { printf '%d\n' "$((10#${1##*-}))"; }

say 'Format'
if [ $# -eq 0 ]; then
    run "$bin/mkfs-vexfs" -q -L Fashion -V -D 784 --dtype u8 "$device" 64M
else
    run "$bin/mkfs-vexfs" -q -f -L Fashion -V -D 784 --dtype u8 "$device"
fi

say 'Import 4,000 pictures of clothes, 784 dimensions each, and the text that describes them'
run "$bin/vexfs-import" -d "$device" --keys $data/fashion-4000.keys $data/fashion-4000.npy
run "$bin/vexfs-import" -d "$device" --file $data/README.md /README.md

say 'What looks like these three?'
run "$bin/vexfs-query" -d "$device" -k 5 --stats -o csv $data/queries.npy >"$work/hits.csv"
for query in 0 1 2; do
    printf '\n   query %d:\n' $query
    picture $data/queries.npy $query
    nearest=$(awk -F, -v q=$query '$1 == q && $2 == 1 { print $3 }' "$work/hits.csv")
    printf '   nearest, %s:\n' "$nearest"
    picture $data/fashion-4000.npy "$(row_of "$nearest")"
    awk -F, -v q=$query '$1 == q { printf "   %d. %-18s distance %.0f\n", $2, $3, sqrt($4) }' "$work/hits.csv"
done

say 'Look inside'
run "$bin/vexfs-dump" -d "$device" ls
run "$bin/vexfs-dump" -d "$device" collections
run "$bin/vexfs-dump" -d "$device" cat /README.md | head -2

say 'Check everything, row by row'
run "$bin/fsck-vexfs" -f -p -v --data=full "$device"
say 'Done.'
