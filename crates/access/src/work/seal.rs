//! Envelope encryption of values at rest: each value under a key of its own (AES-256-GCM, NIST SP
//! 800-38D), that key under the master key, both bound to where the value belongs.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base::{Problem, Result, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::Random;
use zeroize::Zeroizing;

const KEY_LEN: usize = 32;
/// Key, and the tag of its encryption.
const WRAPPED_LEN: usize = KEY_LEN + 16;

/// The installation's master key. Everything secret that Orlop keeps hangs on it.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Arc<Zeroizing<[u8; KEY_LEN]>>,
}

impl MasterKey {
    /// Reads the key file, or makes it at the first start (mode 0600).
    ///
    /// # Errors
    /// `key-unreadable`, or `key-exposed` when others than its owner may read the file.
    pub fn load_or_create(path: &Path, random: &dyn Random) -> Result<Self> {
        match std::fs::File::open(path) {
            Ok(file) => Self::load(path, file),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Self::create(path, random),
            Err(e) => Err(unreadable(path, &e.to_string())),
        }
    }

    fn load(path: &Path, mut file: std::fs::File) -> Result<Self> {
        let mode = file.metadata().map_err(|e| unreadable(path, &e.to_string()))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Problem::conflict(
                "key-exposed",
                format!("the key file {} may be read by others (mode {:o})", path.display(), mode & 0o777),
            )
            .hint(format!("chmod 600 {}", path.display())));
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(|e| unreadable(path, &e.to_string()))?;
        Self::parse(&text).map_err(|problem| unreadable(path, &problem.message))
    }

    /// The key of the text of a key file.
    ///
    /// # Errors
    /// `key-unreadable`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |what| Problem::invalid("key-unreadable", what);
        let decoded = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| bad("it is not base64"))?);
        let bytes: [u8; KEY_LEN] = decoded.as_slice().try_into().map_err(|_| bad("it does not hold 32 bytes"))?;
        Ok(Self::of(bytes))
    }

    fn create(path: &Path, random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; KEY_LEN];
        random.fill(&mut bytes);
        let text = Zeroizing::new(STANDARD.encode(bytes));
        let write = || -> std::io::Result<()> {
            let new = path.with_extension("new");
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // It has its name only when it is whole; one that is there already stays.
            std::fs::hard_link(&new, path)?;
            std::fs::remove_file(&new)?;
            std::fs::File::open(path.parent().unwrap_or(path))?.sync_all()
        };
        write()
            .map_err(|e| Problem::unavailable("key-not-written", format!("cannot write {}: {e}", path.display())))?;
        Ok(Self::of(bytes))
    }

    /// A key from its bytes; for tests and for keys that come from elsewhere.
    pub fn of(bytes: [u8; KEY_LEN]) -> Self {
        Self { bytes: Arc::new(Zeroizing::new(bytes)) }
    }

    /// The key that authenticates the head of the audit trail.
    pub fn audit_key(&self) -> Secret<Vec<u8>> {
        Secret::new(self.derive("audit").to_vec())
    }

    /// The key that seals backups.
    pub fn backup_key(&self) -> Secret<Vec<u8>> {
        Secret::new(self.derive("backup").to_vec())
    }

    /// A key for one purpose (RFC 5869).
    fn derive(&self, purpose: &str) -> Zeroizing<[u8; KEY_LEN]> {
        struct Len;
        impl KeyType for Len {
            fn len(&self) -> usize {
                KEY_LEN
            }
        }
        let mut out = Zeroizing::new([0; KEY_LEN]);
        let info = [purpose.as_bytes()];
        let prk = Salt::new(HKDF_SHA256, b"orlop").extract(&**self.bytes);
        let okm = prk.expand(&info, Len).expect("32 bytes are within what HKDF-SHA256 gives");
        okm.fill(&mut *out).expect("the buffer has the length that was asked for");
        out
    }

    /// Encrypts a value that belongs to `label`.
    pub(crate) fn seal(&self, value: &str, label: &str, random: &dyn Random) -> Result<String> {
        let mut own = Zeroizing::new([0; KEY_LEN]);
        random.fill(&mut *own);
        let mut wrapped = own.to_vec();
        let wrap_nonce = encrypt(&self.derive("settings")[..], &mut wrapped, label, random)?;
        let mut text = value.as_bytes().to_vec();
        let nonce = encrypt(&own[..], &mut text, label, random)?;
        let parts = [&wrap_nonce[..], &wrapped, &nonce, &text].concat();
        Ok(format!("v1:{}", STANDARD.encode(parts)))
    }

    /// Decrypts what [`MasterKey::seal`] made for the same label.
    pub(crate) fn open(&self, sealed: &str, label: &str) -> Result<Secret<String>> {
        let bad = || {
            Problem::internal("sealed-unreadable", format!("the sealed value of {label} cannot be opened"))
                .hint("is the master key the one that this data was written with?")
        };
        let bytes = STANDARD.decode(sealed.strip_prefix("v1:").ok_or_else(bad)?).map_err(|_| bad())?;
        let (wrap_nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(bad)?;
        let (wrapped, rest) = rest.split_at_checked(WRAPPED_LEN).ok_or_else(bad)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or_else(bad)?;
        let own = decrypt(&self.derive("settings")[..], wrap_nonce, wrapped, label).ok_or_else(bad)?;
        let text = decrypt(&own, nonce, text, label).ok_or_else(bad)?;
        Ok(Secret::new(std::str::from_utf8(&text).map_err(|_| bad())?.to_owned()))
    }
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem::conflict("key-unreadable", format!("the key file {} cannot be used: {why}", path.display()))
        .hint("bring it back from a backup; without it secrets of this installation cannot be opened")
}

/// Encrypts in place, the tag appended; returns the nonce.
fn encrypt(key: &[u8], data: &mut Vec<u8>, label: &str, random: &dyn Random) -> Result<[u8; NONCE_LEN]> {
    let failed = |_| Problem::internal("seal-failed", "a value could not be encrypted");
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(failed)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(label), data).map_err(failed)?;
    Ok(nonce)
}

fn decrypt(key: &[u8], nonce: &[u8], data: &[u8], label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = Zeroizing::new(data.to_vec());
    let length = key.open_in_place(nonce, Aad::from(label), &mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Random for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            buffer.fill(n);
        }
    }

    fn random() -> Counting {
        Counting(std::sync::atomic::AtomicU8::new(1))
    }

    #[test]
    fn a_value_opens_only_where_it_belongs_and_only_whole() {
        let key = MasterKey::of([7; 32]);
        let sealed = key.seal("geheim ü", "a", &random()).unwrap();
        assert!(!sealed.contains("geheim"));
        assert_eq!(key.open(&sealed, "a").unwrap().expose(), "geheim ü");
        assert!(key.open(&sealed, "b").is_err(), "moved elsewhere");
        assert!(MasterKey::of([8; 32]).open(&sealed, "a").is_err(), "another master key");
        for cut in [0, 3, 10, sealed.len() / 2, sealed.len() - 4] {
            assert!(key.open(&sealed[..cut], "a").is_err(), "cut at {cut}");
        }
        let mut bytes = STANDARD.decode(&sealed[3..]).unwrap();
        for i in 0..bytes.len() {
            bytes[i] ^= 1;
            assert!(key.open(&format!("v1:{}", STANDARD.encode(&bytes)), "a").is_err(), "flipped {i}");
            bytes[i] ^= 1;
        }
    }

    #[test]
    fn the_key_file_is_private_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let first = MasterKey::load_or_create(&path, &random()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = MasterKey::load_or_create(&path, &random()).unwrap();
        assert_eq!(**first.bytes, **again.bytes);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(MasterKey::load_or_create(&path, &random()).err().unwrap().code, "key-exposed");
        std::fs::write(&path, "nonsense").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(MasterKey::load_or_create(&path, &random()).err().unwrap().code, "key-unreadable");
    }
}
