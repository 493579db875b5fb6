//! Paths: from a name a person types to an inode.

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::inode::{Inode, Root};

use crate::dir;
use crate::error::{FsError, Result};
use crate::inode;
use crate::source::BlockSource;
use crate::volume::Volume;

/// Symbolic links followed before a path is given up, as on Linux (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Whether the last name of a path is followed when it is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// Lead to what the link names.
    Follow,
    /// Lead to the link itself.
    Keep,
}

/// The inode that `path` leads to, from the root directory. `.` and `..` mean what they do elsewhere.
///
/// # Errors
/// [`FsError::NotFound`], [`FsError::WrongKind`] when a name before the last is no directory, [`FsError::TooManyLinks`];
/// device errors; damage.
pub fn resolve(volume: &Volume, path: &str, last: LastLink) -> Result<Inode> {
    let not_found = || FsError::NotFound { path: path.to_owned() };
    let root = InodeNo(volume.superblock().root_inode.get());
    let mut todo: Vec<Vec<u8>> = components(path.as_bytes());
    let mut at = inode::read(volume, root)?;
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if !at.kind().is_directory_like() {
            return Err(FsError::WrongKind {
                path: path.to_owned(),
                found: at.kind().name(),
                expected: "directory",
            });
        }
        if name == b".." {
            at = inode::read(volume, InodeNo(at.parent.get()))?;
            continue;
        }
        let entry = dir::lookup(volume, &at, &name)?.ok_or_else(not_found)?;
        let next = inode::read(volume, entry.inode)?;
        if next.kind() == InodeKind::Symlink && (!todo.is_empty() || last == LastLink::Follow) {
            links += 1;
            if links > MAX_LINKS {
                return Err(FsError::TooManyLinks { path: path.to_owned() });
            }
            let target = read_link(volume, &next)?;
            if target.first() == Some(&b'/') {
                at = inode::read(volume, root)?;
            }
            todo.extend(components(&target));
            continue;
        }
        at = next;
    }
    Ok(at)
}

/// Target of a symbolic link.
///
/// # Errors
/// [`FsError::WrongKind`] for other objects; device errors; damage.
pub fn read_link(volume: &Volume, link: &Inode) -> Result<Vec<u8>> {
    if link.kind() != InodeKind::Symlink {
        let path = format!("inode {}", link.number());
        return Err(FsError::WrongKind { path, found: link.kind().name(), expected: "symlink" });
    }
    if let Ok(Root::Target(target)) = link.root(volume.blocks()) {
        return Ok(target);
    }
    Ok(volume.view(link)?.all()?.to_vec())
}

/// Splits a path into its directory and its last name.
///
/// # Errors
/// [`FsError::InvalidName`] when there is no last name.
pub fn split_last(path: &str) -> Result<(&str, &str)> {
    let trimmed = path.trim_end_matches('/');
    let (parent, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    if name.is_empty() || name == "." || name == ".." {
        return Err(FsError::InvalidName { name: path.to_owned() });
    }
    Ok((parent, name))
}

/// The names of a path, last first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&b| b == b'/').filter(|n| !n.is_empty() && *n != b".").rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_before_its_last_name() {
        assert_eq!(split_last("/a/b/").expect("name"), ("/a", "b"));
        assert_eq!(split_last("b").expect("name"), ("", "b"));
        for bad in ["", "/", "a/..", "."] {
            assert!(split_last(bad).is_err(), "{bad}");
        }
        assert_eq!(components(b"/a/./b//c"), [b"c".to_vec(), b"b".to_vec(), b"a".to_vec()]);
    }
}
