//! Decompression of a page into exactly as many bytes as it is said to have.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::thrift::Bad;

/// How the pages of a column are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// LZ4, a block without a frame.
    Lz4,
}

impl Codec {
    /// The codec of a number of the format.
    pub(super) fn of(code: i64) -> Result<Codec, Bad> {
        Ok(match code {
            0 => Codec::None,
            1 => Codec::Snappy,
            2 => Codec::Gzip,
            6 => Codec::Zstd,
            7 => Codec::Lz4,
            _ => return Err("compressed in a way that is not read; write it with snappy, zstd, gzip or lz4"),
        })
    }

    /// The `length` bytes that were compressed to `bytes`. The caller has made sure that there is room for them.
    pub(super) fn decompress(self, bytes: Vec<u8>, length: usize) -> Result<Vec<u8>, Bad> {
        const DAMAGED: Bad = "a page cannot be decompressed to the size that it should have";
        if self == Codec::None || length == 0 {
            return if bytes.len() == length || length == 0 { Ok(bytes) } else { Err(DAMAGED) };
        }
        let mut out = vec![0; length];
        let is_complete = match self {
            Codec::None => false,
            Codec::Snappy => {
                snap::raw::decompress_len(&bytes).is_ok_and(|found| found == length)
                    && snap::raw::Decoder::new().decompress(&bytes, &mut out).is_ok()
            }
            Codec::Gzip => {
                let mut decoder = MultiGzDecoder::new(&*bytes);
                decoder.read_exact(&mut out).is_ok() && matches!(decoder.read(&mut [0]), Ok(0))
            }
            Codec::Zstd => {
                zstd::bulk::decompress_to_buffer(&bytes, &mut out).is_ok_and(|found| found == length)
            }
            Codec::Lz4 => {
                lz4_flex::block::decompress_into(&bytes, &mut out).is_ok_and(|found| found == length)
            }
        };
        if is_complete { Ok(out) } else { Err(DAMAGED) }
    }
}
