//! Applies a delta (gitformat-pack, "Deltified representation").

use crate::pack::number;

/// The object that `delta` makes of `base`; `None` if it does not fit the base, tells another
/// size than it makes, or is no delta at all.
pub(crate) fn apply(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let (base_size, rest) = number(delta)?;
    let (size, mut rest) = number(rest)?;
    if base_size != base.len() as u64 {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let mut out = Vec::with_capacity(size);
    while let Some((code, tail)) = rest.split_first() {
        let piece = if code & 0x80 != 0 {
            let (piece, tail) = copied(base, *code, tail)?;
            rest = tail;
            piece
        } else {
            if *code == 0 {
                return None;
            }
            let (piece, tail) = tail.split_at_checked(usize::from(*code))?;
            rest = tail;
            piece
        };
        if piece.len() > size - out.len() {
            return None;
        }
        out.extend_from_slice(piece);
    }
    (out.len() == size).then_some(out)
}

/// A copy instruction: bits tell which bytes of offset and size follow.
fn copied<'b, 'd>(base: &'b [u8], code: u8, mut rest: &'d [u8]) -> Option<(&'b [u8], &'d [u8])> {
    let mut field = |first_bit: u8, bytes: u8| -> Option<usize> {
        let mut value = 0usize;
        for i in 0..bytes {
            if code & (1 << (first_bit + i)) != 0 {
                let (byte, tail) = rest.split_first()?;
                value |= usize::from(*byte) << (8 * i);
                rest = tail;
            }
        }
        Some(value)
    };
    let offset = field(0, 4)?;
    let size = match field(4, 3)? {
        0 => 0x10000,
        size => size,
    };
    let piece = base.get(offset..offset.checked_add(size)?)?;
    Some((piece, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas() {
        let base = b"hello world";
        for (delta, expect) in [
            (&b"\x0b\x05\x90\x05"[..], Some(&b"hello"[..])),
            (b"\x0b\x07\x91\x06\x05\x02!!", Some(b"world!!")),
            (b"\x0b\x00", Some(b"")),
            (b"\x0a\x05\x90\x05", None),     // another base
            (b"\x0b\x06\x90\x05", None),     // makes less
            (b"\x0b\x04\x90\x05", None),     // makes more
            (b"\x0b\x05\x91\x07\x05", None), // beyond the base
            (b"\x0b\x05\x90", None),         // cut
            (b"\x0b\x05\x05hell", None),     // cut
            (b"\x0b\x01\x00", None),         // reserved
            (b"\x0b", None),
            (b"", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(apply(base, delta).as_deref(), expect, "{delta:?}");
        }
    }
}
