//! Builds every object of a pack that was scanned: applies deltas, completes thin packs with bases
//! the repository has, and hands each object to a check before anything is kept. Memory is bounded
//! whatever the shape of the delta chains is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use base::{Problem, Result};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use gix::ObjectId;
use ports::ReceiveLimits;

use crate::idx::Row;
use crate::pack::{self, Entry, Form, Kind};
use crate::scan::Scanned;
use crate::store::Store;
use crate::{delta, fault, internal};

/// Most memory that bases of one delta tree may take, bytes, unless a single object needs more.
const BASES_BYTES_MAX: u64 = 512 << 20;

/// A pack with all that its index needs.
pub(crate) struct Resolved {
    /// Sorted by id; no id comes twice.
    pub rows: Vec<Row>,
    /// Kinds of the objects, in the order of `rows`.
    pub kinds: Vec<Kind>,
    pub checksum: ObjectId,
}

impl Resolved {
    /// What the object is, if the pack has it.
    pub(crate) fn kind(&self, id: &ObjectId) -> Option<Kind> {
        let at = self.rows.binary_search_by(|row| row.id.cmp(id)).ok()?;
        self.kinds.get(at).copied()
    }
}

/// Looks at every object once, bases before what is built from them.
pub(crate) type Inspect<'a> = dyn FnMut(&ObjectId, Kind, &[u8]) -> Result<()> + 'a;

pub(crate) fn resolve(
    file: &mut File,
    scanned: Scanned,
    store: &Store,
    limits: &ReceiveLimits,
    inspect: &mut Inspect<'_>,
) -> Result<Resolved> {
    let mut work = Work::new(file, scanned, limits);
    for number in 0..work.scanned.entries.len() {
        if let Some(Entry { form: Form::Whole(kind), .. }) = work.scanned.entries.get(number).copied() {
            let data = work.inflate(number)?;
            work.tree(number, kind, data, inspect)?;
        }
    }
    work.complete(store, inspect)?;
    work.finish()
}

struct Work<'f> {
    file: &'f mut File,
    scanned: Scanned,
    /// Entries that are deltas on an entry: (base, delta), sorted.
    on_entry: Vec<(u32, u32)>,
    /// Entries that are deltas on an id which is not yet built.
    on_id: HashMap<ObjectId, Vec<u32>>,
    built: Vec<Option<(ObjectId, Kind)>>,
    bases_bytes_max: u64,
    appended_bytes_max: u64,
    inflater: Decompress,
    chunk: Vec<u8>,
}

/// A base whose deltas are being built.
struct Frame {
    data: Vec<u8>,
    deltas: std::vec::IntoIter<u32>,
}

impl<'f> Work<'f> {
    fn new(file: &'f mut File, scanned: Scanned, limits: &ReceiveLimits) -> Self {
        let mut on_entry = Vec::new();
        let mut on_id: HashMap<ObjectId, Vec<u32>> = HashMap::new();
        for (number, entry) in (0u32..).zip(&scanned.entries) {
            match entry.form {
                Form::Whole(_) => {}
                Form::OnEntry(base) => on_entry.push((base, number)),
                Form::OnId(base) => on_id.entry(base).or_default().push(number),
            }
        }
        on_entry.sort_unstable();
        let built = vec![None; scanned.entries.len()];
        Self {
            file,
            scanned,
            on_entry,
            on_id,
            built,
            bases_bytes_max: BASES_BYTES_MAX.max(limits.object_bytes_max.saturating_mul(2)),
            appended_bytes_max: limits.pack_bytes_max,
            inflater: Decompress::new(true),
            chunk: vec![0; 64 << 10],
        }
    }

    /// Builds an object that is whole and everything that is a delta on it, depth first.
    fn tree(&mut self, number: usize, kind: Kind, data: Vec<u8>, inspect: &mut Inspect<'_>) -> Result<()> {
        let mut held = data.len() as u64;
        let deltas = self.keep(number, kind, &data, inspect)?;
        let mut stack = vec![Frame { data, deltas }];
        while let Some(frame) = stack.last_mut() {
            let Some(next) = frame.deltas.next() else {
                held = held.saturating_sub(frame.data.len() as u64);
                stack.pop();
                continue;
            };
            let change = self.inflate(next as usize)?;
            let data =
                delta::apply(&frame.data, &change).ok_or_else(|| fault::pack("a delta does not fit its base"))?;
            if frame.deltas.len() == 0 {
                held = held.saturating_sub(frame.data.len() as u64);
                stack.pop();
            }
            let deltas = self.keep(next as usize, kind, &data, inspect)?;
            if deltas.len() == 0 {
                continue;
            }
            held = held.saturating_add(data.len() as u64);
            if held > self.bases_bytes_max {
                return Err(Problem::too_large(
                    "push-too-large",
                    "large objects depend on each other in chains too long",
                )
                .hint("`git config pack.depth 5` and push again, or push the history in several steps"));
            }
            stack.push(Frame { data, deltas });
        }
        Ok(())
    }

    /// Names and checks one object; returns the entries that are deltas on it.
    fn keep(
        &mut self,
        number: usize,
        kind: Kind,
        data: &[u8],
        inspect: &mut Inspect<'_>,
    ) -> Result<std::vec::IntoIter<u32>> {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind.into(), data).map_err(fault::pack)?;
        inspect(&id, kind, data)?;
        if let Some(slot) = self.built.get_mut(number) {
            *slot = Some((id, kind));
        }
        let first = self.on_entry.partition_point(|(base, _)| (*base as usize) < number);
        let own = self.on_entry.get(first..).unwrap_or_default();
        let own = own.iter().take_while(|(base, _)| *base as usize == number).map(|(_, delta)| *delta);
        let mut deltas: Vec<u32> = own.collect();
        deltas.extend(self.on_id.remove(&id).unwrap_or_default());
        Ok(deltas.into_iter())
    }

    /// Completes a thin pack: a base that is not in the pack is taken from the repository and put
    /// at the pack's end, as `git index-pack --fix-thin` does.
    fn complete(&mut self, store: &Store, inspect: &mut Inspect<'_>) -> Result<()> {
        let mut appended = 0u64;
        for number in 0..self.scanned.entries.len() {
            let Some(Entry { form: Form::OnId(base), .. }) = self.scanned.entries.get(number).copied() else {
                continue;
            };
            if !self.on_id.contains_key(&base) {
                continue;
            }
            let Some((kind, data)) = store.read(&base)? else { continue };
            let added = self.append(kind, &data)?;
            appended = appended.saturating_add(self.scanned.bytes.saturating_sub(added));
            if appended > self.appended_bytes_max {
                return Err(Problem::too_large("push-too-large", "the pack depends on too much that is here already")
                    .hint("push with `git -c pack.depth=0 push`, or in several steps"));
            }
            self.tree(self.scanned.entries.len() - 1, kind, data, inspect)?;
        }
        match self.on_id.keys().min() {
            Some(base) => {
                Err(fault::pack(format!("the pack has deltas on object {base}, which is neither in it nor here"))
                    .hint("`git fetch`, then push again"))
            }
            None => Ok(()),
        }
    }

    /// Adds one whole object at the end of the pack; returns where.
    fn append(&mut self, kind: Kind, data: &[u8]) -> Result<u64> {
        let offset = self.scanned.bytes;
        let head = pack::entry_head(kind, data.len() as u64);
        let mut z = flate2::write::ZlibEncoder::new(head.clone(), flate2::Compression::fast());
        let stored = z.write_all(data).and_then(|()| z.finish()).map_err(|e| internal("compressing a base", e))?;
        self.file.write_all_at(&stored, offset).map_err(|e| internal("completing a pack", e))?;
        let mut crc = Crc::new();
        crc.update(&stored);
        self.scanned.entries.push(Entry {
            offset,
            head_bytes: head.len() as u8,
            form: Form::Whole(kind),
            inflated: data.len() as u64,
            crc: crc.sum(),
        });
        self.built.push(None);
        self.scanned.bytes = offset.saturating_add(stored.len() as u64);
        Ok(offset)
    }

    /// The inflated data of an entry; its size is known from the scan.
    fn inflate(&mut self, number: usize) -> Result<Vec<u8>> {
        let entry = self.scanned.entries.get(number).copied().ok_or_else(|| internal("indexing", "no such entry"))?;
        let end = self.scanned.entries.get(number + 1).map_or(self.scanned.bytes, |next| next.offset);
        let mut at = entry.offset.saturating_add(u64::from(entry.head_bytes));
        let wanted = usize::try_from(entry.inflated).map_err(|e| internal("indexing", e))?;
        let mut out = Vec::with_capacity(wanted.saturating_add(64));
        self.inflater.reset(true);
        loop {
            let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(self.chunk.len());
            let piece = self.chunk.get_mut(..room).unwrap_or_default();
            self.file.read_exact_at(piece, at).map_err(|e| internal("reading a pack", e))?;
            let (before, made) = (self.inflater.total_in(), out.len());
            let status = self.inflater.decompress_vec(piece, &mut out, FlushDecompress::None);
            let status = status.map_err(|e| internal("reading a pack again", e))?;
            let taken = self.inflater.total_in().saturating_sub(before);
            at = at.saturating_add(taken);
            if status == Status::StreamEnd {
                break;
            }
            if taken == 0 && out.len() == made {
                return Err(internal("reading a pack again", "it is not what it was"));
            }
        }
        if out.len() != wanted {
            return Err(internal("reading a pack again", "it is not what it was"));
        }
        Ok(out)
    }

    /// Sorts the rows; seals the file anew if bases were added.
    fn finish(self) -> Result<Resolved> {
        let mut sorted: Vec<(Row, Kind)> = Vec::with_capacity(self.built.len());
        for (entry, built) in self.scanned.entries.iter().zip(&self.built) {
            let (id, kind) = built.ok_or_else(|| fault::pack("an object of the pack cannot be built"))?;
            sorted.push((Row { id, offset: entry.offset, crc: entry.crc }, kind));
        }
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a.id == b.id)) {
            return Err(fault::pack("the pack has an object twice"));
        }
        let count = u32::try_from(sorted.len()).map_err(|e| internal("indexing", e))?;
        let checksum = seal(self.file, self.scanned.bytes, count, self.scanned.checksum)?;
        let (rows, kinds) = sorted.into_iter().unzip();
        Ok(Resolved { rows, kinds, checksum })
    }
}

/// Writes head and trailer anew if the number of objects has changed; returns the checksum.
fn seal(file: &mut File, bytes: u64, count: u32, checksum: ObjectId) -> Result<ObjectId> {
    let run = |file: &mut File| -> std::io::Result<ObjectId> {
        let mut head = [0; pack::HEAD_BYTES];
        file.read_exact_at(&mut head, 0)?;
        if head.get(8..) == Some(&count.to_be_bytes()[..]) {
            return Ok(checksum);
        }
        file.write_all_at(&pack::head(count), 0)?;
        file.seek(SeekFrom::Start(0))?;
        let mut hash = gix::hash::hasher(gix::hash::Kind::Sha1);
        let mut chunk = vec![0; 64 << 10];
        let mut content = std::io::Read::by_ref(file).take(bytes);
        loop {
            let read = content.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            hash.update(chunk.get(..read).unwrap_or_default());
        }
        let checksum = hash.try_finalize().map_err(std::io::Error::other)?;
        file.write_all_at(checksum.as_slice(), bytes)?;
        file.set_len(bytes.saturating_add(pack::TRAILER_BYTES as u64))?;
        Ok(checksum)
    };
    run(file).map_err(|e| internal("completing a pack", e))
}
