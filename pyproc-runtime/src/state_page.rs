//! What a worker does right now, in memory that it shares with the host.
//!
//! The host reads what the worker claims and trusts it with nothing: every word is a number that a broken worker may
//! have made up. The page can't be shortened, so reading it is always safe; what is read is used only to choose between
//! two answers that are both sound for an honest worker, and its plausibility is checked where that costs nothing.

mod mapping;

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use pyproc_proto::CallId;
use pyproc_proto::state_page::{MAGIC, Word};

use mapping::Mapping;

/// The host's view of the page of one worker.
#[derive(Debug)]
pub(crate) struct StatePage {
    mapping: Mapping,
}

impl StatePage {
    /// Creates the page of a worker, and the descriptor by which the worker gets it. `None` where the system has no such
    /// memory: then less is known.
    pub(crate) fn create() -> Option<(Self, OwnedFd)> {
        let (mapping, descriptor) = Mapping::create()?;
        Some((Self { mapping }, descriptor))
    }

    /// Whether the worker has mapped the page, and takes interrupts and requests for its stacks.
    pub(crate) fn is_alive(&self) -> bool {
        self.load(Word::Magic) == MAGIC
    }

    /// The id of the call that the worker took last, 0 before the first one. `None` as long as the worker does not use
    /// the page, and when it has overwritten what it had said.
    pub(crate) fn taken(&self) -> Option<u64> {
        self.is_alive().then(|| self.load(Word::Taken))
    }

    /// The id of the call that the worker is in at this moment while that is not the one that it took last: a stream or an
    /// async call that it goes on with, or a call that a batch overtook.
    pub(crate) fn resumed(&self) -> Option<u64> {
        let resumed = Some(self.load(Word::Resumed)).filter(|resumed| *resumed != 0);
        resumed.filter(|_| self.is_alive())
    }

    /// When the worker began with this call, or went on with it, in nanoseconds of the monotonic clock, if that was its
    /// last one.
    pub(crate) fn taken_at_ns(&self, call: CallId) -> Option<u64> {
        if self.resumed() == Some(call.get()) {
            return Some(self.load(Word::StartedNs));
        }
        let started = self.load(Word::Started);
        let started_ns = self.load(Word::StartedNs);
        (started == call.get() && self.taken() == Some(started)).then_some(started_ns)
    }

    /// Names the running call that is to be interrupted. A signal must follow.
    pub(crate) fn want_interrupted(&self, call: CallId) {
        self.store(Word::Interrupt, call.get());
    }

    /// Tells the worker that there are calls to be skipped among those that it has been sent. Their `Cancel` frames must
    /// be in the lane. The caller holds the lock of the connection, so nobody else writes the word.
    pub(crate) fn tell_of_cancels(&self) {
        let count = self.load(Word::CancelSeq);
        self.store(Word::CancelSeq, count.wrapping_add(1));
    }

    fn load(&self, word: Word) -> u64 {
        self.mapping.word(word).load(Ordering::Acquire)
    }

    fn store(&self, word: Word, value: u64) {
        self.mapping.word(word).store(value, Ordering::Release);
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(pyproc_portable)))]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom, Write};

    use pyproc_proto::state_page::BYTES;

    use super::*;

    /// The worker's end, through reads and writes of the file.
    struct Worker(File);

    impl Worker {
        fn write(&mut self, word: Word, value: u64) {
            let place = SeekFrom::Start(word.index() as u64 * 8);
            self.0.seek(place).unwrap();
            self.0.write_all(&value.to_ne_bytes()).unwrap();
        }

        fn read(&mut self, word: Word) -> u64 {
            let mut bytes = [0; 8];
            let place = SeekFrom::Start(word.index() as u64 * 8);
            self.0.seek(place).unwrap();
            self.0.read_exact(&mut bytes).unwrap();
            u64::from_ne_bytes(bytes)
        }
    }

    fn pair() -> (StatePage, Worker) {
        let (page, descriptor) = StatePage::create().unwrap();
        (page, Worker(descriptor.into()))
    }

    fn call(id: u64) -> CallId {
        CallId::new(id).unwrap()
    }

    #[test]
    fn what_one_side_writes_the_other_reads() {
        let (page, mut worker) = pair();
        page.want_interrupted(call(7));
        page.tell_of_cancels();
        page.tell_of_cancels();
        assert_eq!(worker.read(Word::Interrupt), 7);
        assert_eq!(worker.read(Word::CancelSeq), 2);
        worker.write(Word::Taken, 5);
        worker.write(Word::StartedNs, 1_000);
        worker.write(Word::Started, 5);
        assert_eq!(
            page.taken(),
            None,
            "the worker has not said that it is there"
        );
        worker.write(Word::Magic, MAGIC);
        assert_eq!(page.taken(), Some(5));
        assert_eq!(page.taken_at_ns(call(5)), Some(1_000));
    }

    #[test]
    fn a_time_that_belongs_to_another_call_is_not_told() {
        let (page, mut worker) = pair();
        worker.write(Word::Magic, MAGIC);
        worker.write(Word::Taken, 6);
        worker.write(Word::StartedNs, 1_000);
        worker.write(Word::Started, 5);
        assert_eq!(page.taken_at_ns(call(6)), None);
        assert_eq!(page.taken_at_ns(call(5)), None);
    }

    #[test]
    fn fault_58_a_worker_can_neither_shorten_nor_lengthen_the_page_nor_forbid_to_write_it() {
        let (page, worker) = pair();
        let length = BYTES as u64;
        for wrong in [0, 1, length - 1, length + 1, 1 << 40] {
            assert!(worker.0.set_len(wrong).is_err(), "{wrong}");
        }
        let seal = rustix::fs::SealFlags::FUTURE_WRITE;
        assert!(rustix::fs::fcntl_add_seals(&worker.0, seal).is_err());
        assert_eq!(worker.0.metadata().unwrap().len(), length);
        page.tell_of_cancels();
    }

    #[test]
    fn fault_58_a_page_that_is_overwritten_says_nothing() {
        let (page, mut worker) = pair();
        worker.write(Word::Magic, MAGIC);
        worker.write(Word::Taken, 6);
        assert_eq!(page.taken(), Some(6));
        worker.0.seek(SeekFrom::Start(0)).unwrap();
        worker.0.write_all(&[0; BYTES]).unwrap();
        assert_eq!(page.taken(), None);
        worker.0.seek(SeekFrom::Start(0)).unwrap();
        worker.0.write_all(&[0xff; BYTES]).unwrap();
        assert_eq!((page.taken(), page.taken_at_ns(call(6))), (None, None));
    }
}
