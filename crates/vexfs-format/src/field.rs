//! Declared layouts: a structure is written down once, and its field table, its size proof and its
//! codec all come from that declaration.

/// One field of an on-disk structure, as the layout test, the dump and the field fuzzer see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLayout {
    /// Name of the field in the struct.
    pub name: &'static str,
    /// First byte, counted from the start of the structure.
    pub offset: usize,
    /// Length in bytes.
    pub size: usize,
}

/// Declares an on-disk structure of exactly the stated size, with its table of fields.
///
/// All field types must have alignment one (zerocopy's little-endian integers, byte arrays), so that there
/// is no padding and any bytes are a value; what they mean is decided by the structure's `decode`.
macro_rules! on_disk {
    ($(#[$meta:meta])* pub struct $name:ident [$size:literal bytes] {
        $($(#[$field_meta:meta])* $field:ident : $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable, zerocopy::Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type),*
        }

        const _: () = assert!(size_of::<$name>() == $size, concat!(stringify!($name), " has another size than declared"));

        impl $name {
            /// Size on the device in bytes.
            pub const SIZE: usize = $size;
            /// Every field with its place, in order.
            pub const FIELDS: &'static [$crate::field::FieldLayout] = &[
                $($crate::field::FieldLayout {
                    name: stringify!($field),
                    offset: core::mem::offset_of!($name, $field),
                    size: size_of::<$type>(),
                }),*
            ];
        }
    };
}
pub(crate) use on_disk;
