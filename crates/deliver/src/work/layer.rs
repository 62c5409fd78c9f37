//! The one layer of an artifact: same files, same bytes, whatever order they came in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use base::limits::ARTIFACT_UNPACKED_BYTES_MAX;
use base::{Digest, Problem, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::stream::problem_of;
use super::walk::{Item, ItemKind, stays_inside, walk};
use crate::recipe::Output;

/// OCI image-spec, layer.md: names that begin so delete files of the layers below.
const WHITEOUT: &str = ".wh.";
/// "unknown" (RFC 1952 2.3.1), so that the bytes are the same on every machine.
const GZIP_OS_UNKNOWN: u8 = 255;

/// A layer that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layer {
    /// Of the compressed bytes.
    pub digest: Digest,
    pub size: u64,
    /// Of the uncompressed bytes (OCI image-spec, config.md, `diff_ids`).
    pub diff_id: Digest,
    pub files: usize,
}

/// What is at a place of the artifact.
enum Piece {
    Folder,
    Link(String),
    File { offset: u64, size: u64, executable: bool },
}

/// Writes the layer from an uncompressed tar.
pub(super) fn write_layer(archive: &Path, output: &Output, to: &Path) -> Result<Layer> {
    let mut source = File::open(archive).map_err(|e| problem_of(e, "open a temporary file"))?;
    let mut items = Vec::new();
    walk(BufReader::new(&source), ARTIFACT_UNPACKED_BYTES_MAX, |item, _| {
        items.push(item);
        Ok(())
    })?;
    let pieces = place(items, output)?;
    let files = pieces.values().filter(|piece| !matches!(piece, Piece::Folder)).count();
    if files == 0 {
        return Err(nothing_made(output));
    }
    let file = File::create(to).map_err(|e| problem_of(e, "make a temporary file"))?;
    let outer = Hashing::new(BufWriter::new(file));
    let gzip = GzBuilder::new().mtime(0).operating_system(GZIP_OS_UNKNOWN).write(outer, Compression::default());
    let mut builder = tar::Builder::new(Hashing::new(gzip));
    for (path, piece) in &pieces {
        append(&mut builder, &mut source, path, piece).map_err(|e| problem_of(e, "write the artifact"))?;
    }
    let said = |e| problem_of(e, "write the artifact");
    let (gzip, diff_id, _) = builder.into_inner().map_err(said)?.finish();
    let (mut file, digest, size) = gzip.finish().map_err(said)?.finish();
    file.flush().map_err(said)?;
    Ok(Layer { digest, size, diff_id, files })
}

fn append(builder: &mut tar::Builder<impl Write>, source: &mut File, path: &str, piece: &Piece) -> io::Result<()> {
    match piece {
        Piece::Folder => {
            builder.append_data(&mut header(EntryType::Directory, 0o755, 0), format!("{path}/"), io::empty())
        }
        Piece::Link(target) => builder.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target),
        Piece::File { offset, size, executable } => {
            source.seek(SeekFrom::Start(*offset))?;
            let mode = if *executable { 0o755 } else { 0o644 };
            builder.append_data(&mut header(EntryType::Regular, mode, *size), path, BufReader::new(source.take(*size)))
        }
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Puts what the recipe names to its place.
fn place(items: Vec<Item>, output: &Output) -> Result<BTreeMap<String, Piece>> {
    let mut known: BTreeMap<String, (u64, u64, bool)> = BTreeMap::new();
    let mut pieces = BTreeMap::new();
    for expected in output.expected() {
        let there = |item: &Item| {
            item.path == expected || item.path.strip_prefix(expected).is_some_and(|rest| rest.starts_with('/'))
        };
        if !expected.is_empty() && !items.iter().any(there) {
            return Err(Problem::unprocessable("nothing-made", format!("the build has not made `{expected}`"))
                .hint("look into the build's log: the step that makes it may have written elsewhere"));
        }
    }
    for item in items {
        if let ItemKind::File { size, executable } = item.kind {
            known.insert(item.path.clone(), (item.offset, size, executable));
        }
        let Some(to) = output.place(&item.path).filter(|to| !to.is_empty()) else { continue };
        let piece = match item.kind {
            ItemKind::File { size, executable } => Piece::File { offset: item.offset, size, executable },
            ItemKind::Folder => Piece::Folder,
            ItemKind::Link(target) if stays_inside(&to, &target) => Piece::Link(target),
            ItemKind::Link(target) => return Err(leaves(&item.path, &target)),
            ItemKind::Same(target) => {
                let (offset, size, executable) = *known.get(&target).ok_or_else(|| leaves(&item.path, &target))?;
                known.insert(item.path.clone(), (offset, size, executable));
                Piece::File { offset, size, executable }
            }
        };
        if to.split('/').any(|part| part.starts_with(WHITEOUT)) {
            return Err(Problem::unprocessable(
                "reserved-name",
                format!("`{}` begins with `{WHITEOUT}`, which artifacts reserve", item.path),
            )
            .hint("give the file another name"));
        }
        for (at, _) in to.match_indices('/') {
            pieces.entry(to.get(..at).unwrap_or_default().to_owned()).or_insert(Piece::Folder);
        }
        pieces.insert(to, piece);
    }
    Ok(pieces)
}

fn leaves(path: &str, target: &str) -> Problem {
    Problem::unprocessable(
        "link-leaves",
        format!("`{path}` is a link to `{target}`, which is not part of the artifact"),
    )
    .hint("copy the file instead of linking to it")
}

fn nothing_made(output: &Output) -> Problem {
    let expected: Vec<&str> = output.expected().into_iter().filter(|path| !path.is_empty()).collect();
    let wanted = if expected.is_empty() { "any file".to_owned() } else { expected.join(", ") };
    Problem::unprocessable("nothing-made", format!("the build has not made {wanted}"))
        .hint("look into the build's log: the step that makes it may have written elsewhere")
}

/// Counts and hashes what goes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::from_sha256(self.hash.finalize().into()), self.bytes)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar of files, folders (`a/`), links (`a -> b`) and programs (`*a`), in this order.
    fn archive(dir: &Path, name: &str, entries: &[&str], mtime: u64) -> std::path::PathBuf {
        let path = dir.join(name);
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        for entry in entries {
            let mut h = header(EntryType::Regular, 0o640, 0);
            h.set_mtime(mtime);
            h.set_uid(mtime);
            if let Some((from, target)) = entry.split_once(" -> ") {
                h.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut h, from, target).unwrap();
            } else if let Some(folder) = entry.strip_suffix('/') {
                h.set_entry_type(EntryType::Directory);
                builder.append_data(&mut h, folder, io::empty()).unwrap();
            } else {
                let file = entry.trim_start_matches('*');
                h.set_mode(if entry.starts_with('*') { 0o700 } else { 0o600 });
                h.set_size(file.len() as u64);
                builder.append_data(&mut h, file, file.as_bytes()).unwrap();
            }
        }
        builder.into_inner().unwrap();
        path
    }

    fn whole() -> Output {
        Output::Folder { from: String::new(), leave_out: vec![".git".to_owned()] }
    }

    fn listed(path: &Path) -> Vec<String> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(path).unwrap()));
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
            format!("{:o} {}", header.mode().unwrap(), entry.path().unwrap().display())
        });
        entries.collect()
    }

    #[test]
    fn the_same_files_make_the_same_bytes_in_any_order_at_any_time() {
        let dir = tempfile::tempdir().unwrap();
        let a = archive(dir.path(), "a", &["b/x", "*a", "b/", "c -> b/x", ".git/config"], 1);
        let b = archive(dir.path(), "b", &["c -> b/x", "b/", ".git/other", "*a", "b/x"], 999);
        let (to_a, to_b) = (dir.path().join("la"), dir.path().join("lb"));
        let one = write_layer(&a, &whole(), &to_a).unwrap();
        let two = write_layer(&b, &whole(), &to_b).unwrap();
        assert_eq!(one, two);
        assert_eq!(std::fs::read(&to_a).unwrap(), std::fs::read(&to_b).unwrap());
        assert_eq!(Digest::of(&std::fs::read(&to_a).unwrap()), one.digest);
        assert_eq!(listed(&to_a), ["755 a", "755 b/", "644 b/x", "777 c"]);
        let other = archive(dir.path(), "o", &["b/x", "a", "c -> b/x"], 1);
        assert_ne!(write_layer(&other, &whole(), &to_b).unwrap().digest, one.digest, "a mode is content");
    }

    #[test]
    fn what_cannot_be_part_of_an_artifact_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let check = |entries: &[&str], output: &Output, code: &str| {
            let path = archive(dir.path(), "x", entries, 0);
            assert_eq!(write_layer(&path, output, &dir.path().join("y")).unwrap_err().code, code, "{entries:?}");
        };
        let dist = Output::Folder { from: "dist".to_owned(), leave_out: Vec::new() };
        check(&["src/x"], &dist, "nothing-made");
        check(&["dist/"], &dist, "nothing-made");
        check(&[".git/x"], &whole(), "nothing-made");
        check(&["dist/x -> ../src/x", "src/x"], &dist, "link-leaves");
        check(&["a/.wh.x"], &whole(), "reserved-name");
        check(&["x -> /etc/passwd"], &whole(), "archive-refused");
    }
}
