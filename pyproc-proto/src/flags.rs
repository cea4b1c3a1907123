//! What a frame carries beside its header and body.

use std::ops::BitOr;

/// What a frame carries beside its header and body, or wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A deadline follows the header.
    pub const DEADLINE: Self = Self(0x01);
    /// Metadata follows the header, and the deadline if there is one.
    pub const METADATA: Self = Self(0x02);
    /// No answer is wanted. Reserved: not negotiated in version 1.
    pub const ONE_WAY: Self = Self(0x04);
    /// The answer is wanted as a stream.
    pub const WANTS_STREAM: Self = Self(0x08);
    /// The body describes shared memory. Reserved: not negotiated in version 1.
    pub const SHARED_MEMORY: Self = Self(0x10);
    /// The body is an error value. Reserved: not negotiated in version 1.
    pub const ERROR_VALUE: Self = Self(0x20);
    /// The items of an argument follow the request, in frames of their own.
    pub const ITEMS_FOLLOW: Self = Self(0x40);

    const KNOWN: u8 = 0x7F;
    /// What version 1 can do nothing with.
    pub(crate) const RESERVED: Self = Self(0x34);

    /// The flags with these bits, or `None` if one of them has no meaning.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::KNOWN == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The flags as the wire writes them.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set here.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags, except for `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
