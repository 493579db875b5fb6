//! Where a group keeps its bitmaps and its inode table, when its descriptor is damaged or in doubt.
//!
//! A formatter chooses by the geometry rule. After a growth, the flex group that was the last one keeps the places that the rule gave
//! when it had fewer members, and groups that were added to it keep theirs to themselves. The copies of the descriptors tell which.

use vexfs_format::GroupNo;
use vexfs_format::geometry::Geometry;
use vexfs_format::group_desc::GroupDesc;

use super::context::Context;
use crate::source::BlockSource;

/// Block bitmap, inode bitmap and first block of the inode table of a group.
pub(super) type Places = [u64; 3];

/// The places that a descriptor says.
pub(super) fn said_by(desc: &GroupDesc) -> Places {
    [desc.block_bitmap.get(), desc.inode_bitmap.get(), desc.inode_table.get()]
}

/// Where bitmaps and table of `group` should be: as its descriptor says if it is sound and a formatter or a growth may have said so, else
/// as a copy does, else as the geometry rule gives.
pub(super) fn likely(ctx: &Context<'_>, group: GroupNo, desc: Option<&GroupDesc>) -> Places {
    let is_possible = |places: &Places| is_possible(&ctx.geometry, group, places);
    let said = desc.map(said_by).filter(is_possible);
    said.or_else(|| copies(ctx, group).into_iter().find(is_possible))
        .unwrap_or_else(|| by_rule(&ctx.geometry, group))
}

/// Whether a copy of the descriptor of `group` is sound and says `places`.
pub(super) fn is_copied(ctx: &Context<'_>, group: GroupNo, places: &Places) -> bool {
    copies(ctx, group).contains(places)
}

/// What the sound copies of the descriptor of `group` say.
fn copies(ctx: &Context<'_>, group: GroupNo) -> Vec<Places> {
    let per_block = (ctx.volume.block_size() / GroupDesc::SIZE) as u64;
    let (index, slot) = (group.get() / per_block, (group.get() % per_block) as usize);
    let tail = ctx.geometry.tail_backup();
    let backups = ctx.geometry.backups().into_iter().filter(|&backup| backup != tail);
    let copy = |place: u64| {
        let bytes = ctx.read_block(place).ok()?;
        let desc =
            GroupDesc::decode(&bytes[slot * GroupDesc::SIZE..], group, ctx.volume.superblock()).ok()?;
        Some(said_by(&desc))
    };
    backups.filter_map(|backup| copy(backup.get() + 1 + index)).collect()
}

fn by_rule(geometry: &Geometry, group: GroupNo) -> Places {
    let (block_bitmap, inode_bitmap, inode_table) = geometry.group_metadata(group);
    [block_bitmap.get(), inode_bitmap.get(), inode_table.get()]
}

/// Whether a formatter or a growth puts the parts of `group` there.
fn is_possible(geometry: &Geometry, group: GroupNo, places: &Places) -> bool {
    let own = geometry.group_start(group).saturating_add(geometry.leading_blocks(group));
    if *places == [own, own.saturating_add(1), own.saturating_add(2)] {
        return true;
    }
    // The rule for as many members as the distance of the bitmaps tells.
    let first = geometry.flex_first(group);
    let index = group.get() - first.get();
    let members = places[1].saturating_sub(places[0]);
    (index + 1..=geometry.flex_members(first)).contains(&members)
        && by_rule(&Geometry { groups: first.get() + members, ..geometry.clone() }, group) == *places
}

#[cfg(test)]
mod tests {
    use super::*;
    use vexfs_format::geometry::GeometryParams;

    #[test]
    fn what_no_formatter_and_no_growth_chooses_is_not_possible() {
        let geometry = Geometry::plan(&GeometryParams::new(40 * 32_768, 4096)).expect("planned");
        let smaller = Geometry { groups: 35, ..geometry.clone() };
        let group = GroupNo(33);
        let rule = by_rule(&geometry, group);
        let older = by_rule(&smaller, group);
        assert_ne!(rule, older);
        let own = geometry.group_start(group);
        for places in [rule, older, [own, own + 1, own + 2]] {
            assert!(is_possible(&geometry, group, &places), "{places:?}");
            for part in 0..3 {
                let mut wrong = places;
                wrong[part] += 1;
                assert!(!is_possible(&geometry, group, &wrong), "{wrong:?}");
            }
        }
        // With 33 groups there was no group 33.
        let too_few = [rule[0], rule[0] + 1, rule[2]];
        assert!(!is_possible(&geometry, group, &too_few));
    }
}
