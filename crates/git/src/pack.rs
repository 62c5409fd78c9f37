//! Words of the pack format (gitformat-pack).

use gix::ObjectId;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    /// The three type bits of a pack entry.
    pub(crate) fn bits(self) -> u8 {
        match self {
            Self::Commit => 1,
            Self::Tree => 2,
            Self::Blob => 3,
            Self::Tag => 4,
        }
    }
}

impl From<Kind> for gix::objs::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Commit => Self::Commit,
            Kind::Tree => Self::Tree,
            Kind::Blob => Self::Blob,
            Kind::Tag => Self::Tag,
        }
    }
}

impl From<gix::objs::Kind> for Kind {
    fn from(kind: gix::objs::Kind) -> Self {
        match kind {
            gix::objs::Kind::Commit => Self::Commit,
            gix::objs::Kind::Tree => Self::Tree,
            gix::objs::Kind::Blob => Self::Blob,
            gix::objs::Kind::Tag => Self::Tag,
        }
    }
}

/// How an entry is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The whole object.
    Whole(Kind),
    /// A delta against the entry with this number.
    OnEntry(u32),
    /// A delta against the object with this id.
    OnId(ObjectId),
}

/// One entry of a pack, as seen while it streamed by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Where the entry begins in the pack.
    pub offset: u64,
    /// Bytes before the compressed data.
    pub head_bytes: u8,
    pub form: Form,
    /// Bytes when inflated; of the delta if it is one.
    pub inflated: u64,
    /// Bytes of the object.
    pub object_bytes: u64,
    /// CRC-32 of the entry as stored.
    pub crc: u32,
}

/// Length of the pack's head and of its trailer, bytes.
pub(crate) const HEAD_BYTES: usize = 12;
pub(crate) const TRAILER_BYTES: usize = 20;

/// The head of a pack with this many objects, version 2.
pub(crate) fn head(objects: u32) -> [u8; HEAD_BYTES] {
    let mut out = *b"PACK\0\0\0\x02\0\0\0\0";
    out[8..].copy_from_slice(&objects.to_be_bytes());
    out
}

/// The head of a whole entry.
pub(crate) fn entry_head(kind: Kind, size: u64) -> Vec<u8> {
    let mut rest = size >> 4;
    let mut byte = kind.bits() << 4 | (size & 15) as u8;
    let mut out = Vec::with_capacity(10);
    while rest > 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
    out
}

/// Reads git's little-endian base-128 number; the rest of the bytes comes with it.
pub(crate) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}
