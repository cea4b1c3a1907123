//! The breakers of a pool: one for all of it, and one per function.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Breaker;
use super::circuit::{Circuit, Verdict};
use crate::error::{Error, ErrorKind, Fate};
use crate::event::{Announcer, Event};

/// The breakers of a pool, and what they have seen.
#[derive(Debug)]
pub(crate) struct Breakers {
    pool: Breaker,
    functions: Breaker,
    /// Whether the pool's breaker has anything to say: all that a call looks at as long as it has not.
    is_tripped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pool: Circuit,
    /// How many calls of the pool had returned when a worker died last.
    returned: u64,
    functions: HashMap<String, Circuit>,
}

/// What a call that was let through decides about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trial {
    of_pool: bool,
    of_function: bool,
}

/// Which breaker refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tripped {
    Pool,
    Function,
}

impl Breakers {
    pub(crate) fn new(pool: Breaker, functions: Breaker) -> Self {
        Self {
            pool,
            functions,
            is_tripped: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Lets a call through, or does not.
    pub(crate) fn admit(&self, function: &str) -> Result<Trial, Tripped> {
        let mut trial = Trial::default();
        let is_tripped = self.is_tripped.load(Ordering::Relaxed);
        if !is_tripped && !self.functions.enabled {
            return Ok(trial);
        }
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(circuit) = state.functions.get_mut(function) {
            match circuit.judge(self.functions.open_for, now) {
                Verdict::Passes => {}
                Verdict::IsTried => trial.of_function = true,
                Verdict::IsRefused => return Err(Tripped::Function),
            }
        }
        match state.pool.judge(self.pool.open_for, now) {
            Verdict::Passes => {}
            Verdict::IsTried => trial.of_pool = true,
            Verdict::IsRefused => {
                if let Some(circuit) = state
                    .functions
                    .get_mut(function)
                    .filter(|_| trial.of_function)
                {
                    circuit.abstain(now);
                }
                return Err(Tripped::Pool);
            }
        }
        Ok(trial)
    }

    /// A call that was let through has ended.
    pub(crate) fn end(
        &self,
        trial: Trial,
        function: &str,
        workers: impl Fn() -> usize,
        error: Option<&Error>,
        announcer: &Announcer,
    ) {
        if !trial.of_pool && !self.functions.enabled {
            return;
        }
        let now = Instant::now();
        let mut events = Vec::new();
        let mut state = self.lock();
        if trial.of_pool {
            match error.map(|error| (error.kind(), error.fate())) {
                None | Some((_, Fate::Failed)) => {
                    if state.pool.succeed() {
                        events.push(Event::BreakerClosed { function: None });
                    }
                }
                Some((ErrorKind::WorkerDied | ErrorKind::Protocol, _)) => {
                    events.extend(self.fail_pool(&mut state, workers(), now));
                }
                Some(_) => state.pool.abstain(now),
            }
            self.is_tripped
                .store(!state.pool.is_closed(), Ordering::Relaxed);
        }
        if self.functions.enabled {
            events.extend(self.note_function(&mut state, trial, function, workers, error, now));
        }
        drop(state);
        events.iter().for_each(|event| announcer.announce(event));
    }

    /// A call that was let through has shown nothing.
    pub(crate) fn abstain(&self, trial: Trial, function: &str) {
        if trial == Trial::default() {
            return;
        }
        let now = Instant::now();
        let mut state = self.lock();
        if trial.of_pool {
            state.pool.abstain(now);
        }
        if let Some(circuit) = state
            .functions
            .get_mut(function)
            .filter(|_| trial.of_function)
        {
            circuit.abstain(now);
        }
    }

    /// A worker has died with calls in flight. It counts as one failure, however many calls it took with it; and as none
    /// if it had answered any (checks of its health are no calls). A call of the pool that has returned since the last
    /// death breaks the row. While a call is being tried, that call alone decides: others that a worker takes with it were
    /// let through before.
    pub(crate) fn note_death(
        &self,
        has_answered: bool,
        returned: u64,
        workers: usize,
        announcer: &Announcer,
    ) {
        if !self.pool.enabled {
            return;
        }
        let mut state = self.lock();
        let has_returned = std::mem::replace(&mut state.returned, returned) != returned;
        if has_returned || has_answered {
            state.pool.break_row();
        }
        let event = match has_answered || state.pool.is_half_open() {
            true => None,
            false => self.fail_pool(&mut state, workers, Instant::now()),
        };
        self.is_tripped
            .store(!state.pool.is_closed(), Ordering::Relaxed);
        drop(state);
        if let Some(event) = event {
            announcer.announce(&event);
        }
    }

    fn fail_pool(&self, state: &mut State, workers: usize, now: Instant) -> Option<Event> {
        let Breaker { open_for, .. } = self.pool;
        let has_opened = state.pool.fail(self.pool.limit(workers), open_for, now);
        has_opened.then_some(Event::BreakerOpened {
            function: None,
            open_for,
        })
    }

    fn note_function(
        &self,
        state: &mut State,
        trial: Trial,
        function: &str,
        workers: impl Fn() -> usize,
        error: Option<&Error>,
        now: Instant,
    ) -> Option<Event> {
        let is_decided_by_another =
            |circuit: &Circuit| circuit.is_half_open() && !trial.of_function;
        if state
            .functions
            .get(function)
            .is_some_and(is_decided_by_another)
        {
            // It was let through before, as what ends while the breaker is open.
            return None;
        }
        let named = || Some(function.to_owned());
        let has_failed = error.is_some_and(|error| error.fate() != Fate::NotStarted);
        if has_failed {
            let circuit = state.functions.entry(function.to_owned()).or_default();
            let Breaker { open_for, .. } = self.functions;
            let has_opened = circuit.fail(self.functions.limit(workers()), open_for, now);
            return has_opened.then(|| Event::BreakerOpened {
                function: named(),
                open_for,
            });
        }
        let circuit = state.functions.get_mut(function)?;
        if error.is_none() {
            let has_closed = circuit.succeed();
            return has_closed.then(|| Event::BreakerClosed { function: named() });
        }
        if trial.of_function {
            circuit.abstain(now);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    const NOT_SOON: Duration = Duration::from_secs(3600);

    fn failed(kind: ErrorKind, fate: Fate) -> Error {
        Error::new(kind, "").with_fate(fate)
    }

    #[test]
    fn deaths_of_workers_that_answer_nothing_open_the_breaker_of_the_pool() {
        let announcer = Announcer::default();
        let breakers = Breakers::new(Breaker::new().open_for(NOT_SOON), Breaker::never());
        let dies =
            |has_answered, returned| breakers.note_death(has_answered, returned, 2, &announcer);
        for _ in 0..4 {
            dies(false, 0);
        }
        // A call has returned meanwhile, or the worker itself had answered one.
        dies(false, 1);
        for _ in 0..3 {
            dies(false, 1);
        }
        dies(true, 1);
        for _ in 0..4 {
            dies(false, 1);
            assert_eq!(breakers.admit("f"), Ok(Trial::default()));
        }
        dies(false, 1);
        assert_eq!(breakers.admit("f"), Err(Tripped::Pool));
    }

    #[test]
    fn one_call_decides_whether_the_pool_is_well_again() {
        let announcer = Announcer::default();
        let breaker = Breaker::new().failures(1).open_for(Duration::ZERO);
        let breakers = Breakers::new(breaker, Breaker::never());
        let ends = |trial, error: Option<Error>| {
            breakers.end(trial, "f", || 1, error.as_ref(), &announcer);
        };
        breakers.note_death(false, 0, 1, &announcer);
        let trial = breakers.admit("f").unwrap();
        assert!(trial.of_pool);
        ends(trial, Some(failed(ErrorKind::Closed, Fate::NotStarted)));
        let trial = breakers.admit("f").unwrap();
        ends(trial, Some(failed(ErrorKind::WorkerDied, Fate::MayHaveRun)));
        let trial = breakers.admit("f").unwrap();
        assert!(trial.of_pool);
        // An exception is an answer of a worker that is well.
        ends(trial, Some(failed(ErrorKind::Exception, Fate::Failed)));
        assert_eq!(breakers.admit("f"), Ok(Trial::default()));
    }

    #[test]
    fn a_death_neither_closes_the_breaker_of_the_pool_nor_decides_in_place_of_the_call_that_is_tried()
     {
        let announcer = Announcer::default();
        let breaker = Breaker::new().failures(1).open_for(Duration::ZERO);
        let breakers = Breakers::new(breaker, Breaker::never());
        breakers.note_death(false, 0, 1, &announcer);
        let trial = breakers.admit("f").unwrap();
        assert!(trial.of_pool);
        let mut events = announcer.subscribe();
        // The one had answered calls before, or others have returned meanwhile; the other had the calls of an earlier time.
        for has_answered in [true, false] {
            breakers.note_death(has_answered, 7, 1, &announcer);
            assert!(breakers.lock().pool.is_half_open());
            assert!(breakers.is_tripped.load(Ordering::Relaxed));
        }
        breakers.end(trial, "f", || 1, None, &announcer);
        assert!(!breakers.is_tripped.load(Ordering::Relaxed));
        let event = events.next().now_or_never();
        assert!(
            matches!(event, Some(Some(Event::BreakerClosed { function: None }))),
            "{event:?}"
        );
    }

    #[test]
    fn only_the_call_that_is_tried_decides_about_its_function() {
        let announcer = Announcer::default();
        let breaker = Breaker::new().failures(1).open_for(NOT_SOON);
        let breakers = Breakers::new(Breaker::new(), breaker);
        let ends = |trial: Trial, error: Option<Error>| {
            breakers.end(trial, "f", || 1, error.as_ref(), &announcer);
        };
        let raises = || Some(failed(ErrorKind::Exception, Fate::Failed));
        let (first, straggler) = (breakers.admit("f").unwrap(), breakers.admit("f").unwrap());
        ends(first, raises());
        let now = Instant::now() + 2 * NOT_SOON;
        let tried = {
            let mut state = breakers.lock();
            state.functions.get_mut("f").unwrap().judge(NOT_SOON, now)
        };
        assert_eq!(tried, Verdict::IsTried);
        let trial = Trial {
            of_function: true,
            of_pool: false,
        };
        for error in [None, raises()] {
            ends(straggler, error);
            assert!(breakers.lock().functions["f"].is_half_open());
        }
        ends(trial, None);
        assert_eq!(breakers.admit("f"), Ok(Trial::default()));
    }

    #[test]
    fn the_breaker_of_a_function_refuses_it_and_no_other() {
        let announcer = Announcer::default();
        let breaker = Breaker::new().failures(2).open_for(NOT_SOON);
        let breakers = Breakers::new(Breaker::new(), breaker);
        let ends = |function: &str, error: Option<Error>| {
            let trial = breakers.admit(function).unwrap();
            breakers.end(trial, function, || 1, error.as_ref(), &announcer);
        };
        let raises = || Some(failed(ErrorKind::Exception, Fate::Failed));
        ends("f", raises());
        ends("f", None);
        ends("f", raises());
        // What was not run says nothing.
        ends(
            "f",
            Some(failed(ErrorKind::InvalidArgument, Fate::NotStarted)),
        );
        ends("g", raises());
        ends("f", raises());
        assert_eq!(breakers.admit("f"), Err(Tripped::Function));
        assert_eq!(breakers.admit("g"), Ok(Trial::default()));
    }

    #[test]
    fn without_breakers_nothing_is_ever_refused() {
        let announcer = Announcer::default();
        let breakers = Breakers::new(Breaker::never(), Breaker::never());
        for _ in 0..1000 {
            breakers.note_death(false, 0, 1, &announcer);
        }
        assert_eq!(breakers.admit("f"), Ok(Trial::default()));
    }
}
