//! The worker that always errs, while others do not.

use std::time::{Duration, Instant};

use super::Supervisor;
use super::slot::Occupant;
use crate::event::RecycleReason;

/// How long no worker is ejected after another was. If that did not help, it is not the worker.
const PAUSE: Duration = Duration::from_secs(30);

/// A worker that errs at least so many times less in a row than the one that may be ejected is taken to be well.
const WELL: u32 = 5;

/// Which worker is ejected. A pure policy.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    last: Option<Instant>,
}

/// What is known of one worker.
#[derive(Debug, Clone, Copy)]
struct Record {
    answered: u64,
    errors_in_a_row: u32,
    /// Its successor is on its way already. It is left alone: should that one not come, the worker is all there is.
    is_replaced: bool,
}

impl Ejection {
    /// The worker, if there is one, that has erred so many times in a row while most others answer well. There is never
    /// more than one in a while: where most err, it is the function or its callers, and new workers would err no less.
    fn choose(&mut self, limit: u32, records: &[Option<Record>], now: Instant) -> Option<usize> {
        let is_too_soon = self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < PAUSE);
        let known = records.iter().enumerate();
        let (worst, errors) = known
            .filter_map(|(index, record)| Some((index, (*record)?)))
            .filter(|(_, record)| !record.is_replaced)
            .map(|(index, record)| (index, record.errors_in_a_row))
            .max_by_key(|(_, errors)| *errors)?;
        if is_too_soon || errors < limit {
            return None;
        }
        let others = records
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != worst);
        let others: Vec<_> = others
            .filter_map(|(_, record)| *record)
            .filter(|record| record.answered > 0)
            .collect();
        let is_well = |record: &&Record| record.errors_in_a_row < limit.div_ceil(WELL);
        let well = others.iter().filter(is_well).count();
        if well * 2 <= others.len() {
            return None;
        }
        self.last = Some(now);
        Some(worst)
    }
}

impl Supervisor {
    /// Has a worker replaced that always errs.
    pub(super) fn look_for_outlier(&mut self, now: Instant) {
        let Some(limit) = self.shared.config().eject_after else {
            return;
        };
        if !self.shared.take_suspicion() || self.stop.is_some() {
            return;
        }
        let record = |slot: &super::Slot| match &slot.occupant {
            Occupant::Running(running) if !running.is_retiring => Some(Record {
                answered: running.connection.calls_served(),
                errors_in_a_row: running.connection.errors_in_a_row(),
                is_replaced: slot.successor.is_some(),
            }),
            _ => None,
        };
        let records: Vec<_> = self.slots.iter().map(record).collect();
        let Some(slot) = self.ejection.choose(limit, &records, now) else {
            return;
        };
        if let Occupant::Running(running) = &self.slots[slot].occupant {
            let in_a_row = running.connection.errors_in_a_row();
            // Others are well, so neither its successor nor anybody else's is waited for.
            self.begin_replacement(slot, RecycleReason::Errors { in_a_row });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The choice among workers that have erred so many times in a row.
    fn choice(errors: &[u32]) -> Option<usize> {
        let record = |errors: &u32| {
            Some(Record {
                answered: 1000,
                errors_in_a_row: *errors,
                is_replaced: false,
            })
        };
        let records: Vec<_> = errors.iter().map(record).collect();
        Ejection::default().choose(50, &records, Instant::now())
    }

    #[test]
    fn the_one_that_errs_is_ejected_and_nobody_where_most_do() {
        assert_eq!(choice(&[0, 50, 0]), Some(1));
        assert_eq!(choice(&[0, 49, 0]), None);
        assert_eq!(choice(&[60, 9]), Some(0));
        assert_eq!(choice(&[60, 10]), None);
        assert_eq!(choice(&[60, 0, 55]), None, "half of the others err too");
        assert_eq!(choice(&[60, 0, 0, 55]), Some(0));
        assert_eq!(choice(&[60]), None, "nobody is there to compare it with");
    }

    #[test]
    fn a_worker_that_has_done_nothing_yet_is_no_comparison() {
        let errs = Some(Record {
            answered: 60,
            errors_in_a_row: 60,
            is_replaced: false,
        });
        let new = Some(Record {
            answered: 0,
            errors_in_a_row: 0,
            is_replaced: false,
        });
        let choice = Ejection::default().choose(50, &[errs, new, None], Instant::now());
        assert_eq!(choice, None);
    }

    #[test]
    fn a_worker_whose_successor_is_on_its_way_is_left_alone_and_costs_no_pause() {
        let (mut ejection, now) = (Ejection::default(), Instant::now());
        let ill = |is_replaced| {
            Some(Record {
                answered: 1000,
                errors_in_a_row: 60,
                is_replaced,
            })
        };
        let well = Some(Record {
            answered: 1000,
            errors_in_a_row: 0,
            is_replaced: false,
        });
        let chosen =
            [true, false].map(|is_replaced| ejection.choose(50, &[ill(is_replaced), well], now));
        assert_eq!(chosen, [None, Some(0)]);
    }

    #[test]
    fn there_is_a_pause_between_two() {
        let (mut ejection, now) = (Ejection::default(), Instant::now());
        let record = |errors_in_a_row| {
            Some(Record {
                answered: 1000,
                errors_in_a_row,
                is_replaced: false,
            })
        };
        let records = [record(0), record(99), record(0)];
        let at = |seconds| now + Duration::from_secs(seconds);
        let chosen = [0, 29, 30].map(|seconds| ejection.choose(50, &records, at(seconds)));
        assert_eq!(chosen, [Some(1), None, Some(1)]);
    }
}
