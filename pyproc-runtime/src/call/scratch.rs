//! Where an argument is encoded.

use std::cell::Cell;

use bytes::Bytes;
use pyproc_proto::Body;

/// An encoded body. A small one lies in a buffer of its thread, which the next one finds again, so that encoding
/// allocates nothing.
pub(super) enum Scratch {
    Small(Vec<u8>),
    Large(Bytes),
}

/// From this length on a body keeps the buffer that it was encoded into, and is sent from there.
const LARGE: usize = 16 * 1024;

/// What a thread keeps. More than that was needed for something unusual.
const KEPT_CAPACITY: usize = 2 * LARGE;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Scratch {
    /// Lets `encode` write. While it does, the thread has no buffer: user code may encode other arguments meanwhile.
    pub(super) fn encode<E>(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Self, E> {
        let mut buffer = BUFFER.take();
        buffer.clear();
        match encode(&mut buffer) {
            Ok(()) if buffer.len() >= LARGE => Ok(Self::Large(buffer.into())),
            Ok(()) => Ok(Self::Small(buffer)),
            Err(error) => {
                keep(buffer);
                Err(error)
            }
        }
    }

    pub(super) fn body(&self) -> Body<'_> {
        match self {
            Self::Small(body) => Body::Borrowed(body),
            Self::Large(body) => Body::Shared(body),
        }
    }

    /// A body that lives longer than the buffer.
    pub(super) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Small(body) => Bytes::copy_from_slice(body),
            Self::Large(body) => body.clone(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Self::Small(buffer) = self {
            keep(std::mem::take(buffer));
        }
    }
}

fn keep(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_CAPACITY {
        // A thread that is ending has nothing to keep it in.
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn scratch(bytes: &[u8]) -> Scratch {
        Scratch::encode(|buffer| {
            buffer.extend_from_slice(bytes);
            Ok::<_, Infallible>(())
        })
        .unwrap_or_else(|never| match never {})
    }

    #[test]
    fn the_next_body_finds_the_buffer_of_the_last_one() {
        let first = scratch(b"first");
        let place = first.body().as_ptr();
        assert_ne!(scratch(b"within").body().as_ptr(), place);
        drop(first);
        let second = scratch(b"second");
        assert_eq!(&second.body()[..], b"second");
        assert_eq!(second.body().as_ptr(), place);
    }

    #[test]
    fn a_large_body_keeps_its_buffer() {
        let large = scratch(&vec![7; LARGE]);
        let bytes = large.to_bytes();
        assert_eq!(bytes.as_ptr(), large.body().as_ptr());
        assert!(matches!(large.body(), Body::Shared(_)));
    }
}
