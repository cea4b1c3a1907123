//! What killed whom, when the pool noticed, and when the successor was ready.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::{between, now_ns};
use crate::fleet::Place;

#[derive(Debug)]
pub(crate) struct Deaths {
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    /// When a fatal act hit this process.
    warrants: HashMap<u32, u64>,
    /// How long a worker's script took to load, by its process.
    imports: HashMap<u32, Duration>,
    /// Deaths of which not all is known yet.
    open: Vec<Death>,
    /// The generation that was ready last in each slot.
    ready: HashMap<Place, u64>,
    figures: Figures,
}

#[derive(Debug)]
struct Death {
    place: Place,
    generation: u64,
    pid: u32,
    noticed_ns: u64,
    next: Next,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Awaited,
    Ready {
        pid: u32,
        at_ns: u64,
    },
    /// The successor died before it was ready, and a later one came.
    Missed,
    /// The successor was ready before, and the slot was never empty.
    Earlier,
}

/// What came of it all.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Deaths that an act of the adversary was the cause of.
    pub(crate) kills: u64,
    /// The others: those whom the pool killed because they were stuck, and those who were told to leave.
    pub(crate) other_deaths: u64,
    /// From a fatal act to the pool's notice, in microseconds.
    pub(crate) noticed_us: Histogram<u64>,
    /// From there to the successor's readiness, in microseconds, without the import of the script.
    pub(crate) replaced_us: Histogram<u64>,
    /// Deaths after which nothing is measured: the successor died before it was ready, or was not ready in the end.
    pub(crate) replaced_unmeasured: u64,
    /// How long the script took to import, in microseconds.
    pub(crate) import_us: Histogram<u64>,
}

/// An hour: what takes longer is found by its absence.
const LONGEST_US: u64 = 3_600_000_000;

impl Deaths {
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        let figures = Figures {
            kills: 0,
            other_deaths: 0,
            noticed_us: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            replaced_us: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            replaced_unmeasured: 0,
            import_us: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
        };
        let book = Mutex::new(Book {
            warrants: HashMap::new(),
            imports: HashMap::new(),
            open: Vec::new(),
            ready: HashMap::new(),
            figures,
        });
        Ok(Self { book })
    }

    /// A fatal act hit this process. Of two, the first one counts.
    pub(crate) fn warrant(&self, pid: u32, at_ns: u64) {
        let mut book = self.lock();
        let first_ns = book.warrants.entry(pid).or_insert(at_ns);
        *first_ns = at_ns.min(*first_ns);
    }

    /// A worker's script is loaded.
    pub(crate) fn loaded(&self, pid: u32, took: Duration) {
        let mut book = self.lock();
        saturating(&mut book.figures.import_us, took);
        book.imports.insert(pid, took);
    }

    /// The pool noticed that a worker is gone.
    pub(crate) fn died(&self, place: Place, generation: u64, pid: u32, noticed_ns: u64) {
        let mut book = self.lock();
        let is_replaced = book.ready.get(&place).is_some_and(|it| *it > generation);
        book.open.push(Death {
            place,
            generation,
            pid,
            noticed_ns,
            next: if is_replaced {
                Next::Earlier
            } else {
                Next::Awaited
            },
        });
    }

    /// The pool says that a worker is ready.
    pub(crate) fn ready(&self, place: Place, generation: u64, pid: u32, at_ns: u64) {
        let mut book = self.lock();
        book.ready.insert(place, generation);
        let waiting = |death: &&mut Death| death.place == place && death.next == Next::Awaited;
        for death in book.open.iter_mut().filter(waiting) {
            death.next = match generation - death.generation {
                1 => Next::Ready { pid, at_ns },
                _ => Next::Missed,
            };
        }
    }

    /// Closes the cases in which nothing new can turn up: the journal must have been read up to that long ago.
    pub(crate) fn resolve(&self, unread: Duration) {
        let now = now_ns();
        let mut book = self.lock();
        let open = std::mem::take(&mut book.open);
        let (closed, open) = open.into_iter().partition(|death: &Death| {
            death.next != Next::Awaited && between(death.noticed_ns, now) >= unread
        });
        book.open = open;
        for death in closed {
            book.close(&death);
        }
    }

    /// Closes all cases.
    pub(crate) fn close(&self) {
        let mut book = self.lock();
        for death in std::mem::take(&mut book.open) {
            book.close(&death);
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        self.lock().figures.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn close(&mut self, death: &Death) {
        self.imports.remove(&death.pid);
        // An act that came after the notice was not the cause.
        match self.warrants.remove(&death.pid) {
            Some(hit_ns) if hit_ns <= death.noticed_ns => {
                self.figures.kills += 1;
                let noticed = between(hit_ns, death.noticed_ns);
                saturating(&mut self.figures.noticed_us, noticed);
                tracing::info!(pid = death.pid, ?noticed, "kill noticed");
            }
            _ => self.figures.other_deaths += 1,
        }
        match death.next {
            Next::Ready { pid, at_ns } => {
                let import = self.imports.get(&pid).copied().unwrap_or_default();
                let replaced = between(death.noticed_ns, at_ns).saturating_sub(import);
                saturating(&mut self.figures.replaced_us, replaced);
                tracing::info!(pid = death.pid, ?replaced, successor = pid, "replaced");
            }
            Next::Missed | Next::Awaited => self.figures.replaced_unmeasured += 1,
            Next::Earlier => {}
        }
    }
}

impl Figures {
    /// A quantile in milliseconds, with three digits behind the point.
    pub(crate) fn milliseconds(histogram: &Histogram<u64>, quantile: f64) -> f64 {
        histogram.value_at_quantile(quantile) as f64 / 1000.0
    }
}

fn saturating(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

/// How often each act was done.
#[derive(Debug, Default)]
pub(crate) struct Acts(Mutex<BTreeMap<&'static str, u64>>);

impl Acts {
    pub(crate) fn count(&self, act: &'static str) {
        let mut acts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *acts.entry(act).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        let acts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        acts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { team: 0, slot: 1 };
    const MS: u64 = 1_000_000;

    #[test]
    fn a_kill_is_measured_from_the_act_to_the_notice_and_from_there_without_the_import() {
        let deaths = Deaths::new().unwrap();
        deaths.warrant(7, 10 * MS);
        deaths.warrant(7, 12 * MS);
        deaths.died(PLACE, 1, 7, 15 * MS);
        deaths.loaded(8, Duration::from_millis(30));
        deaths.ready(PLACE, 2, 8, 115 * MS);
        deaths.close();
        let figures = deaths.figures();
        assert_eq!((figures.kills, figures.other_deaths), (1, 0));
        assert_eq!(
            Figures::milliseconds(&figures.noticed_us, 0.99).round(),
            5.0
        );
        assert_eq!(
            Figures::milliseconds(&figures.replaced_us, 0.99).round(),
            70.0
        );
    }

    #[test]
    fn a_death_before_the_act_is_no_kill_and_a_successor_that_died_is_not_measured() {
        let deaths = Deaths::new().unwrap();
        deaths.died(PLACE, 1, 7, 15 * MS);
        deaths.warrant(7, 16 * MS);
        deaths.ready(PLACE, 3, 9, 500 * MS);
        deaths.resolve(Duration::ZERO);
        let figures = deaths.figures();
        assert_eq!((figures.kills, figures.other_deaths), (0, 1));
        assert_eq!(figures.replaced_us.len(), 0);
        assert_eq!(figures.replaced_unmeasured, 1);
    }

    #[test]
    fn a_worker_that_ends_after_its_successor_is_ready_is_not_counted_as_replaced() {
        let deaths = Deaths::new().unwrap();
        deaths.ready(PLACE, 2, 8, 10 * MS);
        deaths.died(PLACE, 1, 7, 15 * MS);
        // The death that follows is measured with its own successor.
        deaths.died(PLACE, 2, 8, 20 * MS);
        deaths.ready(PLACE, 3, 9, 50 * MS);
        deaths.close();
        let figures = deaths.figures();
        assert_eq!(figures.other_deaths, 2);
        let replaced = Figures::milliseconds(&figures.replaced_us, 0.99).round();
        assert_eq!((figures.replaced_us.len(), replaced), (1, 30.0));
        assert_eq!(figures.replaced_unmeasured, 0);
    }

    #[test]
    fn a_case_stays_open_until_its_end_is_known() {
        let deaths = Deaths::new().unwrap();
        deaths.warrant(7, now_ns());
        deaths.died(PLACE, 1, 7, now_ns());
        deaths.resolve(Duration::ZERO);
        assert_eq!(deaths.figures().kills, 0);
        deaths.ready(PLACE, 2, 8, now_ns());
        deaths.resolve(Duration::from_secs(60));
        assert_eq!(deaths.figures().kills, 0);
        deaths.resolve(Duration::ZERO);
        assert_eq!(deaths.figures().kills, 1);
    }
}
