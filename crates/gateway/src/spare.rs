//! Buffers that a worker has at hand. The one used last is used next: it is in the processor's cache, where that of
//! one connection among thousands would not be, and connections that wait hold no memory.

use std::cell::RefCell;

use bytes::BytesMut;

/// Most buffers kept, per thread.
const KEPT: usize = 64;
/// Larger ones are not kept, bytes.
const BYTES_MAX: usize = 16 << 10;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, with memory if there is one.
pub(crate) fn take() -> BytesMut {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Keeps a buffer for the next one who needs one.
pub(crate) fn give(mut buffer: BytesMut) {
    if buffer.capacity() == 0 || buffer.capacity() > BYTES_MAX {
        return;
    }
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < KEPT {
            spare.push(buffer);
        }
    });
}
