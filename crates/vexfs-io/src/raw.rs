//! Rows as a file stores them: what the readers of binary formats deliver, and what conversion and integers build on.

use crate::beside::Beside;
use crate::element::ElementType;
use crate::error::IoError;

/// Rows of little-endian elements in the order of the file, not yet checked or converted.
pub(crate) trait RawRows: Send {
    /// The name for messages.
    fn name(&self) -> &str;

    /// Type of the elements.
    fn element(&self) -> ElementType;

    /// Elements per row, `1 ..= MAX_DIM`.
    fn columns(&self) -> usize;

    /// Number of rows in all, if the input says so.
    fn rows(&self) -> Option<u64>;

    /// The row that is read next.
    fn next_row(&self) -> u64;

    /// Fills the start of `out`, which has room for a whole number of rows, and returns how many rows it got: all that
    /// there is room for, or fewer after which there are no more.
    ///
    /// # Errors
    /// The input ends within a row or before the promised rows, or goes on behind them; it contradicts itself; errors of
    /// the system. Afterwards the rows are to be dropped.
    fn fill(&mut self, out: &mut [u8]) -> Result<usize, IoError>;

    /// As [`RowSource::other_columns`](crate::RowSource::other_columns).
    fn other_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// As [`RowSource::unread_columns`](crate::RowSource::unread_columns).
    fn unread_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// As [`RowSource::beside`](crate::RowSource::beside); where it is full, [`fill`](Self::fill) returns early.
    fn beside(&mut self) -> Option<&mut Beside> {
        None
    }

    /// Length of a row in bytes.
    fn row_bytes(&self) -> usize {
        self.columns() * self.element().bytes()
    }
}

impl RawRows for Box<dyn RawRows> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn element(&self) -> ElementType {
        (**self).element()
    }

    fn columns(&self) -> usize {
        (**self).columns()
    }

    fn rows(&self) -> Option<u64> {
        (**self).rows()
    }

    fn next_row(&self) -> u64 {
        (**self).next_row()
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, IoError> {
        (**self).fill(out)
    }

    fn other_columns(&self) -> Vec<String> {
        (**self).other_columns()
    }

    fn unread_columns(&self) -> Vec<String> {
        (**self).unread_columns()
    }

    fn beside(&mut self) -> Option<&mut Beside> {
        (**self).beside()
    }
}

/// What the axes of an array shall mean.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Axes {
    /// `(n, d)`: n rows of d elements; with `single`, also `(d,)` as one row.
    Rows {
        /// Whether one axis is one row.
        single: bool,
    },
    /// `(n,)`: n rows of one element.
    List,
}

impl Axes {
    /// Rows and columns of an array of that shape, or what is wrong with it.
    pub(crate) fn measure(self, shape: &[u64]) -> Result<(u64, usize), &'static str> {
        let (rows, columns) = match (self, shape) {
            (Axes::List, [length]) => (*length, 1),
            (Axes::List, _) => return Err("expected one axis (n,)"),
            (Axes::Rows { .. }, [rows, columns]) => (*rows, *columns),
            (Axes::Rows { single: true }, [length]) => (1, *length),
            (Axes::Rows { .. }, [_]) => {
                return Err(
                    "one axis, expected (n, d); reshape(1, -1) makes it one vector, reshape(-1, 1) many",
                );
            }
            (Axes::Rows { .. }, []) => return Err("a single number, expected (n, d)"),
            (Axes::Rows { .. }, _) => {
                return Err("too many axes, expected (n, d); reshape(n, -1) joins them");
            }
        };
        match usize::try_from(columns) {
            Ok(0) => Err("vectors without components"),
            Ok(columns) if columns <= crate::source::MAX_DIM => Ok((rows, columns)),
            _ => Err("vectors of more than 1048576 components"),
        }
    }
}

/// The shape of an array as numpy prints it: `(3, 4)`, `(3,)`, `()`.
pub(crate) fn shape_text(shape: &[u64]) -> String {
    match shape {
        [length] => format!("({length},)"),
        shape => {
            let lengths: Vec<String> = shape.iter().map(u64::to_string).collect();
            format!("({})", lengths.join(", "))
        }
    }
}
