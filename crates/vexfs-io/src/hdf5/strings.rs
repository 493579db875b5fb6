//! Strings: keys.

use hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, Hyperslab};

use super::failed;
use super::locate::{Located, locate};
use crate::error::{IoError, Place, Problem, excerpt};
use crate::input::Input;

/// Strings that are read at once.
const SLAB: usize = 4096;

/// The strings of a dataset of one axis, one after another; ends after the first error.
///
/// # Errors
/// Those of finding it; [`Problem::Shape`]; [`Problem::ElementType`].
pub(crate) fn strings(input: Input) -> Result<impl Iterator<Item = Result<String, IoError>> + Send, IoError> {
    let Located { dataset, name, .. } = locate(input, |dataset| is_text(dataset) && dataset.ndim() == 1)?;
    let fail = |problem| IoError::new(&name, Place::Whole, problem);
    let shape = dataset.shape();
    let &[count] = &*shape else {
        let shape: Vec<u64> = shape.iter().map(|length| *length as u64).collect();
        let reason = "expected one axis (n,)";
        return Err(fail(Problem::Shape { shape: crate::raw::shape_text(&shape), reason }));
    };
    if !is_text(&dataset) {
        let descr = dataset.dtype().and_then(|dtype| dtype.to_descriptor());
        let descr = descr.map_or_else(|_| "unknown".to_owned(), |descr| excerpt(&descr.to_string()));
        let advice = "strings of variable length are read, such as h5py.string_dtype()";
        return Err(fail(Problem::ElementType { descr, name: "HDF5", advice }));
    }
    let slabs = (0..count).step_by(SLAB).flat_map(move |first| {
        let read = slab(&dataset, first..count.min(first + SLAB));
        let read =
            read.map_err(|error| failed(&name, "read the strings", &error).at(Place::Row(first as u64)));
        let (strings, error) = match read {
            Ok(strings) => (strings, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        strings.into_iter().map(Ok).chain(error.map(Err))
    });
    Ok(slabs)
}

fn is_text(dataset: &Dataset) -> bool {
    let descr = dataset.dtype().and_then(|dtype| dtype.to_descriptor());
    matches!(descr, Ok(TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode))
}

fn slab(dataset: &Dataset, range: std::ops::Range<usize>) -> hdf5::Result<Vec<String>> {
    let selection = Hyperslab::from(range);
    // The library hands out what the file has, be it UTF-8 or not.
    let bytes: Vec<Vec<u8>> = match dataset.dtype()?.to_descriptor()? {
        TypeDescriptor::VarLenAscii => {
            let strings = dataset.read_slice_1d::<VarLenAscii, _>(selection)?;
            strings.iter().map(|string| string.as_bytes().to_vec()).collect()
        }
        _ => {
            let strings = dataset.read_slice_1d::<VarLenUnicode, _>(selection)?;
            strings.iter().map(|string| string.as_bytes().to_vec()).collect()
        }
    };
    let texts = bytes.into_iter().map(String::from_utf8);
    texts.collect::<Result<_, _>>().map_err(|_| "a string is not UTF-8".into())
}
