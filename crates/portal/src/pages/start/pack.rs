//! The files of a template as what the API takes: a gzip-compressed tar.

use api::catalog::TemplateFile;
use base::{Problem, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Packs files. The same files give the same bytes: no times, no owners.
pub(super) fn archive(files: &[TemplateFile]) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Problem::internal("archive-not-made", e);
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_size(u64::try_from(file.content.len()).unwrap_or(u64::MAX));
        header.set_mtime(0);
        tar.append_data(&mut header, &file.path, file.content.as_bytes()).map_err(failed)?;
    }
    tar.into_inner().and_then(GzEncoder::finish).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let file = |path: &str, content: &str, executable| TemplateFile {
            path: path.into(),
            content: content.into(),
            executable,
        };
        let files = [file("orlop.yaml", "service: hello\n", false), file("bin/run", "#!/bin/sh\n", true)];
        let bytes = archive(&files).unwrap();
        assert_eq!(bytes, archive(&files).unwrap(), "not the same twice");
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut found = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((path, mode, text));
        }
        assert_eq!(
            found,
            [
                ("orlop.yaml".to_owned(), 0o644, "service: hello\n".to_owned()),
                ("bin/run".to_owned(), 0o755, "#!/bin/sh\n".to_owned())
            ]
        );
    }
}
