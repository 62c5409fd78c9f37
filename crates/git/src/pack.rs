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
    entry_head_of(kind.bits(), size)
}

/// The head of an entry with these type bits.
pub(crate) fn entry_head_of(bits: u8, size: u64) -> Vec<u8> {
    let mut rest = size >> 4;
    let mut byte = bits << 4 | (size & 15) as u8;
    let mut out = Vec::with_capacity(32);
    while rest > 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
    out
}

/// The head of a delta on what begins `distance` bytes before it.
pub(crate) fn offset_head(size: u64, distance: u64) -> Vec<u8> {
    let mut out = entry_head_of(6, size);
    let mut bytes = vec![(distance & 0x7f) as u8];
    let mut rest = distance >> 7;
    while rest > 0 {
        rest -= 1;
        bytes.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.extend(bytes.iter().rev());
    out
}

/// The head of a delta on an object by its id.
pub(crate) fn id_head(size: u64, base: &ObjectId) -> Vec<u8> {
    let mut out = entry_head_of(7, size);
    out.extend_from_slice(base.as_slice());
    out
}

/// The head of an entry of a pack that is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredHead {
    pub bits: u8,
    pub size: u64,
    pub base: StoredBase,
    /// Bytes of the head.
    pub bytes: usize,
}

/// What a stored entry is a delta on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StoredBase {
    None,
    /// So many bytes before the entry.
    Before(u64),
    Id(ObjectId),
}

/// Reads the head of an entry; `None` if there is none.
pub(crate) fn stored_head(bytes: &[u8]) -> Option<StoredHead> {
    let (first, mut rest) = bytes.split_first()?;
    let mut size = u64::from(first & 15);
    if first & 0x80 != 0 {
        let (high, tail) = number(rest)?;
        size |= high.checked_mul(16)?;
        rest = tail;
    }
    let bits = first >> 4 & 7;
    let base = match bits {
        1..=4 => StoredBase::None,
        6 => {
            let mut distance = None;
            loop {
                let (byte, tail) = rest.split_first()?;
                rest = tail;
                let low = u64::from(byte & 0x7f);
                let value: u64 =
                    distance.map_or(Some(low), |d: u64| Some(d.checked_add(1)?.checked_mul(128)? | low))?;
                distance = Some(value);
                if byte & 0x80 == 0 {
                    break StoredBase::Before(value);
                }
            }
        }
        7 => {
            let (id, tail) = rest.split_at_checked(TRAILER_BYTES)?;
            rest = tail;
            StoredBase::Id(ObjectId::from_bytes_or_panic(id))
        }
        _ => return None,
    };
    Some(StoredHead { bits, size, base, bytes: bytes.len() - rest.len() })
}

/// Reads git's little-endian base-128 number; the rest of the bytes comes with it.
pub(crate) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..).unwrap_or_default()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_back() {
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        for size in [0, 1, 15, 16, 2_047, 2_048, 1 << 31, 1 << 50] {
            let check = |head: Vec<u8>, bits: u8, base: StoredBase| {
                let bytes = head.len();
                let followed = [&head[..], b"\xff\xff"].concat();
                assert_eq!(stored_head(&followed), Some(StoredHead { bits, size, base, bytes }));
                assert!((0..bytes).all(|cut| stored_head(&head[..cut]).is_none()));
            };
            check(entry_head(Kind::Tree, size), 2, StoredBase::None);
            check(id_head(size, &id), 7, StoredBase::Id(id));
            for distance in [1, 127, 128, 129, 16_511, 16_512, 1 << 40] {
                check(offset_head(size, distance), 6, StoredBase::Before(distance));
            }
        }
    }
}
