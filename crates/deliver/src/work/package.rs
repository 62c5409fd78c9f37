//! An artifact: an OCI image (image-spec 1.1) of one layer, whose digest is that of its manifest.

use std::path::PathBuf;

use base::limits::{ARTIFACT_UNPACKED_BYTES_MAX, SOURCE_FILES_MAX};
use base::{BuildId, Digest, Problem, Result};
use kernel::Ctx;
use ports::ByteStream;
use serde_json::json;

use super::Shared;
use super::layer::{Layer, write_layer};
use super::stream::{Blocking, blocking, bytes_stream, file_stream, problem_of};
use crate::model::{Artifact, blob_key};
use crate::recipe::Output;
use crate::state;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An artifact that was stored.
pub(super) struct Packaged {
    pub artifact: Artifact,
    /// Compressed bytes.
    pub size: u64,
    pub files: usize,
}

/// Makes and stores an artifact from an uncompressed tar. Doing it again stores the same.
pub(super) async fn package(
    ctx: &Ctx,
    shared: &Shared,
    build: BuildId,
    output: &Output,
    content: ByteStream,
) -> Result<Packaged> {
    let work = Scratch::new(ctx, build)?;
    let (archive, to, output) = (work.path("tar"), work.path("layer"), output.clone());
    let read = Blocking::new(content, ARTIFACT_UNPACKED_BYTES_MAX.saturating_add(SOURCE_FILES_MAX * 1536));
    let target = to.clone();
    let layer = blocking(move || {
        let mut read = read;
        let mut spool = std::fs::File::create(&archive).map_err(|e| problem_of(e, "make a temporary file"))?;
        std::io::copy(&mut read, &mut spool).map_err(|e| problem_of(e, "write a temporary file"))?;
        drop(spool);
        write_layer(&archive, &output, &target)
    })
    .await?;
    let (config, manifest) = documents(&layer)?;
    let artifact = Artifact { manifest: Digest::of(&manifest), config: Digest::of(&config), layer: layer.digest };
    let _young = shared.blobs.read().await;
    let mut tx = ctx.begin().await?;
    let now = ctx.now();
    state::touch_blobs(&mut tx, &[artifact.layer.hex(), artifact.config.hex(), artifact.manifest.hex()], now).await?;
    state::put_artifact(&mut tx, &artifact).await?;
    tx.commit().await?;
    let objects = &ctx.platform().ports().objects;
    let key = blob_key(&artifact.layer.hex());
    if objects.size(&key).await? != Some(layer.size) {
        objects.put(&key, file_stream(to).await?).await?;
    }
    objects.put(&blob_key(&artifact.config.hex()), bytes_stream(config)).await?;
    objects.put(&blob_key(&artifact.manifest.hex()), bytes_stream(manifest)).await?;
    Ok(Packaged { artifact, size: layer.size, files: layer.files })
}

/// The config (config.md) and the manifest (manifest.md). Neither holds a time.
fn documents(layer: &Layer) -> Result<(Vec<u8>, Vec<u8>)> {
    let bytes =
        |value: &serde_json::Value| serde_json::to_vec(value).map_err(|e| Problem::internal("value-not-json", e));
    let config = bytes(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "WorkingDir": crate::recipe::APP },
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
    }))?;
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "digest": Digest::of(&config), "size": config.len() },
        "layers": [{ "mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.size }],
    }))?;
    Ok((config, manifest))
}

/// As Go names it, which image-spec prescribes.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Temporary files of a build. They go with it; those of a build that was broken off are written
/// over when it is taken up again.
struct Scratch {
    folder: PathBuf,
    build: BuildId,
}

impl Scratch {
    fn new(ctx: &Ctx, build: BuildId) -> Result<Self> {
        let folder = ctx.platform().config().data.join("tmp").join("deliver");
        std::fs::create_dir_all(&folder).map_err(|e| problem_of(e, "make the folder of temporary files"))?;
        Ok(Self { folder, build })
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.build))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for kind in ["tar", "layer"] {
            // It may never have been made.
            let _ = std::fs::remove_file(self.path(kind));
        }
    }
}
