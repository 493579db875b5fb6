//! Recounts what a volume says about itself: every block in use has one owner, bitmaps and counters agree with the tree.
//!
//! It shares no code with `vexfs_fs::check` beyond the decoders, so that the two can be held against each other.

use std::collections::{BTreeMap, BTreeSet};

use vexfs_format::codes::InodeKind;
use vexfs_format::geometry::FixedUse;
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, GroupNo, InodeNo};
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::inode::{read, read_group};
use vexfs_fs::{BlockSource, Volume, alloc, dir};

/// Everything that does not agree, in words; empty for a sound volume.
pub fn audit(volume: &Volume) -> Vec<String> {
    let mut audit = Audit { volume, problems: Vec::new(), owners: BTreeMap::new(), links: BTreeMap::new() };
    audit.walk();
    audit.bitmaps();
    audit.problems
}

struct Audit<'a> {
    volume: &'a Volume,
    problems: Vec<String>,
    /// Block → inode that uses it.
    owners: BTreeMap<u64, InodeNo>,
    /// Inode → the kind it is and how many entries lead to it.
    links: BTreeMap<InodeNo, (InodeKind, u32)>,
}

impl Audit<'_> {
    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    fn walk(&mut self) {
        self.links.insert(InodeNo::ROOT, (InodeKind::Directory, 1));
        let mut todo = vec![InodeNo::ROOT];
        while let Some(ino) = todo.pop() {
            let inode = match read(self.volume, ino) {
                Ok(inode) => inode,
                Err(e) => {
                    self.problem(format!("inode {ino}: {e}"));
                    continue;
                }
            };
            self.own_blocks(&inode);
            if !inode.kind().is_directory_like() {
                continue;
            }
            let entries = match dir::list(self.volume, &inode) {
                Ok(entries) => entries,
                Err(e) => {
                    self.problem(format!("directory {ino}: {e}"));
                    continue;
                }
            };
            for entry in entries {
                let name = String::from_utf8_lossy(&entry.name).into_owned();
                match dir::lookup(self.volume, &inode, &entry.name) {
                    Ok(Some(found)) if found == entry => {}
                    other => {
                        self.problem(format!("directory {ino}: {name} is listed, and looked up as {other:?}"))
                    }
                }
                let links = self.links.entry(entry.inode).or_insert((entry.kind, 0));
                links.1 += 1;
                if links.1 == 1 {
                    todo.push(entry.inode);
                }
                if let Ok(child) = read(self.volume, entry.inode) {
                    let needs_parent = child.kind().is_directory_like() || child.kind() == InodeKind::Stream;
                    if child.kind() != entry.kind {
                        self.problem(format!(
                            "{name}: the entry says {}, the inode {}",
                            entry.kind,
                            child.kind()
                        ));
                    }
                    if needs_parent && child.parent.get() != ino.get() {
                        self.problem(format!("{name}: parent {} is not {ino}", child.parent));
                    }
                }
            }
        }
    }

    fn own_blocks(&mut self, inode: &Inode) {
        let ino = inode.number();
        let map = match ExtentMap::load(self.volume, inode) {
            Ok(map) => map,
            Err(e) => return self.problem(format!("inode {ino}: {e}")),
        };
        let descriptor = Some(inode.descriptor.get()).filter(|&block| block > 0);
        let data = map.runs().iter().flat_map(|run| run.start.get()..run.end());
        let blocks: Vec<u64> = data.chain(map.nodes().iter().map(|n| n.get())).chain(descriptor).collect();
        if inode.blocks.get() != blocks.len() as u64 {
            self.problem(format!("inode {ino}: {} blocks counted, {} said", blocks.len(), inode.blocks));
        }
        for block in blocks {
            if let Some(other) = self.owners.insert(block, ino) {
                self.problem(format!("block {block} belongs to inodes {other} and {ino}"));
            }
        }
        if !inode.kind().is_directory_like()
            && !inode.has_inline_target()
            && let Err(e) = self.volume.view(inode).and_then(|view| view.all().map(drop))
        {
            self.problem(format!("inode {ino}: {e}"));
        }
    }

    fn bitmaps(&mut self) {
        let volume = self.volume;
        let geometry = volume.geometry();
        let per_group = geometry.blocks_per_group();
        let (mut free_blocks, mut free_inodes) = (0, 0);
        let mut links = std::mem::take(&mut self.links);
        for (ino, (_, count)) in &links {
            match read(volume, *ino) {
                Ok(inode) if inode.links.get() == *count => {}
                Ok(inode) => {
                    self.problem(format!("inode {ino}: {} links said, {count} counted", inode.links))
                }
                Err(_) => {}
            }
        }
        for reserved in (1..InodeNo::FIRST_ORDINARY.get()).map(InodeNo) {
            links.entry(reserved).or_insert((InodeKind::File, 0));
        }
        for (run, used) in geometry.fixed_runs().collect::<Vec<_>>() {
            let shared = self.owners.range(run.start..run.end()).next().map(|(block, ino)| (*block, *ino));
            if let Some((block, ino)) = shared.filter(|_| used != FixedUse::Head) {
                self.problem(format!("block {block} of inode {ino} is part of {used:?}"));
            }
        }
        let places = self.group_places();
        for group in (0..geometry.groups).map(GroupNo) {
            let desc = match read_group(volume, group) {
                Ok(desc) => desc,
                Err(e) => {
                    self.problem(format!("group {group}: {e}"));
                    continue;
                }
            };
            let start = group.get() * per_group;
            let mut blocks = vec![0; volume.block_size()];
            geometry.fill_block_bitmap(group, &mut blocks);
            let owned = self.owners.range(start..start + per_group).map(|(block, _)| block);
            for block in owned.chain(places.range(start..start + per_group)) {
                vexfs_format::bitmap::set(&mut blocks, (block - start) as usize);
            }
            let mut inodes = vec![0; volume.block_size()];
            geometry.fill_inode_bitmap(&mut inodes);
            let first = group.get() * geometry.inodes_per_group + 1;
            let used = links.range(InodeNo(first)..InodeNo(first + geometry.inodes_per_group));
            let mut directories = 0;
            for (ino, (kind, _)) in used {
                vexfs_format::bitmap::set(&mut inodes, (ino.get() - first) as usize);
                directories += u32::from(kind.is_directory_like());
            }
            match alloc::read_block_bitmap(volume, group, &desc) {
                Ok(found) if found == blocks => {}
                Ok(found) => {
                    let at = found.iter().zip(&blocks).position(|(a, b)| a != b).unwrap_or(0);
                    let text = format!("{:#010b} found, {:#010b} expected", found[at], blocks[at]);
                    self.problem(format!("block bitmap of group {group}: byte {at}: {text}"));
                }
                Err(e) => self.problem(e.to_string()),
            }
            match alloc::read_inode_bitmap(volume, group, &desc) {
                Ok(found) if found == inodes => {}
                Ok(_) => {
                    self.problem(format!("inode bitmap of group {group} differs from the inodes in use"))
                }
                Err(e) => self.problem(e.to_string()),
            }
            let free = vexfs_format::bitmap::count_clear(&blocks, per_group as usize) as u64;
            let unused = vexfs_format::bitmap::count_clear(&inodes, per_group as usize) as u64;
            let counted = (free, unused, directories);
            let said = (desc.free_blocks.get().into(), desc.free_inodes.get().into(), desc.directories.get());
            if counted != said {
                self.problem(format!(
                    "group {group}: free blocks, free inodes, directories: {counted:?} counted, {said:?} said"
                ));
            }
            free_blocks += free;
            free_inodes += unused;
        }
        let sb = volume.superblock();
        let said = (sb.free_blocks.get(), sb.free_inodes.get());
        if (free_blocks, free_inodes) != said {
            let counted = (free_blocks, free_inodes);
            self.problem(format!("superblock: free blocks and inodes: {counted:?} counted, {said:?} said"));
        }
        if volume.read_block(BlockNo(0)).is_err() {
            self.problem("block 0 cannot be read".to_owned());
        }
    }

    /// Blocks of bitmaps and inode tables, where the descriptors say: those of groups that a filesystem has grown by lie elsewhere than mkfs
    /// would put them. None of them belongs to an inode.
    fn group_places(&mut self) -> BTreeSet<u64> {
        let geometry = self.volume.geometry();
        let descriptors =
            (0..geometry.groups).filter_map(|group| read_group(self.volume, GroupNo(group)).ok());
        let places: BTreeSet<u64> = descriptors
            .flat_map(|desc| {
                let table = desc.inode_table.get();
                [desc.block_bitmap.get(), desc.inode_bitmap.get()]
                    .into_iter()
                    .chain(table..table + geometry.inode_table_blocks())
            })
            .collect();
        for block in &places {
            if let Some(ino) = self.owners.get(block) {
                self.problems.push(format!("block {block} of inode {ino} is metadata of a group"));
            }
        }
        places
    }
}
