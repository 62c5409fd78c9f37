//! Writes the index of a pack, version 2 (gitformat-pack, "pack-*.idx files").

use std::io::{self, Write};

use gix::ObjectId;

/// One row: id, offset in the pack, CRC-32 of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub id: ObjectId,
    pub offset: u64,
    pub crc: u32,
}

/// Offsets from here on are kept in the table of large ones.
const LARGE: u64 = 1 << 31;

/// Writes the index of `rows`, which are sorted by id.
pub(crate) fn write(out: impl Write, rows: &[Row], pack: &ObjectId) -> io::Result<()> {
    let mut out = Hashing { inner: out, hash: gix::hash::hasher(gix::hash::Kind::Sha1) };
    out.write_all(b"\xfftOc\0\0\0\x02")?;
    for first in 0..=255u8 {
        let upto = rows.partition_point(|row| row.id.as_slice().first().is_none_or(|b| *b <= first));
        out.write_all(&(upto as u32).to_be_bytes())?;
    }
    for row in rows {
        out.write_all(row.id.as_slice())?;
    }
    for row in rows {
        out.write_all(&row.crc.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for row in rows {
        let word = if row.offset < LARGE {
            row.offset as u32
        } else {
            large.push(row.offset);
            (large.len() as u32 - 1) | LARGE as u32
        };
        out.write_all(&word.to_be_bytes())?;
    }
    for offset in large {
        out.write_all(&offset.to_be_bytes())?;
    }
    out.write_all(pack.as_slice())?;
    let Hashing { mut inner, hash } = out;
    inner.write_all(hash.try_finalize().map_err(io::Error::other)?.as_slice())?;
    inner.flush()
}

struct Hashing<W> {
    inner: W,
    hash: gix::hash::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
