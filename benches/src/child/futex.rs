//! The floor beneath all floors: two threads that sleep and wake each other.

use anyhow::Result;

use super::server::Server;
use crate::cores::Cores;
use crate::spec::Spec;

#[cfg(not(target_os = "linux"))]
pub(crate) fn run(_: &Spec, _: Option<&Cores>, server: &mut Server) -> Result<()> {
    server.unfit("futexes are Linux's")
}

#[cfg(target_os = "linux")]
pub(crate) fn run(spec: &Spec, cores: Option<&Cores>, server: &mut Server) -> Result<()> {
    use std::sync::Arc;
    use std::thread;

    use anyhow::bail;

    use crate::load::blocking;
    use crate::protocol::Load;

    let pair = Arc::new(pair::Pair::default());
    let far = pair.clone();
    let far = thread::spawn(move || {
        if let Err(error) = far.answer() {
            eprintln!("the far side of the futexes has failed: {error:#}");
        }
    });
    let mut near = pair::Near::new(pair);
    near.separate(cores, spec.placement)?;
    server.ready(None)?;
    // Both sides are one process, so its time is the time of both.
    server.serve(Vec::new, |order| match order.load {
        Load::Closed { callers: 1, .. } => blocking::closed(&mut near, order.length()),
        Load::Paced { interval_us } => blocking::paced(
            &mut near,
            std::time::Duration::from_micros(interval_us),
            order.length(),
        ),
        _ => bail!("a floor has one caller"),
    })?;
    near.end()?;
    let _ = far.join();
    Ok(())
}

#[cfg(target_os = "linux")]
mod pair {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

    use anyhow::{Context as _, Result};
    use rustix::io::Errno;
    use rustix::thread::{futex, gettid};

    use crate::cores::Cores;
    use crate::load::BlockingCaller;
    use crate::spec::Placement;

    /// A word for each direction.
    #[derive(Default)]
    pub(super) struct Pair {
        there: AtomicU32,
        back: AtomicU32,
        far_thread: AtomicI32,
    }

    impl Pair {
        /// Sends back each word until the one that says that there is no more.
        pub(super) fn answer(&self) -> Result<()> {
            let thread = gettid().as_raw_nonzero().get();
            self.far_thread.store(thread, Ordering::Release);
            let mut seen = 0;
            loop {
                seen = sleep_until_other(&self.there, seen)?;
                send(&self.back, seen)?;
                if seen == END {
                    return Ok(());
                }
            }
        }
    }

    pub(super) struct Near {
        pair: Arc<Pair>,
        sent: u32,
    }

    impl Near {
        pub(super) fn new(pair: Arc<Pair>) -> Self {
            Self { pair, sent: 0 }
        }

        /// Puts this thread on the one core, the far one on the other.
        pub(super) fn separate(
            &self,
            cores: Option<&Cores>,
            placement: Option<Placement>,
        ) -> Result<()> {
            let far = loop {
                match self.pair.far_thread.load(Ordering::Acquire) {
                    0 => std::thread::yield_now(),
                    thread => break thread,
                }
            };
            match (cores, placement) {
                (Some(cores), Some(placement)) => cores.separate_threads(placement, far),
                _ => Ok(()),
            }
        }

        pub(super) fn end(&mut self) -> Result<()> {
            send(&self.pair.there, END)
        }
    }

    impl BlockingCaller for Near {
        fn call(&mut self, _: u64) -> Result<()> {
            let before = self.sent;
            self.sent = (self.sent + 1) % END;
            send(&self.pair.there, self.sent)?;
            sleep_until_other(&self.pair.back, before)?;
            Ok(())
        }

        fn check(&self, _: u64) -> Result<()> {
            let back = self.pair.back.load(Ordering::Acquire);
            anyhow::ensure!(back == self.sent, "{back} came back for {}", self.sent);
            Ok(())
        }
    }

    const END: u32 = u32::MAX;

    fn send(word: &AtomicU32, value: u32) -> Result<()> {
        word.store(value, Ordering::Release);
        futex::wake(word, futex::Flags::PRIVATE, 1).context("futex wake")?;
        Ok(())
    }

    fn sleep_until_other(word: &AtomicU32, seen: u32) -> Result<u32> {
        loop {
            let now = word.load(Ordering::Acquire);
            if now != seen {
                return Ok(now);
            }
            match futex::wait(word, futex::Flags::PRIVATE, seen, None) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error).context("futex wait"),
            }
        }
    }
}
