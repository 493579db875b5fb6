#!/usr/bin/env python3
"""An independent checker of VexFS, on top of `reader.py` and `images.py`: every structure, every checksum, every reference.

    checker.py IMAGE        exit code 0 and one line if all is sound, else 1 and the first thing that is wrong

The image is checked as its log leaves it, that is with the committed transactions that are not yet home.
"""

import json
import struct
import sys

sys.dont_write_bytecode = True
from images import check_indexes
from reader import COLLECTION, DIRECTORY, FILE, SYMLINK, Damage, Volume, has_backup, need, siphash, superblock


def is_object(text):
    try:
        return isinstance(json.loads(text.decode()), dict)
    except ValueError:
        return False


class Checker(Volume):
    """A volume whose blocks are claimed one by one, so that what is used twice or not at all is noticed."""

    def __init__(self, image):
        super().__init__(image)
        self.owners = {}

    def claim(self, start, length, owner):
        for block in range(start, start + length):
            need(block not in self.owners, f"block {block}: {owner} and {self.owners.get(block)}")
            self.owners[block] = owner

    def check(self):
        sb, per_group = self.sb, self.sb.blocks_per_group
        descs = [self.descriptor(g) for g in range(sb.groups)]
        self.check_places(descs)
        objects, entries = {}, {}
        for path, inode, parent in self.walk():
            entries[inode.number] = entries.get(inode.number, 0) + 1
            need(inode.kind in (FILE, SYMLINK) or inode.parent == parent, f"{path}: parent")
            if inode.number in objects:
                need(inode.kind in (FILE, SYMLINK), f"{path}: a second entry")
                continue
            objects[inode.number] = inode
            runs, nodes = self.extents(inode)
            for _, start, length in runs:
                self.claim(start, length, path)
            for node in nodes:
                self.claim(node, 1, path)
            if inode.kind == COLLECTION:
                self.claim(inode.descriptor, 1, path)
                self.check_collection(inode)
                check_indexes(self, inode, self.collection(inode))
            elif inode.kind != DIRECTORY:
                self.contents(inode)
            used = sum(run[2] for run in runs) + len(nodes) + (inode.kind == COLLECTION)
            need(inode.blocks == used, f"{path}: blocks {inode.blocks}, counted {used}")
        for number, inode in objects.items():
            need(inode.links == entries[number], f"inode {number}: links {inode.links}, counted {entries[number]}")
        need(objects.get(sb.lost_found_inode, objects[sb.root_inode]).kind == DIRECTORY, "lost+found")
        free_blocks = free_inodes = 0
        for g, desc in enumerate(descs):
            bits = self.bitmap(g, desc, False)
            for n, bit in enumerate(bits):
                block = g * per_group + n
                want = block >= sb.blocks or block in self.owners
                need(bit == want, f"block {block}: bit {bit}, used by {self.owners.get(block)}")
            need(desc.free_blocks == bits.count(0), f"group {g}: free_blocks")
            inodes = self.bitmap(g, desc, True)
            first, directories = g * sb.inodes_per_group + 1, 0
            for n in range(sb.inodes_per_group):
                number = first + n
                want = number in objects or number <= 10
                need(inodes[n] == want, f"inode {number}: bit {inodes[n]}")
                directories += number in objects and objects[number].kind in (DIRECTORY, COLLECTION)
            need(all(inodes[sb.inodes_per_group:]), f"group {g}: bits behind the inodes")
            need(desc.free_inodes == inodes.count(0), f"group {g}: free_inodes")
            need(desc.directories == directories, f"group {g}: directories")
            free_blocks, free_inodes = free_blocks + desc.free_blocks, free_inodes + desc.free_inodes
        need(sb.free_blocks == free_blocks, f"superblock: free_blocks {sb.free_blocks}, counted {free_blocks}")
        need(sb.free_inodes == free_inodes, f"superblock: free_inodes {sb.free_inodes}, counted {free_inodes}")
        return len(objects)

    def check_places(self, descs):
        """Claims what is in use from the start, and compares the backups."""
        sb, per_group = self.sb, self.sb.blocks_per_group
        for g, desc in enumerate(descs):
            if self.leading(g):
                self.claim(g * per_group, self.leading(g), "superblock and descriptors")
            if g > 0 and has_backup(g):
                self.check_backup(g * per_group)
            self.claim(desc.block_bitmap, 1, f"block bitmap {g}")
            self.claim(desc.inode_bitmap, 1, f"inode bitmap {g}")
            self.claim(desc.inode_table, self.table_blocks(), f"inode table {g}")
            if desc.flags & 1:
                places = (desc.block_bitmap, desc.inode_bitmap, desc.inode_table)
                need(places == self.places(g), f"group {g}: not where the rule for its bitmap has them")
        for block in range(sb.head_blocks):
            self.owners.setdefault(block, "head")
        self.claim(sb.blocks - sb.tail_blocks, sb.tail_blocks, "tail")
        self.check_backup(sb.blocks - sb.tail_blocks)
        self.claim(sb.journal_start, sb.journal_blocks, "journal")

    def check_backup(self, block):
        copy = superblock(self.block(block)[1024:2048], block)
        for name in ("block_size inodes_per_group inode_size journal_start journal_blocks zone_start checksum_seed "
                     "hash_key uuid").split():
            need(getattr(copy, name) == getattr(self.sb, name), f"backup superblock at {block}: {name}")

    def check_collection(self, inode):
        desc, streams = self.collection(inode), self.streams(inode)
        where, rows = f"collection {inode.number}", desc.rows
        sizes = {"vectors": rows * desc.row_bytes, "crc": rows * 4}
        if desc.flags & 1:
            sizes["ids"] = rows * 8
        if desc.flags & 2:
            sizes.update({"keys.end": rows * 8, "keys.hash": rows * 8})
        if desc.feature_ro_compat & 1:
            sizes["payload.end"] = rows * 8
        for name, size in sizes.items():
            need(name in streams and streams[name].size == size, f"{where}: stream {name}")
        data = {name: self.contents(stream) for name, stream in streams.items()}
        for r in range(rows):
            row = data["vectors"][r * desc.row_bytes:(r + 1) * desc.row_bytes]
            (stored,) = struct.unpack_from("<I", data["crc"], 4 * r)
            need(stored == self.sum(b"VXRW", inode.number, 0, row), f"{where}: checksum of row {r}")
        bits = data.get("deleted", b"")
        need(len(bits) <= -(-rows // 8), f"{where}: stream deleted")
        gone = sum(bin(byte).count("1") for byte in bits)
        need(desc.live_rows == rows - gone, f"{where}: live_rows")
        if desc.flags & 1:
            ids = [i for (i,) in struct.iter_unpack("<Q", data["ids"])]
            live = [i for r, i in enumerate(ids) if r // 8 >= len(bits) or not bits[r // 8] >> r % 8 & 1]
            need(len(set(live)) == len(live), f"{where}: an id twice")
            need(not ids or max(ids) < desc.next_id, f"{where}: next_id")
        if desc.flags & 2:
            start = 0
            for r, (end,) in enumerate(struct.iter_unpack("<Q", data["keys.end"])):
                need(start < end <= len(data["keys"]), f"{where}: end of key {r}")
                (stored,) = struct.unpack_from("<Q", data["keys.hash"], 8 * r)
                need(stored == siphash(self.sb.hash_key, data["keys"][start:end]), f"{where}: hash of key {r}")
                start = end
            need(start == len(data["keys"]), f"{where}: stream keys")
        if desc.feature_ro_compat & 1:
            start = 0
            for r, (end,) in enumerate(struct.iter_unpack("<Q", data["payload.end"])):
                need(start <= end <= min(len(data["payload"]), start + (16 << 20)), f"{where}: end of payload {r}")
                need(start == end or is_object(data["payload"][start:end]), f"{where}: payload {r}")
                start = end
            need(start == len(data["payload"]), f"{where}: stream payload")


def main(arguments):
    if len(arguments) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(arguments[0], "rb") as file:
        volume = Checker(file.read())
    print(f"{volume.check()} objects, {volume.transactions} transactions in the log, all sound")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Damage as damage:
        sys.exit(f"damaged: {damage}")
