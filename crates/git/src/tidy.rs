//! Keeps the number of packs small: every push leaves one, and many small ones make every look-up
//! slow. The smallest packs are merged into one, whose every object is built and named anew before
//! it counts. No object is ever dropped, so this may run beside pushes and reads.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::Result;
use gix::ObjectId;
use gix::hash::Kind;
use ports::ReceiveLimits;

use crate::internal;
use crate::layout::Repository;
use crate::pack::{self, StoredHead};
use crate::quarantine::Quarantine;
use crate::resolve;
use crate::scan::{Scan, Scanned};
use crate::store::Store;

/// More packs than these are merged …
const PACKS_MAX: usize = 50;
/// … so many at once.
const MERGED_MAX: usize = 40;
/// Merged packs stay for those who had begun to read them, for longer than any read lasts.
const GRACE: Duration = Duration::from_secs(2 * 3600);
/// Stands beside a pack whose objects are all in a later one; it goes at the next start.
const MARK: &str = "merged";

/// What is being tidied, and what may go later.
#[derive(Default)]
pub(crate) struct Tidy {
    busy: Mutex<HashSet<PathBuf>>,
    merged: Mutex<Vec<(Instant, PathBuf)>>,
}

impl Tidy {
    /// Merges packs if there are too many, and removes those that were merged long ago.
    pub(crate) fn run(&self, repository: &Repository) -> Result<()> {
        let lock = |set: &'_ Mutex<HashSet<PathBuf>>, on: bool| {
            let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
            let place = repository.path();
            if on { set.insert(place.to_owned()) } else { set.remove(place) }
        };
        if !lock(&self.busy, true) {
            return Ok(());
        }
        let done = self.merge(repository);
        lock(&self.busy, false);
        done
    }

    fn merge(&self, repository: &Repository) -> Result<()> {
        self.remove_old();
        let mut packs = packs(repository)?;
        if packs.len() <= PACKS_MAX {
            return Ok(());
        }
        packs.sort();
        packs.truncate(MERGED_MAX);
        let sources: Vec<PathBuf> = packs.into_iter().map(|(_, path)| path).collect();
        let merged = merge(repository, &sources)?;
        tracing::info!(repository = %repository.path().display(), packs = sources.len(), "merged small packs");
        let mut list = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        for source in sources.into_iter().filter(|s| s.file_stem().is_none_or(|stem| stem != merged.as_str())) {
            fs::write(source.with_extension(MARK), "").map_err(|e| internal("marking a merged pack", e))?;
            list.push((Instant::now(), source));
        }
        Ok(())
    }

    fn remove_old(&self) {
        let mut list = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|(since, pack)| {
            let old = since.elapsed() > GRACE;
            if old {
                remove_pack(pack);
            }
            !old
        });
    }
}

/// Removes the packs that were merged before this process began: nobody reads them.
pub(crate) fn remove_merged(repository: &Repository) -> Result<()> {
    for file in files(repository)? {
        if file.extension().is_some_and(|e| e == MARK) {
            remove_pack(&file.with_extension("pack"));
        }
    }
    Ok(())
}

/// Whether a file belongs to a pack whose objects are all in a later one.
pub(crate) fn is_merged(file: &Path) -> bool {
    file.with_extension(MARK).exists()
}

/// The index first: a pack without one is not seen. The mark last.
fn remove_pack(pack: &Path) {
    for ending in ["idx", "pack", MARK] {
        match fs::remove_file(pack.with_extension(ending)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(pack = %pack.display(), error = %e, "a merged pack could not be removed");
                return;
            }
            _ => {}
        }
    }
}

/// Size and path of every pack that is not merged.
fn packs(repository: &Repository) -> Result<Vec<(u64, PathBuf)>> {
    let mut out = Vec::new();
    for path in files(repository)? {
        let is_pack = path.extension().is_some_and(|e| e == "pack");
        if is_pack && path.with_extension("idx").is_file() && !is_merged(&path) {
            out.push((fs::metadata(&path).map_err(|e| internal("looking at packs", e))?.len(), path));
        }
    }
    Ok(out)
}

fn files(repository: &Repository) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(repository.objects().join("pack")).map_err(|e| internal("looking at packs", e))?;
    Ok(entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect())
}

/// Writes one pack with the objects of all; returns its name.
fn merge(repository: &Repository, sources: &[PathBuf]) -> Result<String> {
    let mut quarantine = Quarantine::create(repository)?;
    let mut file = quarantine.file()?;
    let sources: Vec<Source> = sources.iter().map(|path| Source::open(path)).collect::<Result<_>>()?;
    let chosen = choose(&sources);
    let scanned = write(&file, &sources, &chosen)?;
    let store = Store::open(repository.objects())?;
    let limits = ReceiveLimits::default();
    let resolved = resolve::resolve(&mut file, scanned, &store, &limits, &mut |_, _, _| Ok(()))?;
    if resolved.rows.len() != chosen.len() || !resolved.rows.iter().all(|row| chosen.contains_key(&row.id)) {
        return Err(internal("merging packs", "the merged pack has other objects"));
    }
    quarantine.index(&file, &resolved)?;
    quarantine.migrate()?;
    Ok(format!("pack-{}", resolved.checksum))
}

/// Which copy of each object is taken: a whole one, so that chains of deltas do not grow from
/// merge to merge, else the first. No circle can come of that: a delta's base is whole, or in the
/// same pack, or in an earlier one; and no pack has an object twice.
fn choose(sources: &[Source]) -> Chosen {
    let mut chosen: HashMap<ObjectId, (usize, usize, bool)> = HashMap::new();
    for (s, source) in sources.iter().enumerate() {
        for (number, entry) in source.entries.iter().enumerate() {
            let copy = (s, number, entry.whole);
            let slot = chosen.entry(entry.id).or_insert(copy);
            if entry.whole && !slot.2 {
                *slot = copy;
            }
        }
    }
    chosen
}

/// Id → number of the source, number of its entry, whether that is whole.
type Chosen = HashMap<ObjectId, (usize, usize, bool)>;

fn write(file: &File, sources: &[Source], chosen: &Chosen) -> Result<Scanned> {
    let count = u32::try_from(chosen.len()).map_err(|e| internal("merging packs", e))?;
    let mut out = Merged { scan: Scan::unbounded(), file: BufWriter::new(file), placed: HashMap::new(), at: 0 };
    out.write(&pack::head(count))?;
    for (s, source) in sources.iter().enumerate() {
        for (number, entry) in source.entries.iter().enumerate() {
            if chosen.get(&entry.id).is_some_and(|copy| (copy.0, copy.1) == (s, number)) {
                out.entry(source, number)?;
            }
        }
    }
    let checksum = out.scan.checksum()?;
    out.write(checksum.as_slice())?;
    out.file.flush().map_err(|e| internal("merging packs", e))?;
    out.scan.end()
}

/// One of the packs, with its entries in the order of their offsets.
struct Source {
    file: File,
    entries: Vec<Placed>,
    end: u64,
}

struct Placed {
    offset: u64,
    id: ObjectId,
    whole: bool,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let fail = |e: &dyn std::fmt::Display| internal("merging packs", e);
        let index = gix::odb::pack::index::File::at(path.with_extension("idx"), Kind::Sha1).map_err(|e| fail(&e))?;
        let file = File::open(path).map_err(|e| fail(&e))?;
        let bytes = file.metadata().map_err(|e| fail(&e))?.len();
        let mut entries = Vec::new();
        for entry in index.iter() {
            let mut first = [0];
            file.read_exact_at(&mut first, entry.pack_offset).map_err(|e| fail(&e))?;
            let whole = matches!(first[0] >> 4 & 7, 1..=4);
            entries.push(Placed { offset: entry.pack_offset, id: entry.oid, whole });
        }
        entries.sort_unstable_by_key(|e| e.offset);
        Ok(Self { file, entries, end: bytes.saturating_sub(pack::TRAILER_BYTES as u64) })
    }

    fn id_at(&self, offset: u64) -> Option<ObjectId> {
        let number = self.entries.binary_search_by_key(&offset, |e| e.offset).ok()?;
        self.entries.get(number).map(|e| e.id)
    }
}

/// The pack that is being written.
struct Merged<'f> {
    scan: Scan,
    file: BufWriter<&'f File>,
    placed: HashMap<ObjectId, u64>,
    at: u64,
}

impl Merged<'_> {
    fn entry(&mut self, source: &Source, number: usize) -> Result<()> {
        let fail = || internal("merging packs", "a pack is not what its index tells");
        let &Placed { offset, id, .. } = source.entries.get(number).ok_or_else(fail)?;
        let end = source.entries.get(number.saturating_add(1)).map_or(source.end, |next| next.offset);
        let mut head = vec![0; usize::try_from(end.saturating_sub(offset)).map_or(48, |room| room.min(48))];
        source.file.read_exact_at(&mut head, offset).map_err(|e| internal("merging packs", e))?;
        let StoredHead { bits, size, base, bytes } = pack::stored_head(&head).ok_or_else(fail)?;
        let base = match base {
            pack::StoredBase::None => None,
            pack::StoredBase::Id(id) => Some(id),
            pack::StoredBase::Before(distance) => {
                Some(offset.checked_sub(distance).and_then(|at| source.id_at(at)).ok_or_else(fail)?)
            }
        };
        let start = self.at;
        let new = match base {
            None => pack::entry_head_of(bits, size),
            Some(base) => match self.placed.get(&base) {
                Some(at) => pack::offset_head(size, start.saturating_sub(*at)),
                None => pack::id_head(size, &base),
            },
        };
        self.placed.insert(id, start);
        self.write(&new)?;
        self.copy(source, offset.saturating_add(bytes as u64), end)
    }

    fn copy(&mut self, source: &Source, mut from: u64, end: u64) -> Result<()> {
        let mut chunk = vec![0; 64 << 10];
        while from < end {
            let room = usize::try_from(end.saturating_sub(from)).map_or(chunk.len(), |n| n.min(chunk.len()));
            let piece = chunk.get_mut(..room).unwrap_or_default();
            source.file.read_exact_at(piece, from).map_err(|e| internal("merging packs", e))?;
            self.write(piece)?;
            from = from.saturating_add(room as u64);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.scan.feed(bytes)?;
        self.file.write_all(bytes).map_err(|e| internal("merging packs", e))?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }
}
