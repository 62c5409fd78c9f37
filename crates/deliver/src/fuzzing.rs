//! What fuzzing feeds: each function takes bytes of a stranger and checks what must hold for all of
//! them. For tests only (feature `fuzzing`); called by the crate `fuzz`.

use std::io::Read;

/// An uploaded source: every path and link of it stays inside, and the bounds hold.
///
/// # Panics
/// Where that does not hold.
pub fn source_archive(data: &[u8]) {
    const MOST: u64 = 1 << 20;
    let mut sum = 0u64;
    let walked = crate::work::fuzz_walk(data, MOST, |path, link, size, content| {
        assert!(!path.is_empty() && !path.starts_with('/') && !path.ends_with('/'), "{path:?}");
        assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
        assert!(!path.chars().any(char::is_control), "{path:?}");
        assert!(!link.is_some_and(|target| target.starts_with('/') || target.contains('\0')), "{link:?}");
        let read = std::io::copy(&mut content.take(size), &mut std::io::sink());
        assert!(read.is_err() || read.is_ok_and(|read| read <= size), "more content than told");
        sum = sum.saturating_add(size);
    });
    if let Some((_, bytes)) = walked {
        assert!(bytes <= MOST && sum <= MOST, "{bytes} bytes are over the bound");
    }
}
