//! Finds out whether a slice holds only finite numbers, as fast as it can be read.
//!
//! A number is NaN or infinite exactly when all its exponent bits are set. With the sign masked off, adding one unit of
//! the exponent then carries into the sign bit, and the carries of many elements can be collected by OR: three
//! integer operations per element and no branch, which compilers turn into vector code.

/// Whether all little-endian binary32 numbers are finite.
pub(super) fn all_f32(elements: &[u8]) -> bool {
    let (elements, _) = elements.as_chunks::<4>();
    let carries = elements
        .iter()
        .fold(0, |carries, bytes| carries | ((u32::from_le_bytes(*bytes) & 0x7fff_ffff) + 0x0080_0000));
    carries >> 31 == 0
}

/// Whether all little-endian binary16 numbers are finite.
pub(super) fn all_f16(elements: &[u8]) -> bool {
    all_halves::<0x0400>(elements)
}

/// Whether all little-endian bfloat16 numbers are finite.
pub(super) fn all_bf16(elements: &[u8]) -> bool {
    all_halves::<0x0080>(elements)
}

/// `UNIT` is the lowest bit of the exponent.
fn all_halves<const UNIT: u16>(elements: &[u8]) -> bool {
    let (elements, _) = elements.as_chunks::<2>();
    let carries =
        elements.iter().fold(0, |carries, bytes| carries | ((u16::from_le_bytes(*bytes) & 0x7fff) + UNIT));
    carries >> 15 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_judged_like_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            assert_eq!(all_f16(&bits.to_le_bytes()), half::f16::from_bits(bits).is_finite(), "{bits:#x}");
            assert_eq!(all_bf16(&bits.to_le_bytes()), half::bf16::from_bits(bits).is_finite(), "{bits:#x}");
        }
    }

    #[test]
    fn one_bad_number_is_found_wherever_it_lies() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for length in 1..70 {
                for place in 0..length {
                    let mut numbers = [f32::MAX, f32::MIN, -0.0, f32::from_bits(1)].repeat(18);
                    numbers.truncate(length);
                    numbers[place] = bad;
                    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                    assert!(!all_f32(&bytes), "{bad} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn finite_numbers_of_any_size_pass() {
        let numbers = [
            f32::MAX,
            f32::MIN,
            0.0,
            -0.0,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            f32::from_bits(0x8000_0001),
        ];
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(all_f32(&bytes));
        assert!(all_f32(&[]));
    }
}
