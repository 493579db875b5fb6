//! Writing a dataset.

use std::fs::File;
use std::os::fd::AsRawFd;

use half::f16;
use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Extent, H5Type};
use ndarray::{ArrayView1, ArrayView2, s};

use super::failed;
use crate::element::{ElementType, TargetType};
use crate::error::IoError;
use crate::writer::{RowName, RowWriter, check_named};

/// Bytes of a chunk, about: what a reader decodes at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Ids or keys of a chunk.
const CHUNK_NAMES: usize = 8192;

/// Writes rows to the dataset `vectors` of a file, and how they are called to `ids` or `keys`.
pub struct Hdf5Writer {
    name: String,
    file: hdf5::File,
    element: ElementType,
    columns: usize,
    vectors: Dataset,
    /// Made with the first row, which says what names are.
    names: Option<Dataset>,
    rows: usize,
}

impl Hdf5Writer {
    /// Starts a file of packed rows of `target`, in `file`, which is empty.
    ///
    /// # Errors
    /// [`Problem::Hdf5`](crate::Problem::Hdf5).
    pub fn new(file: &File, name: &str, target: TargetType, dim: usize) -> Result<Self, IoError> {
        // The library opens files itself; this is the one that is open, wherever it lies.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let (element, columns) = (target.stored_as(), target.stored_columns(dim));
        let made = hdf5::File::create(path).and_then(|file| {
            let chunk = (CHUNK_BYTES / (columns * element.bytes())).max(1);
            let vectors = match element {
                ElementType::F32 => dataset::<f32>(&file, columns, chunk),
                ElementType::F16 => dataset::<f16>(&file, columns, chunk),
                ElementType::I8 => dataset::<i8>(&file, columns, chunk),
                _ => dataset::<u8>(&file, columns, chunk),
            }?;
            Ok((file, vectors))
        });
        let (file, vectors) = made.map_err(|error| failed(name, "create it", &error))?;
        Ok(Hdf5Writer { name: name.to_owned(), file, element, columns, vectors, names: None, rows: 0 })
    }

    fn append(&mut self, bytes: &[u8], names: &[RowName<'_>]) -> hdf5::Result<()> {
        let shape = (names.len(), self.columns);
        let end = self.rows + names.len();
        self.vectors.resize((end, self.columns))?;
        macro_rules! write {
            ($type:ty) => {{
                let values: Vec<$type> =
                    bytes.as_chunks().0.iter().map(|bytes| <$type>::from_le_bytes(*bytes)).collect();
                let rows = ArrayView2::from_shape(shape, &values).map_err(|error| error.to_string())?;
                self.vectors.write_slice(rows, s![self.rows..end, ..])?;
            }};
        }
        match self.element {
            ElementType::F32 => write!(f32),
            ElementType::F16 => write!(f16),
            ElementType::I8 => write!(i8),
            _ => write!(u8),
        }
        match names[0] {
            RowName::Id(_) => {
                let ids = names.iter().filter_map(|name| match name {
                    RowName::Id(id) => Some(*id),
                    RowName::Key(_) => None,
                });
                self.append_names("ids", &ids.collect::<Vec<u64>>())?;
            }
            RowName::Key(_) => {
                let keys = names.iter().filter_map(|name| match name {
                    RowName::Key(key) => Some(key.parse().map_err(|_| "a key has a NUL character".into())),
                    RowName::Id(_) => None,
                });
                self.append_names("keys", &keys.collect::<hdf5::Result<Vec<VarLenUnicode>>>()?)?;
            }
        }
        self.rows = end;
        Ok(())
    }

    fn append_names<T: H5Type>(&mut self, name: &str, values: &[T]) -> hdf5::Result<()> {
        if self.names.is_none() {
            let builder = self.file.new_dataset::<T>().chunk(CHUNK_NAMES).shape(Extent::resizable(0));
            self.names = Some(builder.create(name)?);
        }
        let Some(names) = &self.names else { return Ok(()) };
        let end = self.rows + values.len();
        names.resize(end)?;
        names.write_slice(ArrayView1::from(values), s![self.rows..end])
    }
}

fn dataset<T: H5Type>(file: &hdf5::File, columns: usize, chunk: usize) -> hdf5::Result<Dataset> {
    let shape = (Extent::resizable(0), Extent::from(columns));
    file.new_dataset::<T>().chunk((chunk, columns)).shape(shape).create("vectors")
}

impl RowWriter for Hdf5Writer {
    fn takes_names(&self) -> bool {
        true
    }

    fn write_rows(&mut self, rows: &[u8], names: &[RowName<'_>], _: &[&str]) -> Result<(), IoError> {
        let row_bytes = self.columns * self.element.bytes();
        check_named(&self.name, rows, row_bytes, names)?;
        if names.is_empty() {
            return Ok(());
        }
        self.append(rows, names).map_err(|error| failed(&self.name, "write rows", &error))
    }

    fn finish(self: Box<Self>) -> Result<(), IoError> {
        let Self { name, file, vectors, names, .. } = *self;
        drop((vectors, names));
        file.flush().and_then(|()| file.close()).map_err(|error| failed(&name, "complete it", &error))
    }
}
