//! Sources as a person uploads them.

use flate2::Compression;
use flate2::write::GzEncoder;

/// A gzip-compressed tar of these files.
pub fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).expect("writing to memory does not fail");
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("writing to memory does not fail")
}

/// An uncompressed tar of files, programs (mode 755), folders (`name/`) and links (`name -> target`).
pub(crate) fn plain_tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        let done = if let Some((path, target)) = name.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, path, target)
        } else if let Some(path) = name.strip_suffix('/') {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(0o755);
            archive.append_data(&mut header, format!("{path}/"), std::io::empty())
        } else {
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            archive.append_data(&mut header, name, content.as_bytes())
        };
        done.expect("writing to memory does not fail");
    }
    archive.into_inner().expect("writing to memory does not fail")
}
