//! Keys of maps that have been seen before.

use pyo3::prelude::*;
use pyo3::types::PyString;

/// Longer keys are made anew each time.
const MAX_KEY_BYTES: usize = 32;

/// A power of two. The bodies of a worker's functions rarely have more keys.
const SLOTS: usize = 512;

/// Remembers the last short key for each place that keys fall on.
///
/// The maps of many bodies have the same keys. One that is remembered is neither allocated nor
/// hashed again by the dictionary that it goes into.
pub(crate) struct Keys {
    slots: Vec<Option<Known>>,
}

struct Known {
    length: u8,
    bytes: [u8; MAX_KEY_BYTES],
    text: Py<PyString>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| None).collect(),
        }
    }

    /// The text that these bytes are.
    ///
    /// # Errors
    ///
    /// They are not UTF-8.
    pub(crate) fn get<'py>(
        &mut self,
        py: Python<'py>,
        bytes: &[u8],
    ) -> PyResult<Bound<'py, PyString>> {
        if bytes.len() > MAX_KEY_BYTES {
            return PyString::from_bytes(py, bytes);
        }
        let slot = &mut self.slots[place(bytes)];
        if let Some(known) = slot {
            if known.bytes[..usize::from(known.length)] == *bytes {
                return Ok(known.text.bind(py).clone());
            }
        }
        let text = PyString::from_bytes(py, bytes)?;
        let mut known = Known {
            length: bytes.len() as u8,
            bytes: [0; MAX_KEY_BYTES],
            text: text.clone().unbind(),
        };
        known.bytes[..bytes.len()].copy_from_slice(bytes);
        *slot = Some(known);
        Ok(text)
    }
}

/// Where a key is remembered: FNV-1a, which is short for what is short.
fn place(bytes: &[u8]) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 32) as usize % SLOTS
}
