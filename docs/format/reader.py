#!/usr/bin/env python3
"""An independent reader of VexFS, written from the pages in this folder and nothing else.

It is a proof that the pages suffice, and an oracle for tests: it shares no code with the tools. It favours plainness
over speed (the CRC is computed byte by byte), reads the whole image into memory, and never writes. `checker.py` beside
it verifies everything, and `images.py` reads indexes.

    reader.py IMAGE ls               every path with its inode, kind and size
    reader.py IMAGE cat PATH         the contents of a file, stream or link
    reader.py IMAGE row PATH ROW     one row of a collection: id, key, whether it is deleted, its bytes in hexadecimal, payload
"""

import struct
import sys

M64 = (1 << 64) - 1
SUMS_BASE = 1 << 48
FILE, DIRECTORY, SYMLINK, COLLECTION, STREAM = 1, 2, 3, 4, 5
MODE = {FILE: 0o100000, DIRECTORY: 0o040000, SYMLINK: 0o120000, COLLECTION: 0o040000, STREAM: 0o100000}
ROW_BITS = {1: 32, 2: 16, 3: 16, 4: 8, 5: 8, 6: 1}


class Damage(Exception):
    """What is wrong, and where."""


def need(ok, what):
    if not ok:
        raise Damage(what)


# --- checksums.md ------------------------------------------------------------------------------------------------

CRC_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    CRC_TABLE.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M64
    return x ^ (x >> 31)


def kind(magic):
    return int.from_bytes(magic, "little")


def salt(seed, magic, a, b):
    return mix(mix((seed | kind(magic) << 32) ^ a) ^ b) >> 32


def around(data, hole):
    return data[:hole] + b"\0\0\0\0" + data[hole + 4:]


# --- directories.md: SipHash-2-4 ---------------------------------------------------------------------------------


def siphash(key, message):
    k0, k1 = struct.unpack("<QQ", key)
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rotate(x, n):
        return ((x << n) | (x >> (64 - n))) & M64

    def rounds(count):
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0, v2 = (v0 + v1) & M64, (v2 + v3) & M64
            v1, v3 = rotate(v1, 13) ^ v0, rotate(v3, 16) ^ v2
            v0 = rotate(v0, 32)
            v2, v0 = (v2 + v1) & M64, (v0 + v3) & M64
            v1, v3 = rotate(v1, 17) ^ v2, rotate(v3, 21) ^ v0
            v2 = rotate(v2, 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xFF
    rounds(4)
    return v0 ^ v1 ^ v2 ^ v3


# --- superblock.md -----------------------------------------------------------------------------------------------

SUPERBLOCK = struct.Struct("<8sII16s64sIIQQQQQQQQQIIIIIIQQQQQQQII16sQQQQQQQQQQ120s32s512s")
SUPERBLOCK_FIELDS = (
    "magic checksum format_version uuid label block_size state blocks free_blocks reserved_blocks inodes free_inodes "
    "feature_compat feature_ro_compat feature_incompat self_block groups blocks_per_group inodes_per_group inode_size "
    "flex_log2 descriptor_blocks descriptor_table journal_start journal_blocks zone_start zone_blocks root_inode "
    "lost_found_inode checksum_seed hash_version hash_key random_seed created_ns written_ns checked_ns txn head_blocks "
    "tail_blocks error_count error_ns error_block reserved_changing creator reserved"
).split()


class Record:
    """Named fields of a structure."""

    def __init__(self, layout, names, data):
        self.__dict__.update(zip(names, layout.unpack(data[:layout.size])))


def superblock(data, place):
    need(len(data) >= 1024, "superblock: too short")
    sb = Record(SUPERBLOCK, SUPERBLOCK_FIELDS, data)
    need(sb.magic == b"VexFS\x1a\x01\n", "superblock: magic")
    need(sb.checksum == crc32c(around(data[:1024], 8)), f"superblock at block {place}: checksum")
    need(sb.format_version == 1, "superblock: another format version")
    need(sb.feature_incompat == 0, "superblock: unknown incompatible features")
    need(sb.self_block == place, f"superblock at block {place}: place")
    need(sb.block_size in (4096, 8192, 16384, 32768, 65536), "block_size")
    need(sb.blocks_per_group == 8 * sb.block_size, "blocks_per_group")
    need(sb.blocks >= 16 and sb.blocks * sb.block_size < 1 << 63, "blocks")
    need(sb.groups == -(-sb.blocks // sb.blocks_per_group), "groups")
    need(sb.inode_size & (sb.inode_size - 1) == 0 and 256 <= sb.inode_size <= sb.block_size, "inode_size")
    per_block = sb.block_size // sb.inode_size
    need(1 <= sb.inodes_per_group <= sb.blocks_per_group and sb.inodes_per_group % per_block == 0, "inodes_per_group")
    need(sb.inodes == sb.groups * sb.inodes_per_group, "inodes")
    need(sb.free_blocks <= sb.blocks and sb.reserved_blocks <= sb.blocks, "free_blocks")
    need(sb.free_inodes <= sb.inodes and sb.flex_log2 <= 16, "free_inodes, flex_log2")
    need(sb.descriptor_table == 1 and sb.descriptor_blocks * sb.block_size >= 64 * sb.groups, "descriptor table")
    need(1 + sb.descriptor_blocks <= sb.blocks, "descriptor_blocks")
    need(sb.journal_start >= 1 and sb.journal_blocks >= 8, "journal")
    need(sb.journal_start + sb.journal_blocks <= sb.blocks, "journal")
    need(sb.zone_start + sb.zone_blocks <= sb.blocks and (sb.zone_start == 0) == (sb.zone_blocks == 0), "zone")
    need(1 <= sb.root_inode <= sb.inodes and sb.lost_found_inode <= sb.inodes, "root_inode")
    need(sb.hash_version == 1 and sb.head_blocks <= sb.blocks and 1 <= sb.tail_blocks < sb.blocks, "ends")
    return sb


def has_backup(group):
    if group == 1:
        return True
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return True
    return False


# --- README.md, journal.md: opening, replay ----------------------------------------------------------------------

HEADER = struct.Struct("<IIQQQQIHH")
HEADER_FIELDS = "magic checksum owner place txn index count level flags".split()


class Volume:
    def __init__(self, image):
        self.image = image
        self.overlay = {}
        self.transactions = 0
        self.sb = superblock(image[1024:2048], 0)
        self.size = self.sb.block_size
        need(len(image) >= self.sb.blocks * self.size, "the device is shorter than the filesystem")
        self.replay()
        if 0 in self.overlay:
            self.sb = superblock(self.overlay[0][1024:2048], 0)

    def raw(self, block):
        need(block < self.sb.blocks, f"block {block} is outside the filesystem")
        return self.image[block * self.size:(block + 1) * self.size]

    def block(self, block):
        return self.overlay.get(block) or self.raw(block)

    def sum(self, magic, a, b, data):
        return crc32c(data) ^ salt(self.sb.checksum_seed, magic, a, b)

    def header(self, data, magic, place, owner):
        """The header of a self-describing block; Damage unless magic, place, owner and checksum are right."""
        head = Record(HEADER, HEADER_FIELDS, data)
        where = f"{magic.decode()} at {place} of inode {owner}"
        need(head.magic == kind(magic), f"{where}: magic")
        need(head.place == place, f"{where}: place {head.place}")
        need(head.owner == owner, f"{where}: owner {head.owner}")
        need(head.checksum == self.sum(magic, place, owner, around(data, 4)), f"{where}: checksum")
        return head

    def replay(self):
        sb = self.sb
        first = self.raw(sb.journal_start)[:512]
        magic, checksum, self_block, blocks, tail, txn = struct.unpack("<IIQQQQ", first[:40])
        need(magic == kind(b"VXJS") and self_block == sb.journal_start, "journal superblock: magic or place")
        need(checksum == self.sum(b"VXJS", self_block, 0, around(first, 4)), "journal superblock: checksum")
        need(blocks == sb.journal_blocks and 1 <= tail < blocks and txn >= 1, "journal superblock: fields")
        room = blocks - 1
        while True:
            found = self.transaction(tail, txn, room)
            if found is None:
                break
            images, revoked, length, tail = found
            self.overlay.update(images)
            for block in revoked:
                self.overlay.pop(block, None)
            room -= length
            txn += 1
            self.transactions += 1
        self.next_txn = txn

    def transaction(self, at, txn, room):
        """Images, revoked blocks, length and next index of transaction txn at index `at`; None if the log ends."""
        images, revoked, n, chain = [], [], 0, 0
        log = self.sb.journal_blocks - 1

        def behind(index, steps=1):
            return (index - 1 + steps) % log + 1

        while n < room:
            data = self.raw(self.sb.journal_start + at)
            for magic, width in ((b"VXJD", 16), (b"VXJR", 8), (b"VXJC", 16)):
                try:
                    head = self.header(data, magic, at, 0)
                    break
                except Damage:
                    continue
            else:
                return None
            if head.txn != txn:
                return None
            if magic == b"VXJC":
                length, stored = struct.unpack_from("<II", data, 48)
                need(length == n and stored == chain, f"journal: commit block of {txn} contradicts the log")
                for home, checksum, index in images:
                    image = self.raw(self.sb.journal_start + index)
                    need(checksum == self.sum(b"VXJI", home, txn, image), f"journal: image of {home} in {txn}")
                found = {home: self.raw(self.sb.journal_start + index) for home, _, index in images}
                return found, revoked, n + 1, behind(at)
            if not 1 <= head.count <= (self.size - 48) // width:
                return None
            entries = data[48:48 + head.count * width]
            chain = crc32c(struct.pack("<II", chain, head.checksum))
            if magic == b"VXJD":
                tags = [(home, checksum) for home, checksum, _ in struct.iter_unpack("<QII", entries)]
                if any(home >= self.sb.blocks for home, _ in tags):
                    return None
                images += [(home, checksum, behind(at, 1 + k)) for k, (home, checksum) in enumerate(tags)]
                at, n = behind(at, 1 + len(tags)), n + 1 + len(tags)
            else:
                numbers = [number for (number,) in struct.iter_unpack("<Q", entries)]
                if any(number >= self.sb.blocks for number in numbers):
                    return None
                revoked += numbers
                at, n = behind(at), n + 1
        return None

    # --- groups.md -----------------------------------------------------------------------------------------------

    def table_blocks(self):
        return self.sb.inodes_per_group * self.sb.inode_size // self.size

    def descriptor(self, group):
        per_block = self.size // 64
        data = self.block(self.sb.descriptor_table + group // per_block)[group % per_block * 64:][:64]
        names = ("block_bitmap inode_bitmap inode_table free_blocks free_inodes directories unused_inodes flags "
                 "block_bitmap_checksum inode_bitmap_checksum reserved checksum").split()
        desc = Record(struct.Struct("<QQQIIIIIIIQI"), names, data)
        where = f"group descriptor {group}"
        need(desc.checksum == self.sum(b"VXGD", group, 0, around(data, 60)), f"{where}: checksum")
        need(0 < desc.block_bitmap < self.sb.blocks and 0 < desc.inode_bitmap < self.sb.blocks, f"{where}: bitmaps")
        need(0 < desc.inode_table <= self.sb.blocks - self.table_blocks(), f"{where}: inode table")
        need(desc.free_blocks <= self.sb.blocks_per_group, f"{where}: free_blocks")
        need(desc.free_inodes <= self.sb.inodes_per_group, f"{where}: free_inodes")
        need(desc.directories <= self.sb.inodes_per_group - desc.free_inodes, f"{where}: directories")
        need(desc.unused_inodes <= desc.free_inodes, f"{where}: unused_inodes")
        need(desc.unused_inodes % (self.size // self.sb.inode_size) == 0, f"{where}: unused_inodes")
        need(desc.flags <= 3, f"{where}: flags")
        need(not desc.flags & 2 or desc.free_inodes == self.sb.inodes_per_group, f"{where}: free_inodes")
        return desc

    def leading(self, group):
        return 1 + self.sb.descriptor_blocks if group == 0 or has_backup(group) else 0

    def places(self, group):
        """Block bitmap, inode bitmap and inode table by the geometry rule."""
        first = group >> self.sb.flex_log2 << self.sb.flex_log2
        members = min(1 << self.sb.flex_log2, self.sb.groups - first)
        start, i = first * self.sb.blocks_per_group + self.leading(first), group - first
        return start + i, start + members + i, start + 2 * members + i * self.table_blocks()

    def fixed(self, group):
        """Bits of a group's block bitmap that are set before anything is allocated."""
        sb, per_group = self.sb, self.sb.blocks_per_group
        base, bits = group * per_group, bytearray(per_group)

        def mark(start, length):
            for block in range(max(start, base), min(start + length, base + per_group)):
                bits[block - base] = 1

        lead = self.leading(group)
        mark(base, lead)
        if group % (1 << sb.flex_log2) == 0:
            members = min(1 << sb.flex_log2, sb.groups - group)
            mark(base + lead, members * (2 + self.table_blocks()))
        mark(0, sb.head_blocks)
        mark(sb.blocks - sb.tail_blocks, sb.tail_blocks + per_group)
        mark(sb.journal_start, sb.journal_blocks)
        return bits

    def bitmap(self, group, desc, inodes):
        uninit, place, stored, magic = (
            (desc.flags & 2, desc.inode_bitmap, desc.inode_bitmap_checksum, b"VXIB") if inodes else
            (desc.flags & 1, desc.block_bitmap, desc.block_bitmap_checksum, b"VXBB"))
        if uninit and inodes:
            return bytearray(n >= self.sb.inodes_per_group for n in range(self.sb.blocks_per_group))
        if uninit:
            return self.fixed(group)
        data = self.block(place)
        need(stored == self.sum(magic, group, 0, data), f"{magic.decode()} of group {group}: checksum")
        return bytearray(data[n // 8] >> n % 8 & 1 for n in range(len(data) * 8))

    # --- inodes.md -----------------------------------------------------------------------------------------------

    def inode(self, number):
        sb = self.sb
        need(1 <= number <= sb.inodes, f"inode {number} does not exist")
        group, k = divmod(number - 1, sb.inodes_per_group)
        desc = self.descriptor(group)
        need(not desc.flags & 2 and k < sb.inodes_per_group - desc.unused_inodes, f"inode {number} is not in use")
        byte = k * sb.inode_size
        data = self.block(desc.inode_table + byte // self.size)[byte % self.size:][:256]
        names = ("magic checksum number generation kind mode flags uid gid links root_count depth size blocks parent "
                 "descriptor txn created_ns modified_ns changed_ns reserved root").split()
        inode = Record(struct.Struct("<IIQQHHIIIIHHQQQQQQQQ24s120s"), names, data)
        where = f"inode {number}"
        need(inode.magic == kind(b"VXIN"), f"{where}: magic")
        need(inode.number == number, f"{where}: number")
        need(inode.checksum == self.sum(b"VXIN", number, inode.generation, around(data, 4)), f"{where}: checksum")
        need(inode.kind in MODE and inode.mode & 0o170000 == MODE[inode.kind], f"{where}: kind or mode")
        inline = inode.flags & 1
        need(inode.flags == 0 or (inode.flags == 1 and inode.kind == SYMLINK)
             or (inode.flags == 2 and inode.kind not in (DIRECTORY, COLLECTION)), f"{where}: flags")
        need(inode.links >= 1 and inode.blocks <= sb.blocks, f"{where}: links or blocks")
        need(inode.kind in (FILE, SYMLINK) or inode.parent > 0, f"{where}: parent")
        if inode.kind in (DIRECTORY, COLLECTION):
            need(inode.size % self.size == 0, f"{where}: size")
        if inode.kind == SYMLINK:
            need(1 <= inode.size <= (120 if inline else 4095), f"{where}: size")
        need(-(-inode.size // self.size) < SUMS_BASE, f"{where}: size")
        is_collection = inode.kind == COLLECTION
        need(0 < inode.descriptor < sb.blocks if is_collection else inode.descriptor == 0, f"{where}: descriptor")
        if inline:
            need(inode.root_count == 0 and inode.depth == 0, f"{where}: root of an inline target")
        need(inode.root_count <= 5 and inode.depth <= 5 and (inode.depth == 0 or inode.root_count), f"{where}: root")
        return inode

    # --- extents.md ----------------------------------------------------------------------------------------------

    def extents(self, inode):
        """All extents as (logical, start, length) in order, and the blocks of the tree nodes."""
        runs, nodes = [], []
        where = f"extents of inode {inode.number}"

        def entries(data, count, level, lowest):
            last = -1
            for k in range(count):
                logical, start = struct.unpack_from("<QQ", data, 24 * k)
                length, flags = struct.unpack_from("<II", data, 24 * k + 16)
                need(lowest is None or k > 0 or logical == lowest, f"{where}: not what the parent says")
                if level > 0:
                    need(length == 0 and flags == 0 and logical > last, f"{where}: index entry")
                    last = logical
                    node = self.block(start)
                    head = self.header(node, b"VXEX", start, inode.number)
                    need(start > 0 and head.level == level - 1, f"{where}: level")
                    need(1 <= head.count <= (self.size - 48) // 24, f"{where}: count")
                    nodes.append(start)
                    entries(node[48:], head.count, level - 1, logical)
                    continue
                need(flags == 0 and length > 0 and start > 0, f"{where}: extent")
                need(start + length <= self.sb.blocks, f"{where}: outside the device")
                need(logical + length <= 2 * SUMS_BASE, f"{where}: logical")
                need(logical >= SUMS_BASE or logical + length <= SUMS_BASE, f"{where}: in both ranges")
                need(not runs or logical >= runs[-1][0] + runs[-1][2], f"{where}: out of order")
                runs.append((logical, start, length))

        if not inode.flags & 1:
            entries(inode.root, inode.root_count, inode.depth, None)
        return runs, nodes

    def mapped(self, inode):
        """Device blocks of the data range and of the checksum range, both without holes."""
        runs, _ = self.extents(inode)
        data, sums = [], []
        for logical, start, length in runs:
            blocks = data if logical < SUMS_BASE else sums
            need(logical % SUMS_BASE == len(blocks), f"inode {inode.number}: a hole before logical block {logical}")
            blocks.extend(range(start, start + length))
        stored = 0 if inode.flags & 1 else -(-inode.size // self.size)
        need(len(data) == stored, f"inode {inode.number}: {len(data)} blocks mapped, {stored} expected")
        capacity = (self.size - 48) // 4
        expected = 0 if inode.kind in (DIRECTORY, COLLECTION) else -(-stored // capacity)
        need(len(sums) == expected, f"inode {inode.number}: {len(sums)} checksum blocks, {expected} expected")
        return data, sums

    # --- data-checksums.md ---------------------------------------------------------------------------------------

    def contents(self, inode):
        if inode.flags & 1:
            need(not any(inode.root[inode.size:]), f"inode {inode.number}: bytes behind the target")
            return inode.root[:inode.size]
        data, sums = self.mapped(inode)
        capacity, parts = (self.size - 48) // 4, []
        for k, place in enumerate(sums):
            block = self.block(place)
            head = self.header(block, b"VXSM", place, inode.number)
            covered = data[k * capacity:(k + 1) * capacity]
            need(head.index == k and len(covered) <= head.count <= capacity, f"checksum block {k} of {inode.number}")
            for j, home in enumerate(covered):
                part = self.block(home)
                b = k * capacity + j
                (stored,) = struct.unpack_from("<I", block, 48 + 4 * j)
                computed = self.sum(b"VXDA", inode.number, (b | inode.generation << 48) & M64, part)
                need(stored == computed, f"block {b} of inode {inode.number}: checksum")
                parts.append(part)
        whole = b"".join(parts)
        need(not any(whole[inode.size:]), f"inode {inode.number}: not zero behind its end")
        return whole[:inode.size]

    # --- directories.md ------------------------------------------------------------------------------------------

    def dir_block(self, inode, data, logical, level):
        need(0 <= logical < len(data), f"directory {inode.number}: logical block {logical}")
        block = self.block(data[logical])
        head = self.header(block, b"VXDR", data[logical], inode.number)
        where = f"directory {inode.number}, block {logical}"
        need(head.index == logical and head.level <= 5, f"{where}: index or level")
        need(level is None or head.level == level, f"{where}: level")
        if head.level > 0:
            need(1 <= head.count <= (self.size - 48) // 16, f"{where}: count")
            children = list(struct.iter_unpack("<QQ", block[48:48 + 16 * head.count]))
            need(all(a[0] < b[0] for a, b in zip(children, children[1:])), f"{where}: order")
            return head.level, children
        names, at = [], 48
        for _ in range(head.count):
            need(at + 24 <= self.size, f"{where}: count")
            hashed, number, entry_len, name_len, its_kind, _ = struct.unpack_from("<QQHHHH", block, at)
            need(entry_len == (24 + name_len + 7) // 8 * 8 and at + entry_len <= self.size, f"{where}: entry_len")
            name = block[at + 24:at + 24 + name_len]
            need(name and b"/" not in name and b"\0" not in name and name not in (b".", b".."), f"{where}: name")
            need(name_len <= 255 and number > 0 and its_kind in MODE, f"{where}: entry {name}")
            need(not names or names[-1][:2] < (hashed, name), f"{where}: order")
            names.append((hashed, name, number, its_kind))
            at += entry_len
        return 0, names

    def lookup(self, inode, name):
        data, _ = self.mapped(inode)
        wanted, logical, level = siphash(self.sb.hash_key, name), 0, None
        while True:
            level, entries = self.dir_block(inode, data, logical, level)
            if level == 0:
                return next((e[2] for e in entries if e[0] == wanted and e[1] == name), None)
            below = [child for lowest, child in entries if lowest <= wanted]
            logical, level = (below[-1] if below else entries[0][1]), level - 1

    def listing(self, inode):
        """All names, with every rule of the tree checked."""
        data, _ = self.mapped(inode)
        seen, found = set(), []
        need(data, f"directory {inode.number} has no block")

        def visit(logical, level, low, high):
            need(logical not in seen, f"directory {inode.number}: block {logical} twice")
            seen.add(logical)
            level, entries = self.dir_block(inode, data, logical, level)
            for k, entry in enumerate(entries):
                need(low <= entry[0] < high, f"directory {inode.number}: hash in block {logical}")
                if level == 0:
                    hashed = siphash(self.sb.hash_key, entry[1])
                    need(entry[0] == hashed, f"directory {inode.number}: hash of {entry[1]}")
                    found.append(entry)
                    continue
                need(k > 0 or entry[0] == low, f"directory {inode.number}: lowest hash of block {logical}")
                visit(entry[1], level - 1, entry[0], entries[k + 1][0] if k + 1 < len(entries) else high)

        visit(0, None, 0, 1 << 64)
        need(len(seen) == len(data), f"directory {inode.number}: blocks outside the tree")
        return found

    def resolve(self, path):
        inode = self.inode(self.sb.root_inode)
        for name in filter(None, path.encode().split(b"/")):
            need(inode.kind in (DIRECTORY, COLLECTION), f"{path}: not a directory")
            number = self.lookup(inode, name)
            need(number is not None, f"{path}: no such name")
            inode = self.inode(number)
        return inode

    # --- collections.md ------------------------------------------------------------------------------------------

    def collection(self, inode):
        need(inode.kind == COLLECTION, f"inode {inode.number} is not a collection")
        block = self.block(inode.descriptor)
        self.header(block, b"VXCO", inode.descriptor, inode.number)
        names = ("feature_compat feature_ro_compat feature_incompat rows live_rows next_id generation created_ns dim "
                 "dtype metric flags import_source import_first model").split()
        desc = Record(struct.Struct("<QQQQQQQQIBBHQQ256s"), names, block[48:])
        where = f"collection {inode.number}"
        need(desc.feature_incompat == 0, f"{where}: unknown incompatible features")
        need(1 <= desc.dim <= 65536 and desc.dtype in ROW_BITS and 1 <= desc.metric <= 4, f"{where}: dim, dtype, metric")
        need((desc.metric == 4) == (desc.dtype == 6) and desc.flags <= 15, f"{where}: metric or flags")
        desc.row_bytes = -(-desc.dim * ROW_BITS[desc.dtype] // 8)
        need(desc.rows * desc.row_bytes < 1 << 63 and desc.live_rows <= desc.rows, f"{where}: rows")
        need(not desc.flags & 8 or desc.import_source and desc.import_first <= desc.rows, f"{where}: import_first")
        name, _, rest = desc.model.partition(b"\0")
        need(len(name) < 256 and not any(rest), f"{where}: model")
        name.decode()
        return desc

    def streams(self, inode):
        return {e[1].decode("utf-8", "backslashreplace"): self.inode(e[2]) for e in self.listing(inode) if e[3] == STREAM}

    def row(self, inode, r):
        desc, streams = self.collection(inode), self.streams(inode)
        need(r < desc.rows, f"there is no row {r}")

        def part(name, start, end):
            return self.contents(streams[name])[start:end]

        deleted = part("deleted", r // 8, r // 8 + 1) if "deleted" in streams else b""
        is_deleted = bool(deleted and deleted[0] >> r % 8 & 1)
        vector = part("vectors", r * desc.row_bytes, (r + 1) * desc.row_bytes)
        identity = struct.unpack("<Q", part("ids", 8 * r, 8 * r + 8))[0] if desc.flags & 1 else r
        key = None
        if desc.flags & 2:
            ends = (0,) + struct.unpack(f"<{desc.rows}Q", part("keys.end", 0, 8 * desc.rows))
            key = part("keys", ends[r], ends[r + 1]).decode()
        payload = ""
        if desc.feature_ro_compat & 1:
            ends = (0,) + struct.unpack(f"<{desc.rows}Q", part("payload.end", 0, 8 * desc.rows))
            payload = part("payload", ends[r], ends[r + 1]).decode()
        return identity, key, is_deleted, vector, payload

    # --- the tree -----------------------------------------------------------------------------------------------

    def walk(self):
        """Every object as (path, inode, the directory that names it), the root first."""
        todo = [("/", self.inode(self.sb.root_inode), self.sb.root_inode)]
        while todo:
            path, inode, parent = todo.pop()
            yield path, inode, parent
            if inode.kind in (DIRECTORY, COLLECTION):
                for _, name, number, its_kind in reversed(self.listing(inode)):
                    child = self.inode(number)
                    need(child.kind == its_kind, f"{path}: kind of {name}")
                    text = name.decode("utf-8", "backslashreplace")
                    todo.append((path.rstrip("/") + "/" + text, child, inode.number))


def main(arguments):
    if len(arguments) < 2:
        return usage()
    with open(arguments[0], "rb") as file:
        volume = Volume(file.read())
    what, rest = arguments[1], arguments[2:]
    if what == "ls" and not rest:
        for path, inode, _ in volume.walk():
            print(inode.number, inode.kind, inode.size, path)
    elif what == "cat" and len(rest) == 1:
        sys.stdout.buffer.write(volume.contents(volume.resolve(rest[0])))
    elif what == "row" and len(rest) == 2:
        identity, key, deleted, vector, payload = volume.row(volume.resolve(rest[0]), int(rest[1]))
        print(f"id {identity} key {key} deleted {deleted} {vector.hex()} {payload}".rstrip())
    else:
        return usage()
    return 0


def usage():
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Damage as damage:
        sys.exit(f"damaged: {damage}")
    except BrokenPipeError:
        sys.exit(0)
