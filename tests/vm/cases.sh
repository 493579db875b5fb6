# What is tested in the virtual machine; read by init.sh. A case that fails ends all with a message.
# shellcheck shell=sh

small=/dev/vda # sectors of 512 bytes
large=/dev/vdb # sectors of 4096 bytes
log=/dev/vdc
sectors=$((64 * 2048)) # of 512 bytes: the filesystems have 64 MiB
cd /tmp || exit

fail() {
    echo "FAILED: $*"
    [ ! -e said ] || cat said
    exit 1
}

# expect CODES COMMAND...: the exit code is one of CODES.
expect() {
    codes=$1
    shift
    code=0
    "$@" >said 2>&1 || code=$?
    case " $codes " in
    *" $code "*) ;;
    *) fail "exit code $code, not one of $codes: $*" ;;
    esac
}

says() {
    grep -q -e "$1" said || fail "nothing is said of '$1'"
}

# npy FILE ROWS DIM: random bytes as vectors.
npy() {
    printf '%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($2, $3), }" >header
    { printf '\223NUMPY\001\000\166\000'; cat header; head -c "$(($2 * $3))" /dev/urandom; } >"$1"
}

map() {
    dmsetup create --noudevsync "$1" >/dev/null
    dmsetup mknodes "$1" >/dev/null
}

# Gives the device $1 another table, from standard input.
remap() {
    dmsetup suspend --noudevsync "$1"
    dmsetup load "$1"
    dmsetup resume --noudevsync "$1"
}

for device in $small $large $log; do
    [ -b "$device" ] || fail "$device is no block device: a module is missing"
done

npy few.npy 100 16
npy many.npy 40000 512 # 20 MB

echo 'case: both sizes of sectors'
for device in $small $large; do
    expect 0 mkfs.vexfs -f -q "$device" 65536
    expect 0 vexfs-import -q -c few -d "$device" few.npy
    expect 0 vexfs-import -q -c many -d "$device" many.npy
    expect 0 fsck.vexfs -n -f --data=full "$device"
    says '40100 vectors'
    expect 0 mkfs.vexfs -f -q -z /tmp/undo "$device" 65536
    expect 0 vexfs-tune --undo /tmp/undo "$device"
    rm undo
    expect 0 fsck.vexfs -n -f --data=full "$device"
    says '40100 vectors'
done

echo 'case: bad sectors (dm-error)'
# Two spots of 64 KiB and one of a sector among the vectors.
map bad <<TABLE
0 40960 linear $small 0
40960 128 error
41088 4096 linear $small 41088
45184 128 error
45312 4000 linear $small 45312
49312 1 error
49313 $((sectors - 49313)) linear $small 49313
TABLE
bad=/dev/mapper/bad
expect 4 fsck.vexfs -n -f --data=full $bad
for block in 5120 5648 6164; do
    says "$block"
done
expect 1 vexfs-query -c many -k 1 -d $bad --vector "$(seq -s , 512 | sed 's/[0-9]*/1/g')"
says 'byte offset'
expect '0 1 4' fsck.vexfs -p --data=full --repair-to /tmp/new $bad
for offset in 20971520 23134208 25247744; do
    says "bytes at byte offset $offset cannot be read"
done
rm new
expect 0 vexfs-query -c few -k 1 -d $bad --vector 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1
dmsetup remove --noudevsync bad

echo 'case: failing writes (dm-flakey)'
flaky=/dev/mapper/flaky
expect 0 mkfs.vexfs -f -q "$small" 65536
echo "0 $sectors linear $small 0" | map flaky
expect 0 vexfs-import -q -c few -d $flaky few.npy
for round in 1 2 3 4; do
    # Half a second, then writes fail; the second half of the rounds writes to a device that fails from the beginning.
    if [ $round -le 2 ]; then
        vexfs-import -q -c many -d $flaky many.npy >said 2>&1 &
        sleep 0.$((round * 3))
        echo "0 $sectors flakey $small 0 0 60 1 error_writes" | remap flaky
        wait $! && code=0 || code=$?
        [ $code = 1 ] || [ $code = 0 ] || fail "vexfs-import ends with $code"
    else
        echo "0 $sectors flakey $small 0 0 60 1 error_writes" | remap flaky
        expect 1 vexfs-import -q -c many -d $flaky many.npy
        says 'byte offset'
        expect '0 8' fsck.vexfs -p -f $flaky
    fi
    echo "0 $sectors linear $small 0" | remap flaky
    expect '0 1' fsck.vexfs -p -f $flaky
    expect 0 fsck.vexfs -n -f --data=full $flaky
    expect 0 vexfs-query -c few -k 1 -d $flaky --vector 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1
done
dmsetup remove --noudevsync flaky

echo 'case: killed'
expect 0 mkfs.vexfs -f -q "$small" 65536
expect 0 vexfs-import -q -c few -d $small few.npy
for round in 1 2 3 4 5 6; do
    vexfs-import -q -c "many$round" -d $small many.npy >said 2>&1 &
    sleep 0.$round
    kill -9 $! 2>/dev/null || true
    wait $! || true
    expect '0 1' fsck.vexfs -p $small
    expect 0 fsck.vexfs -n -f $small
    expect 0 mkfs.vexfs -f -q $small 65536
    expect 0 vexfs-import -q -c few -d $small few.npy
done

echo 'case: every prefix (dm-log-writes)'
mebibytes=16
map logged <<TABLE
0 $((mebibytes * 2048)) log-writes $small $log
TABLE
logged=/dev/mapper/logged
expect 0 mkfs.vexfs -f -q -K -J size=1 $logged
dmsetup message logged 0 mark formatted
expect 0 vexfs-import -q -c few -d $logged few.npy
dmsetup message logged 0 mark imported
npy more.npy 4000 512
expect 0 vexfs-import -q -c more -d $logged more.npy
expect 0 fsck.vexfs -p -f $logged
dmsetup message logged 0 mark closed
dmsetup remove --noudevsync logged
replay $log >entries
count=$(wc -l <entries)
number() { sed -n "s/^\([0-9]*\) .* $1\$/\1/p" entries; }
formatted=$(number formatted)
imported=$(number imported)
closed=$(number closed)
if [ -z "$formatted" ] || [ -z "$imported" ] || [ -z "$closed" ]; then
    fail 'the log has not all marks'
fi
head -c $((mebibytes * 1048576)) /dev/zero >state
at=0
states=0
step=$((count / 30 + 1))
while [ "$at" -lt "$count" ]; do
    to=$((at + step))
    [ "$to" -le "$count" ] || to=$count
    replay $log state "$at" "$to"
    at=$to
    cp state copy
    if [ "$at" -gt "$formatted" ]; then
        expect '0 1' fsck.vexfs -p copy
        expect 0 fsck.vexfs -n -f --data=full copy
    else
        # No filesystem, or the finished one.
        expect '0 1 8' fsck.vexfs -p copy
    fi
    if [ "$at" -gt "$imported" ]; then
        expect 0 vexfs-query -c few -k 1 -d copy --vector 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1
    fi
    states=$((states + 1))
done
[ "$states" -ge 20 ] || fail "only $states states of $count entries"
echo "$states of $count states"
