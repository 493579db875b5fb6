#!/usr/bin/env python3
"""The indexes of a collection, from collections.md, indexes.md and indexes/calibration.md: part of the independent reader.

    images.py IMAGE PATH    name and description of each index, and of each part kind, rows, indexed rows, sections

The frame of an image is the same for all kinds; what its sections mean is not looked at.
"""

import struct
import sys

sys.dont_write_bytecode = True
from reader import DIRECTORY, STREAM, Damage, Record, Volume, need

TRAILER, SECTIONS_MAX = 1024, 32
KINDS = {1: "flat", 2: "hnsw", 3: "ivf", 4: "pq", 5: "ivf-pq", 6: "lsh"}
NAME = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def image(data, where):
    """The trailer of an image, with `sections` as (id, bytes)."""
    need(len(data) >= TRAILER and len(data) % 64 == 0, f"{where}: {len(data)} bytes")
    trailer = data[-TRAILER:]
    names = ("magic version kind dtype metric section_count reserved dim first_row end_row generation indexed seed "
             "params").split()
    head = Record(struct.Struct("<4sHBBBBHIQQQQQ128s"), names, trailer)
    need(head.magic == b"VXIX" and head.version == 1, f"{where}: magic or version")
    need(head.kind in KINDS and 1 <= head.dtype <= 6 and 1 <= head.metric <= 4, f"{where}: kind, dtype or metric")
    need((head.metric == 4) == (head.dtype == 6), f"{where}: a metric that the type does not allow")
    need(head.section_count <= SECTIONS_MAX and 1 <= head.dim <= 65536, f"{where}: sections or dim")
    rows = head.end_row - head.first_row
    need(0 <= rows < 1 << 32 and head.indexed <= rows, f"{where}: rows")
    end, head.sections = 0, {}
    for n in range(SECTIONS_MAX):
        entry = trailer[184 + 24 * n:208 + 24 * n]
        number, _, offset, length = struct.unpack("<IIQQ", entry)
        if n >= head.section_count:
            need(not any(entry), f"{where}: an entry behind the table")
            continue
        need(number not in head.sections, f"{where}: section {number} twice")
        need(offset % 64 == 0 and offset >= end, f"{where}: offset of section {number}")
        need(not any(data[end:offset]), f"{where}: bytes between sections")
        end = offset + length
        need(end <= len(data) - TRAILER, f"{where}: end of section {number}")
        head.sections[number] = data[offset:end]
    need(not any(data[end:-TRAILER]), f"{where}: bytes behind the sections")
    return head


def calibration(data, where):
    """The curves of a calibration as (k, points)."""
    def unpack(layout, at):
        need(at + struct.calcsize(layout) <= len(data), f"{where}: the calibration breaks off")
        return struct.unpack_from(layout, data, at)

    magic, version, count, queries, _, _, first, end = unpack("<4sHHIIQQQ", 0)
    need(magic == b"VXCL" and version == 1 and count <= 8 and first <= end, f"{where}: head of the calibration")
    at, before, curves = 40, 0, []
    for _ in range(count):
        k, points = unpack("<II", at)
        need(k > before and points <= 256, f"{where}: a curve of the calibration")
        at, before, curve = at + 8, k, []
        for _ in range(points):
            point = unpack("<IIQQQQ", at)
            _, _, found, squared, computed, reranked = point
            need(found <= k * queries and squared <= k * found and squared * queries >= found * found
                 and reranked <= computed, f"{where}: a point of the calibration")
            at += 40
            curve.append(point)
        curves.append((k, curve))
    return curves


def is_name(text):
    return 1 <= len(text) <= 64 and set(text) <= NAME and text not in ("all", "auto", "exact")


def indexes(volume, collection):
    """The indexes by name: {"parts": {number: image}, "spec": text, "calibration": curves or None}."""
    found = {}
    entries = [e for e in volume.listing(collection) if e[1] == b"index"]
    if not entries:
        return found
    need(entries[0][3] == DIRECTORY, f"collection {collection.number}: index is no directory")
    for _, name, number, kind in volume.listing(volume.inode(entries[0][2])):
        text = name.decode("utf-8", "backslashreplace")
        index, _, ending = text.rpartition(".")
        where = f"index entry {text} of collection {collection.number}"
        is_part = ending.isdecimal() and str(int(ending)) == ending and int(ending) < 1 << 32
        need(kind == STREAM and is_name(index), f"{where}: it belongs to no index")
        need(is_part or ending in ("spec", "calibration"), f"{where}: its ending")
        data = volume.contents(volume.inode(number))
        files = found.setdefault(index, {"parts": {}, "spec": None, "calibration": None})
        if is_part:
            files["parts"][int(ending)] = image(data, where)
        elif ending == "spec":
            need(len(data) <= 4096, f"{where}: too long")
            files["spec"] = data.decode()
        else:
            files["calibration"] = calibration(data, where)
    return found


def check_indexes(volume, collection, desc):
    """What a reader must not use, and what is never missing."""
    for name, files in indexes(volume, collection).items():
        where = f"index {name} of collection {collection.number}"
        need(files["spec"] is not None, f"{where}: its description is missing")
        free, kinds = 0, set()
        for number in sorted(files["parts"]):
            part = files["parts"][number]
            need((part.dim, part.dtype, part.metric) == (desc.dim, desc.dtype, desc.metric), f"{where}: other vectors")
            need(free <= part.first_row and part.end_row <= desc.rows, f"{where}: rows of part {number}")
            need(part.generation <= desc.generation, f"{where}: generation of part {number}")
            free = part.end_row
            kinds.add(KINDS[part.kind])
        need(kinds <= {files["spec"].split(",")[0]}, f"{where}: kind")


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(arguments[0], "rb") as file:
        volume = Volume(file.read())
    for name, files in sorted(indexes(volume, volume.resolve(arguments[1])).items()):
        print(name, files["spec"])
        for number, part in sorted(files["parts"].items()):
            sections = " ".join(f"{k}:{len(data)}" for k, data in part.sections.items())
            print(f"  {number} {KINDS[part.kind]} {part.first_row}..{part.end_row} {part.indexed} {sections}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Damage as damage:
        sys.exit(f"damaged: {damage}")
