//! The tree of objects: make, link, move and remove files, directories and symbolic links.

use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::is_valid_name;
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::geometry::BlockRun;
use vexfs_format::inode::{Inode, TARGET_MAX};
use vexfs_format::{BlockNo, InodeNo};
use zerocopy::little_endian::{U32, U64};

use crate::alloc::BlockUse;
use crate::dir;
use crate::error::{FsError, Result};
use crate::extents::ExtentMap;
use crate::file::FileWriter;
use crate::inode;
use crate::txn::transaction::Transaction;

/// Name of the directory that receives what a repair finds without a name.
pub const LOST_FOUND_NAME: &[u8] = b"lost+found";

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

impl Transaction<'_> {
    /// Makes an object of `kind` named `name` in directory `parent`; it has no contents, a directory one empty block.
    ///
    /// # Errors
    /// Those of [`dir::insert`] and [`Self::allocate_inode`].
    pub fn create(
        &mut self,
        parent: InodeNo,
        name: &[u8],
        kind: InodeKind,
        permissions: u16,
    ) -> Result<Inode> {
        self.check_new_name(parent, name)?;
        let ino = self.allocate_inode(parent, kind.is_directory_like())?;
        let inode = self.new_inode(ino, parent, kind, permissions);
        self.enter(parent, name, inode)
    }

    /// Refuses a name that is taken or impossible, before anything is allocated for it.
    pub(crate) fn check_new_name(&self, parent: InodeNo, name: &[u8]) -> Result<()> {
        if !is_valid_name(name) {
            return Err(FsError::InvalidName { name: text(name) });
        }
        match dir::lookup(self, &inode::read(self, parent)?, name)? {
            Some(_) => Err(FsError::Exists { path: text(name) }),
            None => Ok(()),
        }
    }

    /// An inode record for a new object; not written.
    pub(crate) fn new_inode(
        &self,
        ino: InodeNo,
        parent: InodeNo,
        kind: InodeKind,
        permissions: u16,
    ) -> Inode {
        let mut inode = Inode::new(ino, self.seq().get(), kind, permissions);
        inode.links = U32::new(1);
        let now = U64::new(self.now_ns());
        (inode.created_ns, inode.modified_ns) = (now, now);
        if kind.is_directory_like() || kind == InodeKind::Stream {
            inode.parent = U64::new(parent.get());
        }
        inode
    }

    /// Writes a new inode, with its first block when it is a directory, and enters it into `parent`.
    pub(crate) fn enter(&mut self, parent: InodeNo, name: &[u8], mut inode: Inode) -> Result<Inode> {
        if inode.kind().is_directory_like() {
            inode = dir::initialise(self, inode)?;
        } else {
            self.write_inode(&mut inode)?;
        }
        dir::insert(self, parent, name, inode.number(), inode.kind())?;
        Ok(inode)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// Those of [`Self::create`].
    pub fn make_directory(&mut self, parent: InodeNo, name: &[u8]) -> Result<InodeNo> {
        Ok(self.create(parent, name, InodeKind::Directory, 0o755)?.number())
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// [`FsError::InvalidName`] for an empty or too long target; those of [`Self::create`].
    pub fn make_symlink(&mut self, parent: InodeNo, name: &[u8], target: &[u8]) -> Result<InodeNo> {
        if target.is_empty() || target.len() as u64 > TARGET_MAX || target.contains(&0) {
            return Err(FsError::InvalidName { name: text(target) });
        }
        self.check_new_name(parent, name)?;
        let ino = self.allocate_inode(parent, false)?;
        let mut inode = self.new_inode(ino, parent, InodeKind::Symlink, 0o777);
        if inode.set_inline_target(target) {
            self.enter(parent, name, inode)?;
            return Ok(ino);
        }
        // A record without its contents would not be a valid one; a link of one byte is, until the target is written.
        inode.size = U64::new(1);
        self.enter(parent, name, inode)?;
        let mut writer = FileWriter::replace(self, ino, BlockUse::Data)?;
        writer.write(self, target)?;
        writer.finish(self)?;
        Ok(ino)
    }

    /// Opens the ordinary file `name` in `parent` for new contents: an existing one is replaced when the transaction
    /// commits, else one is made.
    ///
    /// # Errors
    /// [`FsError::WrongKind`] when the name leads to something else; those of [`Self::create`].
    pub fn write_file(&mut self, parent: InodeNo, name: &[u8]) -> Result<FileWriter> {
        let directory = inode::read(self, parent)?;
        let ino = match dir::lookup(self, &directory, name)? {
            None => self.create(parent, name, InodeKind::File, 0o644)?.number(),
            Some(entry) if entry.kind == InodeKind::File => entry.inode,
            Some(entry) => {
                return Err(FsError::WrongKind {
                    path: text(name),
                    found: entry.kind.name(),
                    expected: "file",
                });
            }
        };
        FileWriter::replace(self, ino, BlockUse::Data)
    }

    /// Moves the entry `name` of `from` to `new_name` in `to`. An ordinary file or link of that name is replaced.
    ///
    /// # Errors
    /// [`FsError::NotFound`]; [`FsError::Exists`] when the new name leads to a directory or collection, or when a directory
    /// would be moved below itself; those of [`dir::insert`].
    pub fn rename(&mut self, from: InodeNo, name: &[u8], to: InodeNo, new_name: &[u8]) -> Result<()> {
        let target = inode::read(self, to)?;
        if let Some(existing) = dir::lookup(self, &target, new_name)? {
            let same = from == to && name == new_name;
            if same {
                return Ok(());
            }
            if !matches!(existing.kind, InodeKind::File | InodeKind::Symlink) {
                return Err(FsError::Exists { path: text(new_name) });
            }
            self.remove(to, new_name)?;
        }
        let mut above = target;
        let source = inode::read(self, from)?;
        let moved =
            dir::lookup(self, &source, name)?.ok_or_else(|| FsError::NotFound { path: text(name) })?;
        while moved.kind.is_directory_like() && above.number() != InodeNo::ROOT {
            if above.number() == moved.inode {
                return Err(FsError::Exists { path: text(new_name) });
            }
            above = inode::read(self, InodeNo(above.parent.get()))?;
        }
        let entry = dir::remove(self, from, name)?;
        dir::insert(self, to, new_name, entry.inode, entry.kind)?;
        if entry.kind.is_directory_like() {
            let mut inode = inode::read(self, entry.inode)?;
            inode.parent = U64::new(to.get());
            self.write_inode(&mut inode)?;
        }
        Ok(())
    }

    /// Removes the entry `name` of directory `parent`; the object goes with its last entry.
    ///
    /// # Errors
    /// [`FsError::NotFound`]; [`FsError::NotEmpty`] for a directory with entries; [`FsError::WrongKind`] for a stream,
    /// which belongs to its collection, and for lost+found.
    pub fn remove(&mut self, parent: InodeNo, name: &[u8]) -> Result<()> {
        let directory = inode::read(self, parent)?;
        let entry =
            dir::lookup(self, &directory, name)?.ok_or_else(|| FsError::NotFound { path: text(name) })?;
        let mut inode = inode::read(self, entry.inode)?;
        if entry.inode == InodeNo::LOST_FOUND || (directory.kind() == InodeKind::Collection) {
            return Err(FsError::WrongKind {
                path: text(name),
                found: "part of the filesystem's own structure",
                expected: "file, directory, symlink or collection",
            });
        }
        match inode.kind() {
            InodeKind::Directory if !dir::list(self, &inode)?.is_empty() => {
                return Err(FsError::NotEmpty { path: text(name) });
            }
            InodeKind::Collection => self.release_contents(&inode)?,
            _ => {}
        }
        dir::remove(self, parent, name)?;
        if inode.links.get() > 1 {
            inode.links = U32::new(inode.links.get() - 1);
            return self.write_inode(&mut inode);
        }
        self.release(&inode)
    }

    /// Removes a stream of a collection, for a change that leaves the collection whole without it.
    ///
    /// # Errors
    /// Device errors; damage of the directory or of the stream's inode.
    pub(crate) fn remove_stream(&mut self, collection: InodeNo, name: &str) -> Result<()> {
        let entry = dir::remove(self, collection, name.as_bytes())?;
        let inode = inode::read(self, entry.inode)?;
        self.release(&inode)
    }

    /// Releases everything below a collection: its streams, and its directory of indexes.
    fn release_contents(&mut self, directory: &Inode) -> Result<()> {
        for entry in dir::list(self, directory)? {
            let inode = inode::read(self, entry.inode)?;
            if inode.kind().is_directory_like() {
                self.release_contents(&inode)?;
            }
            self.release(&inode)?;
        }
        Ok(())
    }

    /// Frees the blocks and the record of an inode when the transaction commits.
    fn release(&mut self, inode: &Inode) -> Result<()> {
        let map = ExtentMap::load(self, inode)?;
        for run in map.runs() {
            let is_metadata = inode.kind().is_directory_like() && run.logical.get() < SUMS_BASE;
            for block in run.start.get()..run.end() {
                if is_metadata {
                    self.free_metadata(BlockNo(block));
                }
            }
            if !is_metadata {
                self.free_data(BlockRun { start: run.start.get(), len: run.len.into() });
            }
        }
        for &node in map.nodes() {
            self.free_metadata(node);
        }
        if inode.descriptor.get() > 0 {
            self.free_metadata(BlockNo(inode.descriptor.get()));
        }
        self.free_inode(inode.number(), inode.kind().is_directory_like())
    }
}
