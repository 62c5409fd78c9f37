//! Artifacts: an OCI image manifest whose layers are unpacked over each other, once per digest.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use base::limits::ARTIFACT_UNPACKED_BYTES_MAX;
use base::{Digest, Problem, Result};
use futures_util::StreamExt;
use ports::{ByteStream, Objects};
use serde::Deserialize;

use super::remove_tree;
use super::source::{Blocking, blocking, io_problem};
use super::unpack::{Rules, Spent, unpack};
use crate::sys;

/// Largest manifest that is read (distribution-spec names the same bound).
const MANIFEST_BYTES_MAX: usize = 4 << 20;
const LAYERS_MAX: usize = 128;
const FILES_MAX: u64 = 500_000;

/// OCI image-spec, manifest.md; what is not needed here is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
}

fn key(digest: &Digest) -> String {
    format!("oci/blobs/sha256/{}", digest.hex())
}

/// Unpacks the artifact into `images/<hex>` unless it is there. Callers see to it that one digest
/// is fetched once at a time; the last step is a rename, so a half-done image is never seen, nor after a loss of power.
pub(crate) async fn fetch(objects: &dyn Objects, images: &Path, digest: &Digest) -> Result<PathBuf> {
    let ready = images.join(digest.hex());
    if tokio::fs::try_exists(&ready).await.unwrap_or(false) {
        return Ok(ready);
    }
    let manifest = manifest(objects, digest).await?;
    let work = images.join(format!("{}.part", digest.hex()));
    let (part, folder) = (work.clone(), images.to_owned());
    let (part, root, folder) = blocking(move || {
        // Opened before anything is written: it is told of every write that fails from here on.
        let folder = std::fs::File::open(folder).map_err(|e| io_problem("open the folder of artifacts", &e))?;
        remove_tree(&part).map_err(|e| io_problem("remove a half-unpacked artifact", &e))?;
        let root = part.join("root");
        std::fs::create_dir_all(&root).map_err(|e| io_problem("make a folder for the artifact", &e))?;
        std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(|e| io_problem("open the folder of the artifact", &e))?;
        Ok((part, root, folder))
    })
    .await?;
    let mut spent = Spent::default();
    for layer in manifest.layers {
        let stream = objects.get(&key(&layer.digest)).await?;
        let root = root.clone();
        spent = blocking(move || {
            let mut spent = spent;
            one_layer(&root, &layer, stream, &mut spent).map_err(|p| p.at(layer.digest.to_string()))?;
            Ok(spent)
        })
        .await?;
    }
    let to = ready.clone();
    blocking(move || {
        place(&folder, &root, &to).map_err(|e| io_problem("put the unpacked artifact into place", &e))?;
        remove_tree(&part).map_err(|e| io_problem("clear up after unpacking", &e))
    })
    .await?;
    Ok(ready)
}

/// Gives an unpacked artifact its name once all of it is on the disk: what has that name is never looked at again, so
/// a loss of power must not leave a part of it there. One call for the whole file system: an artifact may have
/// thousands of files, and a journal is written for each that is synced by itself.
fn place(images: &std::fs::File, root: &Path, to: &Path) -> std::io::Result<()> {
    sys::sync_file_system(images.as_fd())?;
    std::fs::rename(root, to)
}

async fn manifest(objects: &dyn Objects, digest: &Digest) -> Result<Manifest> {
    let mut stream = objects.get(&key(digest)).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(Problem::too_large(
                "manifest-too-large",
                format!("the manifest has more than {MANIFEST_BYTES_MAX} bytes"),
            ));
        }
    }
    if Digest::of(&bytes) != *digest {
        return Err(corrupt(digest));
    }
    read(&bytes, digest)
}

/// Reads a manifest whose digest is right: that says who it is, not that it makes sense.
pub(super) fn read(bytes: &[u8], digest: &Digest) -> Result<Manifest> {
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|e| Problem::unprocessable("bad-manifest", format!("{digest} is not an OCI image manifest: {e}")))?;
    if manifest.schema_version != 2 || manifest.layers.len() > LAYERS_MAX {
        return Err(Problem::unprocessable(
            "bad-manifest",
            format!("{digest} is not an OCI image manifest of version 2 with at most {LAYERS_MAX} layers"),
        ));
    }
    Ok(manifest)
}

fn corrupt(digest: &Digest) -> Problem {
    Problem::internal("object-corrupt", format!("the stored object {digest} does not have its digest"))
        .hint("build the release again, and check the disk that holds the objects")
}

fn one_layer(root: &Path, layer: &Descriptor, stream: ByteStream, spent: &mut Spent) -> Result<()> {
    let root = OwnedFd::from(std::fs::File::open(root).map_err(|e| io_problem("open the folder of the artifact", &e))?);
    let rules = Rules { bytes_max: ARTIFACT_UNPACKED_BYTES_MAX, entries_max: FILES_MAX, owner: None, whiteouts: true };
    let mut raw = Blocking::new(stream);
    match layer.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" => unpack(&root, &mut raw, &rules, spent)?,
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            unpack(&root, flate2::read::MultiGzDecoder::new(&mut raw), &rules, spent)?;
        }
        other => {
            return Err(Problem::unprocessable("layer-type", format!("layers of type {other} cannot be unpacked"))
                .hint("use layers of type application/vnd.oci.image.layer.v1.tar+gzip"));
        }
    }
    let (digest, size) = raw.finish().map_err(|e| io_problem("read the rest of a layer", &e))?;
    if digest == layer.digest && size == layer.size { Ok(()) } else { Err(corrupt(&layer.digest)) }
}
