//! Every conversion against a plain one, value by value.

use half::{bf16, f16};

use super::*;
use ElementType as E;
use TargetType as T;

/// Converts one row; the result as bytes, or the fault.
fn convert(element: E, target: T, row: &[u8]) -> Result<Vec<u8>, Fault> {
    let converter = Converter::new(element, target, row.len() / element.bytes());
    let mut out = vec![0xaa; converter.target_row_bytes()];
    converter.convert(row, &mut out).map(|()| out)
}

/// One number as the bytes of `element`, if it is one of that type.
#[allow(clippy::cast_lossless)] // the macro serves integers of every width
fn source(element: E, value: f64) -> Option<Vec<u8>> {
    macro_rules! integer {
        ($type:ty) => {{
            let whole = value as $type;
            (whole as f64 == value).then(|| whole.to_le_bytes().to_vec())
        }};
    }
    match element {
        E::F16 => {
            Some(f16::from_f64(value)).filter(|x| x.to_f64() == value).map(|x| x.to_le_bytes().to_vec())
        }
        E::BF16 => {
            Some(bf16::from_f64(value)).filter(|x| x.to_f64() == value).map(|x| x.to_le_bytes().to_vec())
        }
        E::F32 => Some(value as f32).filter(|x| f64::from(*x) == value).map(|x| x.to_le_bytes().to_vec()),
        E::F64 => Some(value.to_le_bytes().to_vec()),
        E::I8 => integer!(i8),
        E::I16 => integer!(i16),
        E::I32 => integer!(i32),
        E::I64 => integer!(i64),
        E::U8 => integer!(u8),
        E::U16 => integer!(u16),
        E::U32 => integer!(u32),
        E::U64 => integer!(u64),
        E::Bool => (value == 0.0 || value == 1.0).then(|| vec![value as u8]),
    }
}

/// The one component of a converted row.
fn decode(target: T, bytes: &[u8]) -> f64 {
    match target {
        T::F32 => f64::from(f32::from_le_bytes(bytes.try_into().unwrap())),
        T::F16 => f16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
        T::BF16 => bf16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
        T::I8 => f64::from(bytes[0] as i8),
        T::U8 | T::B1 => f64::from(bytes[0]),
    }
}

const ELEMENTS: [E; 13] =
    [E::F16, E::BF16, E::F32, E::F64, E::I8, E::I16, E::I32, E::I64, E::U8, E::U16, E::U32, E::U64, E::Bool];

#[test]
fn a_value_that_both_types_hold_is_kept_and_another_integer_is_refused() {
    let values = [
        0.0,
        1.0,
        -1.0,
        2.0,
        0.5,
        127.0,
        128.0,
        -128.0,
        -129.0,
        255.0,
        256.0,
        257.0,
        2048.0,
        2049.0,
        65504.0,
        65520.0,
        65536.0,
        16_777_216.0,
        16_777_217.0,
        4_294_967_295.0,
        9_007_199_254_740_992.0,
    ];
    let mut seen = 0;
    for element in ELEMENTS {
        for target in T::ALL {
            if (element, target) == (E::U8, T::B1) {
                continue; // packed bits: see below
            }
            for value in values {
                let Some(bytes) = source(element, value) else { continue };
                seen += 1;
                let held = match target {
                    T::F32 => f64::from(value as f32) == value,
                    T::F16 => f16::from_f64(value).to_f64() == value,
                    T::BF16 => bf16::from_f64(value).to_f64() == value,
                    T::I8 => value.fract() == 0.0 && (-128.0..=127.0).contains(&value),
                    T::U8 => value.fract() == 0.0 && (0.0..=255.0).contains(&value),
                    T::B1 => value == 0.0 || value == 1.0,
                };
                let result = convert(element, target, &bytes);
                if held {
                    assert_eq!(decode(target, &result.unwrap()), value, "{element} {value} as {target}");
                } else if matches!(target, T::I8 | T::U8 | T::B1) || element.is_integer() {
                    assert!(
                        matches!(result.unwrap_err().problem, Problem::Range { target: t, .. } if t == target),
                        "{element} {value} as {target}"
                    );
                }
            }
        }
    }
    assert!(seen > 500, "only {seen} conversions tried");
}

#[test]
fn the_largest_64_bit_integers_are_not_taken_for_the_powers_of_two_above_them() {
    for target in [T::F32, T::F16, T::BF16, T::I8, T::U8, T::B1] {
        assert!(convert(E::I64, target, &i64::MAX.to_le_bytes()).is_err(), "{target}");
        assert!(convert(E::U64, target, &u64::MAX.to_le_bytes()).is_err(), "{target}");
    }
    assert_eq!(decode(T::F32, &convert(E::I64, T::F32, &i64::MIN.to_le_bytes()).unwrap()), -(2f64.powi(63)));
}

#[test]
fn narrowing_a_float_rounds_once_and_overflow_is_refused() {
    // A tie between two f16 numbers, plus less than f32 can see: rounding twice would drop to the even neighbour.
    let above_tie = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    assert_eq!(
        decode(T::F16, &convert(E::F64, T::F16, &above_tie.to_le_bytes()).unwrap()),
        1.0 + 2f64.powi(-10)
    );
    let below_tie = -(1.0 + 3.0 * 2f64.powi(-8) - 2f64.powi(-40));
    assert_eq!(
        decode(T::BF16, &convert(E::F64, T::BF16, &below_tie.to_le_bytes()).unwrap()),
        -(1.0 + 2f64.powi(-7))
    );
    assert_eq!(decode(T::F32, &convert(E::F64, T::F32, &1e-50f64.to_le_bytes()).unwrap()), 0.0);

    for (target, largest, beyond) in [
        (T::F32, f64::from(f32::MAX), 3.5e38),
        (T::F16, 65519.99, 65520.0),
        (T::BF16, bf16::MAX.to_f64(), f64::from(f32::MAX)),
    ] {
        assert!(convert(E::F64, target, &largest.to_le_bytes()).is_ok(), "{target}");
        let fault = convert(E::F64, target, &beyond.to_le_bytes()).unwrap_err();
        assert!(matches!(fault.problem, Problem::Range { .. }), "{target}: {fault:?}");
    }
    assert!(convert(E::F32, T::F16, &65520f32.to_le_bytes()).is_err());
}

#[test]
fn every_f16_becomes_the_same_f32_by_blocks_as_one_by_one() {
    let finite: Vec<u16> = (0..=u16::MAX).filter(|bits| f16::from_bits(*bits).is_finite()).collect();
    let bytes: Vec<u8> = finite.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let floats = convert(E::F16, T::F32, &bytes).unwrap();
    for (bits, float) in finite.iter().zip(floats.as_chunks().0) {
        assert_eq!(f32::from_le_bytes(*float), f16::from_bits(*bits).to_f32());
    }
    assert_eq!(convert(E::F32, T::F16, &floats).unwrap(), bytes, "and back");
}

#[test]
fn f32_becomes_the_bf16_that_the_half_crate_gives() {
    // Every upper half with lower halves below, at and above the tie.
    for upper in 0..=u16::MAX {
        for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
            let float = f32::from_bits(u32::from(upper) << 16 | lower);
            let expected = bf16::from_f32(float);
            match convert(E::F32, T::BF16, &float.to_le_bytes()) {
                Ok(bytes) => assert_eq!(bytes, expected.to_le_bytes(), "{float:e}"),
                Err(_) => assert!(!expected.is_finite(), "{float:e} is refused"),
            }
            assert!(
                expected.is_finite() || convert(E::F32, T::BF16, &float.to_le_bytes()).is_err(),
                "{float:e}"
            );
        }
    }
}

#[test]
fn the_first_bad_element_is_named_by_row_and_column() {
    let bytes = |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let rows = bytes(&[1.0, 2.0, 3.0, 4.0, f32::NAN, f32::INFINITY]);
    for target in T::ALL {
        let converter = Converter::new(E::F32, target, 2);
        let mut out = vec![0; 3 * converter.target_row_bytes()];
        let fault = converter.convert(&rows, &mut out).unwrap_err();
        let expected = if target == T::B1 { (0, 1) } else { (2, 0) };
        assert_eq!((fault.row, fault.column), expected, "{target}");
        if target != T::B1 {
            assert!(matches!(fault.problem, Problem::NotFinite { value: "NaN" }), "{target}");
        }
    }
    let fault = convert(E::F64, T::F32, &f64::NEG_INFINITY.to_le_bytes()).unwrap_err();
    assert!(matches!(fault.problem, Problem::NotFinite { value: "-infinity" }));
}

#[test]
fn a_bool_gives_a_bit_and_each_row_starts_a_byte() {
    let converter = Converter::new(E::Bool, T::B1, 9);
    let rows = [1, 0, 0, 0, 0, 0, 0, 1, 1, /**/ 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let mut out = [0xff; 4];
    converter.convert(&rows, &mut out).unwrap();
    assert_eq!(out, [0x81, 0x01, 0x02, 0x00]);
    assert!(matches!(convert(E::Bool, T::B1, &[0, 2]).unwrap_err().problem, Problem::Bool { byte: 2 }));
    assert!(matches!(convert(E::Bool, T::F32, &[0, 255]).unwrap_err().problem, Problem::Bool { byte: 255 }));
}

#[test]
fn u8_read_as_bits_is_packed_already() {
    let converter = Converter::new(E::U8, T::B1, 3);
    assert_eq!((converter.dim(), converter.target_row_bytes(), converter.keeps_bytes()), (24, 3, true));
    assert_eq!(convert(E::U8, T::B1, &[0xff, 0, 7]).unwrap(), [0xff, 0, 7]);
}

#[test]
fn bytes_are_swapped_within_each_element() {
    let mut bytes: Vec<u8> = (0..16).collect();
    swap_bytes(&mut bytes, 2);
    assert_eq!(bytes[..4], [1, 0, 3, 2]);
    swap_bytes(&mut bytes, 2);
    swap_bytes(&mut bytes, 8);
    assert_eq!(bytes, [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8]);
    swap_bytes(&mut bytes, 1);
    assert_eq!(bytes[0], 7);
}
