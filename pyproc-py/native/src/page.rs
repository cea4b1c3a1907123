//! The state page: what this worker says to its host, and hears from it, without a frame.
#![allow(unsafe_code)]

use std::mem;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyproc_proto::CallId;
use pyproc_proto::state_page::{BYTES, Word};

/// The words of a `pyproc._state_page.StatePage`.
///
/// In a forked child the memory is not there. The loop never gets that far: it ends the process of
/// a child as soon as the function comes back.
pub(crate) struct Page {
    words: NonNull<AtomicU64>,
    /// As long as somebody has the buffer its memory stays mapped where it is.
    _memory: PyBuffer<u64>,
}

impl Page {
    /// # Errors
    ///
    /// `BufferError` and `ValueError` where it is not the memory of a page.
    pub(crate) fn of(words: &Bound<'_, PyAny>) -> PyResult<Self> {
        let memory = PyBuffer::<u64>::get(words)?;
        let start = NonNull::new(memory.buf_ptr().cast::<AtomicU64>());
        match start {
            Some(words)
                if words.is_aligned()
                    && memory.is_c_contiguous()
                    && !memory.readonly()
                    && memory.item_count() == BYTES / mem::size_of::<u64>() =>
            {
                Ok(Self {
                    words,
                    _memory: memory,
                })
            }
            _ => Err(PyValueError::new_err("these are not the words of a page")),
        }
    }

    /// Says that a call is begun, before anything of it is run; `now_ns` is what time it is. Returns
    /// whether a batch has overtaken it: then it goes on, so to speak, and must [`rest`](Self::rest)
    /// at its end.
    pub(crate) fn take(&self, call: CallId, now_ns: u64) -> bool {
        if call.get() < self.word(Word::Taken).load(Ordering::Relaxed) {
            self.resume(call, now_ns);
            return true;
        }
        self.word(Word::Taken).store(call.get(), Ordering::Release);
        self.word(Word::StartedNs).store(now_ns, Ordering::Release);
        self.word(Word::Started)
            .store(call.get(), Ordering::Release);
        false
    }

    /// Says that this call goes on, whichever was begun last: a stream, a step of an async one, or
    /// one that a batch overtook; `now_ns` is what time it is.
    pub(crate) fn resume(&self, call: CallId, now_ns: u64) {
        self.word(Word::StartedNs).store(now_ns, Ordering::Release);
        self.word(Word::Resumed)
            .store(call.get(), Ordering::Release);
    }

    /// Says that no call but the one that was begun last goes on at the moment.
    pub(crate) fn rest(&self) {
        self.word(Word::Resumed).store(0, Ordering::Release);
    }

    /// What the host changes when it has cancelled calls that wait.
    pub(crate) fn cancel_seq(&self) -> u64 {
        self.word(Word::CancelSeq).load(Ordering::Acquire)
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        // SAFETY: `of` has seen that the buffer is aligned, may be written, and has as many words
        // as a page; every `Word` lies within. It stays mapped while `_memory` is held, and nobody
        // can make it shorter behind it: `pyproc._state_page` maps only what is sealed against
        // that. Whoever else writes to it, in this process (stores of the Python loop, which does
        // not run beside this one) or in the host's, does so with whole words, and never through
        // a reference.
        unsafe { self.words.add(word.index()).as_ref() }
    }
}
