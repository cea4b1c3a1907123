//! The workers' side of the truth.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FallocateFlags, fallocate};

use crate::deaths::Deaths;
use crate::ledger::Ledger;

/// Reads what the workers of a team have appended.
pub(crate) struct Journal {
    file: File,
    read: u64,
    given_back: u64,
    /// What each process executed last.
    latest: HashMap<u32, u64>,
    repeated: u64,
}

/// `struct.Struct("=QQQII")` in the script: call, time, value, process, kind.
const RECORD: usize = 32;

const EXECUTED: u32 = 0;
const LOADED: u32 = 1;
const FATAL: u32 = 2;

/// What was read is given back to the file system in pieces of this size.
const PIECE: u64 = 1 << 20;

impl Journal {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self {
            file,
            read: 0,
            given_back: 0,
            latest: HashMap::new(),
            repeated: 0,
        })
    }

    /// Tells the ledger and the deaths what has been appended since this was asked last.
    pub(crate) fn read(&mut self, ledger: &Ledger, deaths: &Deaths) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = self.file.read_at(&mut buffer, self.read)?;
            // A record that was only half written when it was read is read again.
            let whole = length - length % RECORD;
            if whole == 0 {
                break;
            }
            for record in buffer[..whole].chunks_exact(RECORD) {
                self.take(record, ledger, deaths)?;
            }
            self.read += whole as u64;
        }
        self.give_back();
        Ok(())
    }

    /// Half a record at the end would mean that a worker's account is not whole.
    pub(crate) fn check_end(&self) -> Result<()> {
        let length = self.file.metadata()?.len();
        if length != self.read {
            bail!("the journal ends with half a record, at {length} bytes");
        }
        Ok(())
    }

    /// How many executions were not the first ones of their calls.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    fn take(&mut self, record: &[u8], ledger: &Ledger, deaths: &Deaths) -> Result<()> {
        let mut words = record.chunks_exact(8).map(|word| {
            let word = <[u8; 8]>::try_from(word).unwrap_or_default();
            u64::from_ne_bytes(word)
        });
        let mut next = || words.next().context("a record has four words");
        let (call, at_ns, value) = (next()?, next()?, next()?);
        let last = next()?.to_ne_bytes();
        let half =
            |from: usize| u32::from_ne_bytes(last[from..from + 4].try_into().unwrap_or_default());
        let (pid, kind) = (half(0), half(4));
        match kind {
            EXECUTED => {
                self.repeated += u64::from(ledger.executed(call));
                if let Some(before) = self.latest.insert(pid, call) {
                    ledger.outlived(before);
                }
            }
            LOADED => {
                // Another process had this id before.
                self.latest.remove(&pid);
                deaths.loaded(pid, Duration::from_nanos(value));
            }
            FATAL => deaths.warrant(pid, at_ns),
            kind => bail!("the journal has a record of kind {kind}"),
        }
        Ok(())
    }

    fn give_back(&mut self) {
        let end = self.read - self.read % PIECE;
        if end > self.given_back {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // A file system that cannot do this only grows fuller.
            let _ = fallocate(&self.file, flags, self.given_back, end - self.given_back);
            self.given_back = end;
        }
    }
}
