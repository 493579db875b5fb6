//! The least bytes by which libblkid recognises other filesystems, for machines that cannot make them.
//!
//! Offsets are those of the formats' own documentation; each writer sets what a prober checks, and nothing else.

/// An image on which something is to be recognised.
pub(crate) struct Signature {
    /// The type by which mkfs.vexfs must name it.
    pub(crate) kind: &'static str,
    /// What the message has to say beside the type.
    pub(crate) says: &'static [&'static str],
    /// Writes it into an image of zeroes.
    pub(crate) write: fn(&mut [u8]),
}

/// All of them.
pub(crate) const ALL: &[Signature] = &[
    Signature { kind: "ext4", says: &["LABEL=\"data\"", UUID_TEXT], write: ext4 },
    Signature { kind: "xfs", says: &["LABEL=\"data\"", UUID_TEXT], write: xfs },
    Signature { kind: "btrfs", says: &["LABEL=\"data\""], write: btrfs },
    Signature { kind: "swap", says: &["LABEL=\"data\"", UUID_TEXT], write: swap },
    Signature { kind: "crypto_LUKS", says: &[UUID_TEXT], write: luks },
    Signature { kind: "iso9660", says: &[], write: iso9660 },
    Signature { kind: "linux_raid_member", says: &[], write: raid_at_the_end },
    Signature { kind: "gpt partition table", says: &["UUID="], write: gpt },
    Signature { kind: "gpt partition table", says: &["UUID="], write: gpt_backup },
    Signature { kind: "dos partition table", says: &[], write: dos },
];

const UUID: &[u8; 16] = b"0123456789abcdef";
const UUID_TEXT: &str = "UUID=30313233-3435-3637-3839-616263646566";
const LABEL: &[u8] = b"data";

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

pub(crate) fn ext4(image: &mut [u8]) {
    put(image, 0x400, &64_u32.to_le_bytes()); // inodes
    put(image, 0x404, &4096_u32.to_le_bytes()); // blocks
    put(image, 0x438, &0xEF53_u16.to_le_bytes());
    put(image, 0x44C, &1_u32.to_le_bytes()); // revision
    put(image, 0x45C, &0x4_u32.to_le_bytes()); // compat: journal
    put(image, 0x460, &0x40_u32.to_le_bytes()); // incompat: extents
    put(image, 0x468, UUID);
    put(image, 0x478, LABEL);
    // A backup, as e2fsck looks for it.
    put(image, (32 << 20) + 0x38, &0xEF53_u16.to_le_bytes());
}

pub(crate) fn xfs(image: &mut [u8]) {
    put(image, 0, b"XFSB");
    put(image, 4, &4096_u32.to_be_bytes()); // block size
    put(image, 8, &16_384_u64.to_be_bytes()); // blocks
    put(image, 32, UUID);
    put(image, 80, &1_u32.to_be_bytes()); // realtime extent
    put(image, 84, &4096_u32.to_be_bytes()); // blocks of a group
    put(image, 88, &4_u32.to_be_bytes()); // groups
    put(image, 100, &4_u16.to_be_bytes()); // version
    put(image, 102, &512_u16.to_be_bytes()); // sector
    put(image, 104, &256_u16.to_be_bytes()); // inode
    put(image, 106, &16_u16.to_be_bytes()); // inodes of a block
    put(image, 108, LABEL);
    put(image, 120, &[12, 9, 8, 4, 12]); // logarithms of block, sector, inode, inodes of a block, blocks of a group
    put(image, 127, &[25]); // share of inodes
}

fn btrfs(image: &mut [u8]) {
    let start = 64 << 10;
    put(image, start + 0x20, UUID);
    put(image, start + 0x30, &(64_u64 << 10).to_le_bytes());
    put(image, start + 0x40, b"_BHRfS_M");
    put(image, start + 0x90, &4096_u32.to_le_bytes()); // sector
    put(image, start + 0x94, &16_384_u32.to_le_bytes()); // node
    put(image, start + 0x12B, LABEL);
    let sum = crc32(0x82F6_3B78, &image[start + 0x20..start + 0x1000]);
    put(image, start, &sum.to_le_bytes());
}

fn swap(image: &mut [u8]) {
    put(image, 1024, &1_u32.to_le_bytes()); // version
    put(image, 1028, &1000_u32.to_le_bytes()); // last page
    put(image, 1036, UUID);
    put(image, 1052, LABEL);
    put(image, 4086, b"SWAPSPACE2");
}

fn luks(image: &mut [u8]) {
    put(image, 0, b"LUKS\xba\xbe\x00\x01");
    put(image, 168, UUID_TEXT.trim_start_matches("UUID=").as_bytes());
}

fn iso9660(image: &mut [u8]) {
    put(image, 32_768, b"\x01CD001\x01");
    put(image, 32_768 + 2048, b"\xffCD001\x01");
}

/// Version 1.0, whose superblock lies 8 KiB before the end.
fn raid_at_the_end(image: &mut [u8]) {
    let start = (image.len() - 8192) / 4096 * 4096;
    put(image, start, &0xA92B_4EFC_u32.to_le_bytes());
    put(image, start + 4, &1_u32.to_le_bytes()); // version
    put(image, start + 16, UUID);
    put(image, start + 144, &(start as u64 / 512).to_le_bytes()); // own place
    // Fields are little-endian words; the sum is folded once.
    let words = image[start..start + 256]
        .chunks_exact(4)
        .map(|w| u64::from(u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
    let sum: u64 = words.sum();
    put(image, start + 216, &(((sum & 0xFFFF_FFFF) + (sum >> 32)) as u32).to_le_bytes());
}

pub(crate) fn dos(image: &mut [u8]) {
    put(image, 446, &[0, 0, 2, 0, 0x83, 0, 0, 0]);
    put(image, 454, &2048_u32.to_le_bytes());
    put(image, 458, &4096_u32.to_le_bytes());
    put(image, 510, &[0x55, 0xAA]);
}

/// Protective entry, header and table at the start, header and table at the end.
pub(crate) fn gpt(image: &mut [u8]) {
    put(image, 446, &[0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF]);
    put(image, 454, &1_u32.to_le_bytes());
    put(image, 458, &(image.len() as u32 / 512 - 1).to_le_bytes());
    put(image, 510, &[0x55, 0xAA]);
    let last = image.len() as u64 / 512 - 1;
    gpt_header(image, 1, last, 2);
    gpt_header(image, last, 1, last - 32);
}

/// What a tool leaves that clears the start of a disk only.
fn gpt_backup(image: &mut [u8]) {
    gpt(image);
    image[..1 << 20].fill(0);
}

fn gpt_header(image: &mut [u8], own: u64, other: u64, table: u64) {
    let last = image.len() as u64 / 512 - 1;
    let at = |sector: u64| sector as usize * 512;
    // One partition of Linux data.
    let entry = at(table);
    put(image, entry, b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4");
    put(image, entry + 16, UUID);
    put(image, entry + 32, &2048_u64.to_le_bytes());
    put(image, entry + 40, &8191_u64.to_le_bytes());
    let table_sum = crc32(0xEDB8_8320, &image[entry..entry + 128 * 128]);
    let header = at(own);
    put(image, header, b"EFI PART\x00\x00\x01\x00");
    put(image, header + 12, &92_u32.to_le_bytes());
    for (offset, value) in [(24, own), (32, other), (40, 34), (48, last - 33), (72, table)] {
        put(image, header + offset, &value.to_le_bytes());
    }
    put(image, header + 56, UUID);
    put(image, header + 80, &128_u32.to_le_bytes()); // entries
    put(image, header + 84, &128_u32.to_le_bytes()); // bytes of one
    put(image, header + 88, &table_sum.to_le_bytes());
    let sum = crc32(0xEDB8_8320, &image[header..header + 92]);
    put(image, header + 16, &sum.to_le_bytes());
}

/// CRC-32 with the given polynomial, bit-reversed, as GPT (IEEE 802.3) and btrfs (Castagnoli) use it.
fn crc32(polynomial: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (polynomial & (sum & 1).wrapping_neg()))
    })
}
