//! Where things lie in the memory that a worker shares with its host.
//!
//! A page of shared memory says what no message can: which calls a worker has begun, when it can
//! say nothing more. It is an array of 64-bit words in the order of bytes of the machine, and each
//! word is written by one side only, whole and at an aligned place, so that no reader ever sees
//! half of it. The words of each side fill cache lines of their own.
//!
//! This module knows the layout and nothing else: who maps the page has the memory. The Python
//! package has the same numbers in `_state_page.py`, and `docs/protocol.md` tells what both sides
//! owe each other.

/// The length of the page, in bytes.
pub const BYTES: usize = 4096;

/// What the worker writes at [`Word::Magic`]. The last byte is the version of the layout.
pub const MAGIC: u64 = u64::from_ne_bytes(*b"pyproc\x00\x01");

/// The words of the page that mean something. All the others are 0 and belong to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[non_exhaustive]
pub enum Word {
    /// By the worker: [`MAGIC`], when it has mapped the page and takes interrupts and requests for
    /// its stacks. Until then, and with a worker that knows no page, the other words mean nothing.
    Magic = 0,
    /// By the worker: the id of the call that it took last. It is written before anything of the
    /// call is run, the conversion of its arguments included, and never falls: of all calls with
    /// greater ids nothing has run.
    Taken = 1,
    /// By the worker: when it took a call, in nanoseconds of `CLOCK_MONOTONIC`. For diagnosis.
    StartedNs = 2,
    /// By the worker: the id of the call that [`StartedNs`](Self::StartedNs) is about, written
    /// after it. What was read is valid if this equals [`Taken`](Self::Taken), read afterwards.
    Started = 3,
    /// By the worker: the id of the call that it is in while that is not the one that it took last:
    /// a stream or an async call that it goes on with, or a call that a batch overtook; otherwise 0.
    /// [`StartedNs`](Self::StartedNs) is about that one meanwhile.
    Resumed = 4,
    /// By the host: the id of the running call that it wants interrupted.
    Interrupt = 8,
    /// By the host: how often it has written `Cancel` frames for calls that wait in the worker. A
    /// worker that sees it move reads what has arrived before it takes another call.
    CancelSeq = 9,
}

impl Word {
    /// Every word with its name in the documents, in the order of their places.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::Magic, "magic"),
        (Self::Taken, "taken"),
        (Self::StartedNs, "started_ns"),
        (Self::Started, "started"),
        (Self::Resumed, "resumed"),
        (Self::Interrupt, "interrupt"),
        (Self::CancelSeq, "cancel_seq"),
    ];

    /// The place of the word in the page, counted in words.
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_lie_in_the_page_and_those_of_each_side_in_lines_of_their_own() {
        const LINE_WORDS: usize = 64 / size_of::<u64>();
        for (word, name) in Word::NAMES {
            assert!(word.index() < BYTES / size_of::<u64>(), "{name}");
            let is_hosts = matches!(word, Word::Interrupt | Word::CancelSeq);
            assert_eq!(word.index() / LINE_WORDS, usize::from(is_hosts), "{name}");
        }
        assert!(Word::NAMES.is_sorted_by_key(|(word, _)| word.index()));
    }
}
