//! A volume as readable text: every field of every structure that is reached, names and contents in order.

use std::fmt::Write;

use vexfs_format::GroupNo;
use vexfs_format::checksum::crc32c;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{CollectionDesc, row_checksum};
use vexfs_format::field::FieldLayout;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::inode::Inode;
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, InodeNo};
use vexfs_fs::collection::Collection;
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::{BlockSource, Result, Volume, dir, inode};
use zerocopy::IntoBytes;

/// Entries of a directory that are listed one by one.
const MANY: usize = 20;

/// Everything `volume` holds.
///
/// # Errors
/// The first damage or device error.
pub fn listing(volume: &Volume) -> Result<String> {
    let mut text = String::new();
    let out = &mut text;
    line(out, 0, &format!("replayed {} transactions; next {}", volume.report().replayed, volume.next_txn()));
    line(out, 0, "superblock");
    fields(out, 1, Superblock::FIELDS, volume.superblock().as_bytes(), &[]);
    for backup in volume.geometry().backups() {
        let block = volume.read_block(backup)?;
        line(out, 0, &format!("backup in block {backup}: crc32c {:08x}", crc32c(&block)));
    }
    for group in (0..volume.geometry().groups).map(GroupNo) {
        let desc = vexfs_fs::inode::read_group(volume, group)?;
        line(out, 0, &format!("group {group}"));
        fields(out, 1, GroupDesc::FIELDS, desc.as_bytes(), &[]);
        let map = vexfs_fs::alloc::read_block_bitmap(volume, group, &desc)?;
        let runs: Vec<String> = vexfs_format::bitmap::clear_runs(&map, 0, map.len() * 8)
            .map(|(first, len)| format!("{first}+{len}"))
            .collect();
        line(out, 1, &format!("free: {} runs, crc32c {:08x}", runs.len(), crc32c(runs.join(" ").as_bytes())));
    }
    object(out, volume, "/", InodeNo::ROOT)?;
    Ok(text)
}

fn line(out: &mut String, depth: usize, text: &str) {
    writeln!(out, "{:1$}{text}", "", depth * 2).expect("memory");
}

/// The fields of a structure that are not zero, on one line; names in `skip` are left out.
fn fields(out: &mut String, depth: usize, layout: &[FieldLayout], bytes: &[u8], skip: &[&str]) {
    let mut shown = Vec::new();
    for field in layout.iter().filter(|f| !skip.contains(&f.name)) {
        let value = &bytes[field.offset..field.offset + field.size];
        if value.iter().all(|&b| b == 0) {
            continue;
        }
        if value.len() > 8 {
            let hex: String = value.iter().map(|b| format!("{b:02x}")).collect();
            shown.push(format!("{} {}", field.name, hex.trim_end_matches("00")));
        } else {
            let number = value.iter().rev().fold(0, |number, &b| number << 8 | u64::from(b));
            shown.push(format!("{} {number}", field.name));
        }
    }
    line(out, depth, &shown.join(", "));
}

fn object(out: &mut String, volume: &Volume, path: &str, ino: InodeNo) -> Result<()> {
    let inode = inode::read(volume, ino)?;
    line(out, 0, &format!("{path}: {}", inode.kind()));
    fields(out, 1, Inode::FIELDS, inode.as_bytes(), &["magic", "root"]);
    let map = ExtentMap::load(volume, &inode)?;
    let runs: Vec<String> =
        map.runs().iter().map(|r| format!("{:#x}:{}+{}", r.logical.get(), r.start, r.len)).collect();
    if runs.len() <= 12 {
        line(out, 1, &format!("extents {}", runs.join(" ")));
    } else {
        let nodes: Vec<String> = map.nodes().iter().map(ToString::to_string).collect();
        let digest = crc32c(runs.join(" ").as_bytes());
        line(out, 1, &format!("extents: {} of crc32c {digest:08x}; nodes {}", runs.len(), nodes.join(" ")));
    }
    if inode.kind() == InodeKind::Symlink {
        let target = vexfs_fs::path::read_link(volume, &inode)?;
        line(out, 1, &format!("target {}", String::from_utf8_lossy(&target)));
    } else if !inode.kind().is_directory_like() {
        line(out, 1, &format!("contents: crc32c {:08x}", crc32c(volume.view(&inode)?.all()?)));
    }
    if inode.kind() == InodeKind::Collection {
        collection(out, volume, path, inode)?;
    }
    if inode.kind().is_directory_like() {
        let entries = dir::list_sorted(volume, &inode)?;
        if entries.len() > MANY {
            let names: Vec<&[u8]> = entries.iter().map(|e| e.name.as_slice()).collect();
            let digest = crc32c(&names.join(&b'\n'));
            line(out, 1, &format!("{} entries, names of crc32c {digest:08x}; the first:", names.len()));
        }
        for entry in entries.iter().take(MANY) {
            let name = String::from_utf8_lossy(&entry.name);
            let below = if path == "/" { format!("/{name}") } else { format!("{path}/{name}") };
            line(out, 0, &format!("{below}: entry of hash {:016x}", entry.hash));
            object(out, volume, &below, entry.inode)?;
        }
    }
    Ok(())
}

fn collection(out: &mut String, volume: &Volume, path: &str, inode: Inode) -> Result<()> {
    let block = volume.read_block(BlockNo(inode.descriptor.get()))?;
    let collection = Collection::from_inode(volume, path, inode)?;
    line(out, 1, &format!("descriptor: crc32c {:08x}", crc32c(&block)));
    fields(out, 2, CollectionDesc::FIELDS, collection.desc.as_bytes(), &[]);
    let rows = collection.open_rows(volume)?;
    let identities = collection.identities(volume)?;
    let deletions = collection.deletions(volume)?;
    for row in 0..rows.len() {
        let sum = row_checksum(volume.seed(), collection.inode.number(), rows.bytes(row..row + 1)?);
        if row < 8 || row + 2 > rows.len() {
            let deleted = if deletions.contains(row) { ", deleted" } else { "" };
            line(out, 2, &format!("row {row}: {}, checksum {sum:08x}{deleted}", identities.identity(row)?));
        }
    }
    let names: Result<Vec<String>> =
        (0..rows.len()).map(|row| Ok(identities.identity(row)?.to_string())).collect();
    line(out, 2, &format!("names: crc32c {:08x}", crc32c(names?.join("\n").as_bytes())));
    let deleted: Vec<String> =
        (0..rows.len()).filter(|&r| deletions.contains(r)).map(|r| r.to_string()).collect();
    line(out, 2, &format!("deleted: {}", deleted.join(" ")));
    Ok(())
}
