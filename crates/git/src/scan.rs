//! Reads a pack while it streams by: every limit is kept before anything is built from the pack,
//! and what is learnt (where entries are, what they depend on) is all that indexing needs later.

use base::{Problem, Result};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use gix::ObjectId;
use ports::ReceiveLimits;

use crate::fault;
use crate::pack::{Entry, Form, HEAD_BYTES, Kind, TRAILER_BYTES, number};

/// A pack may unpack to this much whatever its size, bytes …
const UNPACKED_FREE: u64 = 1 << 30;
/// … and to this many times its size beyond that (histories of large text files reach 100).
const UNPACKED_RATIO_MAX: u64 = 250;
/// Longest start of a delta that is looked at: two numbers of at most nine bytes.
const DELTA_HEAD_MAX: usize = 18;

/// A pack that was read to its end; its checksum is right.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub entries: Vec<Entry>,
    /// Bytes without the trailer.
    pub bytes: u64,
    pub checksum: ObjectId,
}

/// The state between two chunks of the stream.
pub(crate) struct Scan {
    limits: ReceiveLimits,
    state: State,
    hash: gix::hash::Hasher,
    crc: Crc,
    inflate: Decompress,
    scratch: Vec<u8>,
    entries: Vec<Entry>,
    expected: u32,
    /// Bytes taken so far.
    position: u64,
    /// Bytes all objects and deltas have when unpacked.
    unpacked: u64,
    unpacked_free: u64,
    entry: Open,
}

enum State {
    Head(Vec<u8>),
    Size,
    Distance,
    BaseId(Vec<u8>),
    Data,
    Trailer(Vec<u8>),
    Done(ObjectId),
}

/// The entry that is being read.
struct Open {
    offset: u64,
    bits: u8,
    size: u64,
    shift: u32,
    distance: u64,
    distance_bytes: u8,
    form: Form,
    head_bytes: u8,
    produced: u64,
    delta_head: Vec<u8>,
}

impl Open {
    fn at(offset: u64) -> Self {
        Self {
            offset,
            bits: 0,
            size: 0,
            shift: 0,
            distance: 0,
            distance_bytes: 0,
            form: Form::Whole(Kind::Blob),
            head_bytes: 0,
            produced: 0,
            delta_head: Vec::with_capacity(DELTA_HEAD_MAX),
        }
    }
}

impl Scan {
    pub(crate) fn new(limits: ReceiveLimits) -> Self {
        Self {
            limits,
            state: State::Head(Vec::with_capacity(HEAD_BYTES)),
            hash: gix::hash::hasher(gix::hash::Kind::Sha1),
            crc: Crc::new(),
            inflate: Decompress::new(true),
            scratch: vec![0; 64 << 10],
            entries: Vec::new(),
            expected: 0,
            position: 0,
            unpacked: 0,
            unpacked_free: UNPACKED_FREE,
            entry: Open::at(0),
        }
    }

    /// For a pack that is made of packs which were within their limits.
    pub(crate) fn unbounded() -> Self {
        let most = ReceiveLimits {
            pack_bytes_max: u64::MAX,
            objects_max: u32::MAX,
            object_bytes_max: u64::MAX,
            ..ReceiveLimits::default()
        };
        Self { unpacked_free: u64::MAX, ..Self::new(most) }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn feed(&mut self, mut input: &[u8]) -> Result<()> {
        while !input.is_empty() {
            let taken = match &mut self.state {
                State::Done(_) => return Err(fault::pack("bytes follow after the end of the pack")),
                State::Trailer(have) => {
                    let taken = fill(have, input, TRAILER_BYTES);
                    if have.len() == TRAILER_BYTES {
                        let told = ObjectId::from_bytes_or_panic(have);
                        self.finish(told)?;
                    }
                    taken
                }
                State::Data => self.data(input)?,
                _ => self.head_byte(input)?,
            };
            self.position = self.position.saturating_add(taken as u64);
            if self.position > self.limits.pack_bytes_max {
                return Err(too_large("the pack is", self.limits.pack_bytes_max));
            }
            input = input.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// The stream has ended.
    pub(crate) fn end(self) -> Result<Scanned> {
        match self.state {
            State::Done(checksum) => Ok(Scanned {
                entries: self.entries,
                bytes: self.position.saturating_sub(TRAILER_BYTES as u64),
                checksum,
            }),
            _ => Err(fault::pack("the pack ends too early").hint("push again; the connection may have been cut")),
        }
    }

    /// The checksum of what was taken, which is the trailer of a pack that is being written.
    pub(crate) fn checksum(&self) -> Result<ObjectId> {
        self.hash.clone().try_finalize().map_err(fault::pack)
    }

    /// Everything outside of compressed data and trailer; returns how many bytes were taken.
    fn head_byte(&mut self, input: &[u8]) -> Result<usize> {
        let taken = match &mut self.state {
            State::Head(have) => fill(have, input, HEAD_BYTES),
            State::BaseId(have) => fill(have, input, TRAILER_BYTES),
            _ => 1,
        };
        let bytes = input.get(..taken).unwrap_or_default();
        self.hash.update(bytes);
        let byte = bytes.first().copied().unwrap_or_default();
        match &mut self.state {
            State::Head(have) => {
                if have.len() == HEAD_BYTES {
                    self.expected = objects(have, self.limits.objects_max)?;
                    self.state = self.next_entry(HEAD_BYTES as u64);
                }
            }
            State::Size => {
                self.crc.update(bytes);
                self.size_byte(byte)?;
            }
            State::Distance => {
                self.crc.update(bytes);
                self.distance_byte(byte)?;
            }
            State::BaseId(have) => {
                self.crc.update(bytes);
                if have.len() == TRAILER_BYTES {
                    self.entry.form = Form::OnId(ObjectId::from_bytes_or_panic(have));
                    self.entry.head_bytes = self.entry.head_bytes.saturating_add(TRAILER_BYTES as u8);
                    self.state = State::Data;
                }
            }
            State::Data | State::Trailer(_) | State::Done(_) => {}
        }
        Ok(taken)
    }

    fn size_byte(&mut self, byte: u8) -> Result<()> {
        let entry = &mut self.entry;
        if entry.head_bytes == 0 {
            entry.bits = byte >> 4 & 7;
            entry.size = u64::from(byte & 15);
            entry.shift = 4;
        } else {
            if entry.shift > 56 {
                return Err(fault::pack("an object claims an impossible size"));
            }
            entry.size |= u64::from(byte & 0x7f) << entry.shift;
            entry.shift += 7;
        }
        entry.head_bytes += 1;
        if byte & 0x80 != 0 {
            return Ok(());
        }
        if entry.size > self.limits.object_bytes_max {
            return Err(too_large("an object is", self.limits.object_bytes_max));
        }
        let whole = |kind| (Form::Whole(kind), State::Data);
        (entry.form, self.state) = match entry.bits {
            1 => whole(Kind::Commit),
            2 => whole(Kind::Tree),
            3 => whole(Kind::Blob),
            4 => whole(Kind::Tag),
            6 => (entry.form, State::Distance),
            7 => (entry.form, State::BaseId(Vec::with_capacity(TRAILER_BYTES))),
            _ => return Err(fault::pack("an entry has a type that does not exist")),
        };
        Ok(())
    }

    /// gitformat-pack: every further byte adds one, so that no distance has two spellings.
    fn distance_byte(&mut self, byte: u8) -> Result<()> {
        let entry = &mut self.entry;
        let low = u64::from(byte & 0x7f);
        entry.distance =
            if entry.distance_bytes == 0 { low } else { (entry.distance.saturating_add(1)).saturating_mul(128) | low };
        entry.distance_bytes += 1;
        entry.head_bytes += 1;
        if entry.distance_bytes > 9 {
            return Err(fault::pack("a delta points outside of the pack"));
        }
        if byte & 0x80 != 0 {
            return Ok(());
        }
        let base = entry.offset.checked_sub(entry.distance).filter(|_| entry.distance > 0);
        let number = base.and_then(|base| self.entries.binary_search_by_key(&base, |e| e.offset).ok());
        let number = number.and_then(|n| u32::try_from(n).ok());
        entry.form = Form::OnEntry(number.ok_or_else(|| fault::pack("a delta points to where no object is"))?);
        self.state = State::Data;
        Ok(())
    }

    /// Inflates a piece only to measure it.
    fn data(&mut self, input: &[u8]) -> Result<usize> {
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, &mut self.scratch, FlushDecompress::None)
            .map_err(|_| fault::pack("an object is not valid zlib data"))?;
        let taken = (self.inflate.total_in() - before_in) as usize;
        let made = (self.inflate.total_out() - before_out) as usize;
        let bytes = input.get(..taken).unwrap_or_default();
        self.hash.update(bytes);
        self.crc.update(bytes);
        let entry = &mut self.entry;
        entry.produced = entry.produced.saturating_add(made as u64);
        if entry.produced > entry.size {
            return Err(fault::pack("an object is larger than it claims"));
        }
        let room = DELTA_HEAD_MAX.saturating_sub(entry.delta_head.len()).min(made);
        entry.delta_head.extend_from_slice(self.scratch.get(..room).unwrap_or_default());
        if status == Status::StreamEnd {
            self.close_entry(taken as u64)?;
        } else if taken == 0 && made == 0 {
            return Err(fault::pack("an object is not valid zlib data"));
        }
        Ok(taken)
    }

    /// The entry is complete; `taken` bytes of the current input belong to it.
    fn close_entry(&mut self, taken: u64) -> Result<()> {
        let entry = &self.entry;
        if entry.produced != entry.size {
            return Err(fault::pack("an object is smaller than it claims"));
        }
        let object_bytes = match entry.form {
            Form::Whole(_) => entry.size,
            _ => delta_result(&entry.delta_head).ok_or_else(|| fault::pack("a delta has no valid head"))?,
        };
        if object_bytes > self.limits.object_bytes_max {
            return Err(too_large("an object is", self.limits.object_bytes_max));
        }
        let end = self.position.saturating_add(taken);
        self.unpacked = self.unpacked.saturating_add(object_bytes).saturating_add(entry.size);
        if self.unpacked > self.unpacked_free.saturating_add(end.saturating_mul(UNPACKED_RATIO_MAX)) {
            return Err(Problem::too_large("push-too-large", "the pack unpacks to far more than its size allows")
                .hint("push the history in several steps"));
        }
        self.entries.push(Entry {
            offset: entry.offset,
            head_bytes: entry.head_bytes,
            form: entry.form,
            inflated: entry.size,
            crc: self.crc.sum(),
        });
        self.crc.reset();
        self.inflate.reset(true);
        self.state = self.next_entry(end);
        Ok(())
    }

    fn next_entry(&mut self, offset: u64) -> State {
        self.entry = Open::at(offset);
        if self.entries.len() < self.expected as usize {
            State::Size
        } else {
            State::Trailer(Vec::with_capacity(TRAILER_BYTES))
        }
    }

    fn finish(&mut self, told: ObjectId) -> Result<()> {
        let hash = std::mem::replace(&mut self.hash, gix::hash::hasher(gix::hash::Kind::Sha1));
        let found = hash.try_finalize().map_err(fault::pack)?;
        if found != told {
            return Err(
                fault::pack("the checksum of the pack is wrong").hint("push again; bytes were changed on the way")
            );
        }
        self.state = State::Done(found);
        Ok(())
    }
}

/// Moves bytes until `have` has `want`; returns how many.
fn fill(have: &mut Vec<u8>, input: &[u8], want: usize) -> usize {
    let taken = want.saturating_sub(have.len()).min(input.len());
    have.extend_from_slice(input.get(..taken).unwrap_or_default());
    taken
}

/// The number of objects a pack's head tells.
fn objects(head: &[u8], objects_max: u32) -> Result<u32> {
    let count = match head {
        [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, a, b, c, d] => u32::from_be_bytes([*a, *b, *c, *d]),
        _ => return Err(fault::pack("this is not a pack of version 2")),
    };
    if count > objects_max {
        return Err(Problem::too_large(
            "push-too-large",
            format!("the pack has {count} objects, more than {objects_max}"),
        )
        .hint("push the history in several steps"));
    }
    Ok(count)
}

/// The size of the object that a delta makes.
fn delta_result(head: &[u8]) -> Option<u64> {
    let (_base, rest) = number(head)?;
    number(rest).map(|(result, _)| result)
}

fn too_large(what: &str, bytes_max: u64) -> Problem {
    Problem::too_large("push-too-large", format!("{what} larger than {}", base::Bytes(bytes_max)))
        .hint("keep large files out of git, or have the limit raised")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn pack(objects: &[&[u8]]) -> Vec<u8> {
        let mut out = crate::pack::head(objects.len() as u32).to_vec();
        for object in objects {
            out.extend(crate::pack::entry_head(Kind::Blob, object.len() as u64));
            let mut z = flate2::write::ZlibEncoder::new(&mut out, flate2::Compression::fast());
            z.write_all(object).unwrap();
            z.finish().unwrap();
        }
        let mut hash = gix::hash::hasher(gix::hash::Kind::Sha1);
        hash.update(&out);
        out.extend_from_slice(hash.try_finalize().unwrap().as_slice());
        out
    }

    fn check(bytes: &[u8], step: usize, limits: ReceiveLimits) -> Result<Scanned> {
        let mut scan = Scan::new(limits);
        for piece in bytes.chunks(step) {
            scan.feed(piece)?;
        }
        scan.end()
    }

    #[test]
    fn the_size_of_chunks_does_not_matter() {
        let big = vec![7u8; 300_000];
        let bytes = pack(&[b"", b"one", &big, b"two"]);
        for step in [1, 2, 7, 1000, bytes.len()] {
            let seen = check(&bytes, step, ReceiveLimits::default()).unwrap();
            let sizes: Vec<_> = seen.entries.iter().map(|e| e.inflated).collect();
            assert_eq!(sizes, [0, 3, 300_000, 3]);
            assert_eq!(seen.bytes as usize, bytes.len() - 20);
        }
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_noticed() {
        let bytes = pack(&[b"one", b"two"]);
        for cut in 0..bytes.len() {
            assert!(check(&bytes[..cut], 5, ReceiveLimits::default()).is_err(), "cut at {cut}");
            let mut flipped = bytes.clone();
            flipped[cut] ^= 0x10;
            assert!(check(&flipped, 5, ReceiveLimits::default()).is_err(), "flipped at {cut}");
        }
        assert!(check(&[&bytes[..], b"x"].concat(), 64, ReceiveLimits::default()).is_err());
    }

    #[test]
    fn limits() {
        let bytes = pack(&[&[1u8; 1000], &[2u8; 1000]]);
        let limits = ReceiveLimits::default();
        for (limits, allowed) in [
            (ReceiveLimits { objects_max: 2, ..limits }, true),
            (ReceiveLimits { objects_max: 1, ..limits }, false),
            (ReceiveLimits { object_bytes_max: 1000, ..limits }, true),
            (ReceiveLimits { object_bytes_max: 999, ..limits }, false),
            (ReceiveLimits { pack_bytes_max: bytes.len() as u64, ..limits }, true),
            (ReceiveLimits { pack_bytes_max: bytes.len() as u64 - 1, ..limits }, false),
        ] {
            assert_eq!(check(&bytes, 64, limits).is_ok(), allowed, "{limits:?}");
        }
    }
}
