//! The transaction that makes a filesystem longer, and what is written before it.

use vexfs_format::bitmap;
use vexfs_format::geometry::Geometry;
use vexfs_format::group_desc::{BLOCK_BITMAP_UNINIT, GroupDesc, INODE_BITMAP_UNINIT, block_bitmap_checksum};
use vexfs_format::superblock::{self, Superblock};
use vexfs_format::{BlockNo, GroupNo};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::plan::{Growth, NewGroup};
use crate::alloc::read_block_bitmap;
use crate::error::Result;
use crate::inode::read_group;
use crate::mkfs::MAX_RESERVED_BYTES;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

/// A group of the old filesystem whose block bitmap changes.
struct Reopened {
    group: GroupNo,
    desc: GroupDesc,
    bits: Vec<u8>,
    /// Blocks that become free, less those that the end of the filesystem takes.
    gained: i64,
}

impl Transaction<'_> {
    /// Stages the new size, and writes what the new groups consist of.
    ///
    /// # Durability
    /// What is written at once lies behind the old end, or in the unused part of the descriptor tables: the old state refers to none
    /// of it.
    pub(super) fn extend(&mut self, growth: &Growth) -> Result<()> {
        let (before, after) = (&growth.before, &growth.after);
        let mut table = Vec::with_capacity(after.groups as usize * GroupDesc::SIZE);
        for group in 0..before.groups {
            table.extend_from_slice(read_group(self, GroupNo(group))?.as_bytes());
        }
        let old_len = table.len();
        let reopened = self.reopened(before, after)?;
        for new in &growth.groups {
            table.extend_from_slice(self.found(new, after)?.as_bytes());
        }
        table.resize(table.len().next_multiple_of(self.block_size()), 0);

        let new_free: u64 = growth.groups.iter().map(|new| new.free(after)).sum();
        self.count(after, new_free, reopened.iter().map(|group| group.gained).sum());
        self.geometry = after.clone();
        self.stage_table(BlockNo(self.sb.descriptor_table.get()), &table, old_len)?;
        for Reopened { group, desc, bits, .. } in reopened {
            self.replace_group(group, desc, Some(bits), None);
        }
        for place in after.backups() {
            let table_place = BlockNo(place.get() + 1);
            let mut block = vec![0; self.block_size()];
            let copy = self.sb.backup(place);
            block[superblock::OFFSET..superblock::OFFSET + Superblock::SIZE].copy_from_slice(copy.as_bytes());
            if place.get() < before.blocks {
                self.stage(place, block);
            } else {
                self.write_data(place, &block)?;
            }
            if place == after.tail_backup() {
                continue;
            }
            if place.get() < before.blocks {
                self.stage_table(table_place, &table, old_len)?;
            } else {
                self.write_data(table_place, &table)?;
            }
        }
        self.stage_superblock()
    }

    /// Groups of the old filesystem that hold its end, or whose bitmap is not written and would mean something else.
    fn reopened(&self, before: &Geometry, after: &Geometry) -> Result<Vec<Reopened>> {
        let last = GroupNo(before.groups - 1);
        let from = before.flex_first(last).get().min(before.group_of_block(before.tail_backup()).get());
        let mut reopened = Vec::new();
        for group in (from..before.groups).map(GroupNo) {
            let mut desc = read_group(self, group)?;
            let old = read_block_bitmap(self, group, &desc)?;
            let mut bits = old.clone();
            let (start, all) = (after.group_start(group), after.blocks_per_group());
            let within = |block: u64| (block.clamp(start, start + all) - start) as usize;
            for bit in within(before.tail_backup().get())..all as usize {
                bitmap::clear(&mut bits, bit);
            }
            bitmap::set_range(&mut bits, within(after.tail_backup().get()), within(after.blocks));
            bitmap::set_range(&mut bits, within(after.blocks), all as usize);
            let mut by_rule = vec![0; bits.len()];
            after.fill_block_bitmap(group, &mut by_rule);
            if bits != old || (desc.block_bitmap_uninit() && by_rule != bits) {
                let clear = |bits: &[u8]| bitmap::count_clear(bits, all as usize) as i64;
                let gained = clear(&bits) - clear(&old);
                desc.free_blocks = U32::new((i64::from(desc.free_blocks.get()) + gained).max(0) as u32);
                reopened.push(Reopened { group, desc, bits, gained });
            }
        }
        Ok(reopened)
    }

    /// The descriptor of a new group; its bitmap is written where the geometry rule does not say what is in it.
    fn found(&self, new: &NewGroup, after: &Geometry) -> Result<GroupDesc> {
        let mut desc = GroupDesc::empty();
        desc.block_bitmap = U64::new(new.block_bitmap.get());
        desc.inode_bitmap = U64::new(new.inode_bitmap.get());
        desc.inode_table = U64::new(new.inode_table.get());
        desc.free_blocks = U32::new(new.free(after) as u32);
        desc.free_inodes = U32::new(after.inodes_per_group as u32);
        desc.unused_inodes = U32::new(after.inodes_per_group as u32);
        desc.flags = U32::new(INODE_BITMAP_UNINIT);
        if new.is_by_rule {
            desc.flags = U32::new(BLOCK_BITMAP_UNINIT | INODE_BITMAP_UNINIT);
        } else {
            let bits = new.bits(after);
            desc.block_bitmap_checksum = U32::new(block_bitmap_checksum(self.seed(), new.group, &bits));
            self.write_data(new.block_bitmap, &bits)?;
        }
        desc.seal(self.seed(), new.group);
        Ok(desc)
    }

    /// Brings the superblock to the new size; `new_free` blocks are free in new groups, and `gained` in old ones.
    fn count(&mut self, after: &Geometry, new_free: u64, gained: i64) {
        let sb = &mut self.sb;
        let (old_blocks, old_inodes) = (sb.blocks.get(), sb.inodes.get());
        sb.blocks = U64::new(after.blocks);
        sb.groups = U32::new(after.groups as u32); // bounded by the descriptor table
        sb.inodes = U64::new(after.inodes());
        sb.free_inodes = U64::new(sb.free_inodes.get() + (after.inodes() - old_inodes));
        let free = sb.free_blocks.get().saturating_add(new_free).saturating_add_signed(gained);
        sb.free_blocks = U64::new(free.min(after.blocks));
        // The reserve stays the share it was, up to where mkfs would not reserve more.
        let most = MAX_RESERVED_BYTES / u64::from(after.block_size);
        let reserved = sb.reserved_blocks.get();
        let share = u128::from(reserved) * u128::from(after.blocks) / u128::from(old_blocks.max(1));
        sb.reserved_blocks = U64::new((share as u64).min(most).max(reserved));
        sb.txn = U64::new(self.volume.journal.next.get());
    }

    /// Puts a table of descriptors at `place`: the block that old ones share with new ones is staged, those behind are written.
    fn stage_table(&mut self, place: BlockNo, table: &[u8], old_len: usize) -> Result<()> {
        let block_size = self.block_size();
        let shared = old_len / block_size;
        let mut first_new = shared;
        if !old_len.is_multiple_of(block_size) {
            let bytes = table[shared * block_size..(shared + 1) * block_size].to_vec();
            self.stage(BlockNo(place.get() + shared as u64), bytes);
            first_new += 1;
        }
        let rest = table.get(first_new * block_size..).unwrap_or_default();
        if rest.is_empty() { Ok(()) } else { self.write_data(BlockNo(place.get() + first_new as u64), rest) }
    }
}
