use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value that must not be shown: it has neither `Debug` nor `Display` nor `Serialize`, so it
/// cannot reach a log, a message or a response by accident. Its memory is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Looks at the value. Every call is a place where it may leak: keep them few.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl From<String> for Secret<String> {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}
