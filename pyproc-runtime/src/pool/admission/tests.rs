use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::pool::Priority;
use crate::pool::router::LeastLoaded;

/// The parcels of these tests are numbers, and the links are those of their slots.
type Numbers = Admission<usize, u32>;

impl Waits for u32 {
    fn claim(&self) -> Claim<'_> {
        anything(None)
    }
}

fn anything(deadline: Option<Instant>) -> Claim<'static> {
    Claim {
        function: "f",
        deadline,
        priority: Priority::Normal,
        key: None,
    }
}

fn calls(calls: usize) -> Ended {
    Ended {
        calls,
        ..Ended::default()
    }
}

const UNSENT: Ended = Ended {
    calls: 0,
    streams: 0,
    unsent: 1,
};

const A_STREAM: Ended = Ended {
    calls: 0,
    streams: 1,
    unsent: 0,
};

fn admission(in_flight: usize, per_worker: usize, waiting: usize, slots: usize) -> Numbers {
    let limits = Limits {
        in_flight: Some(in_flight),
        in_flight_per_worker: InFlight::AtMost(per_worker),
        waiting,
    };
    let mut admission = Admission::new(limits, slots, Box::new(LeastLoaded::default()));
    for slot in 0..slots {
        assert!(
            admission
                .open_slot(seat(slot, 1), slot, false, Instant::now())
                .is_empty()
        );
    }
    admission
}

fn seat(slot: usize, generation: u64) -> Seat {
    Seat { slot, generation }
}

fn granted(admission: &mut Numbers) -> (Grant<usize>, Ticket) {
    match admission.admit(anything(None), Arrival::New, Instant::now(), || 0) {
        Ok(Admitted::Granted(grant, ticket)) => (grant, ticket),
        other => panic!("expected a grant, got {other:?}"),
    }
}

fn waiting(admission: &mut Numbers, deadline: Option<Instant>, parcel: u32) -> Ticket {
    match admission.admit(anything(deadline), Arrival::New, Instant::now(), || parcel) {
        Ok(Admitted::Waiting(ticket)) => ticket,
        other => panic!("expected a ticket, got {other:?}"),
    }
}

fn refused(admission: &mut Numbers) -> Refusal {
    admission
        .admit(anything(None), Arrival::New, Instant::now(), || 0)
        .unwrap_err()
}

/// The parcels and what was decided about them.
fn answers(served: Vec<Served<usize, u32>>) -> Vec<(u32, Result<usize, Refusal>)> {
    let answer = |served: Served<_, _>| {
        let slot = served.answer.map(|grant: Grant<usize>| grant.seat.slot);
        (served.parcel, slot)
    };
    served.into_iter().map(answer).collect()
}

#[test]
fn a_worker_with_room_for_batches_gets_them_whatever_its_pace() {
    let mut admission = Numbers::new(
        Limits {
            in_flight: None,
            in_flight_per_worker: InFlight::Auto,
            waiting: 1000,
        },
        1,
        Box::<LeastLoaded>::default(),
    );
    admission.make_room(0, 600);
    let _ = admission.open_slot(seat(0, 1), 0, false, Instant::now());
    let now = Instant::now();
    let granted = (0..1000).filter(|_| {
        matches!(
            admission.admit(anything(None), Arrival::New, now, || 0),
            Ok(Admitted::Granted(..))
        )
    });
    assert_eq!(granted.count(), 600);
    // Its successor has another script, without batches.
    admission.make_room(0, 0);
    let _ = admission.open_slot(seat(0, 2), 0, false, Instant::now());
    assert_eq!(admission.seat_in_flight(seat(0, 2)), 1);
}

#[test]
fn a_call_that_was_not_sent_says_nothing_of_its_worker() {
    let limits = Limits {
        in_flight: None,
        in_flight_per_worker: InFlight::Auto,
        waiting: 8,
    };
    let mut admission = Numbers::new(limits, 1, Box::<LeastLoaded>::default());
    let mut now = Instant::now();
    let _ = admission.open_slot(seat(0, 1), 0, false, now);
    let admit = |admission: &mut Numbers, now| {
        let admitted = admission.admit(anything(None), Arrival::New, now, || 0);
        matches!(admitted, Ok(Admitted::Granted(..)))
    };
    for _ in 0..10_000 {
        assert!(admit(&mut admission, now));
        now += Duration::from_micros(1);
        assert!(admission.release(seat(0, 1), UNSENT, now).is_empty());
    }
    assert!(admission.is_idle());
    assert_eq!(admission.slots[0].service_time.average(), Duration::ZERO);
    let granted = (0..8).filter(|_| admit(&mut admission, now));
    assert_eq!(granted.count(), 1);
    // Nor does it say anything of one that is leaving.
    let _ = admission.open_slot(seat(0, 2), 0, false, now);
    assert_eq!(admission.seat_in_flight(seat(0, 1)), 1);
    assert_eq!(admission.release(seat(0, 1), UNSENT, now).len(), 0);
    assert_eq!(
        (admission.seat_in_flight(seat(0, 1)), admission.leaving),
        (0, 0)
    );
}

#[test]
fn a_stream_that_rests_is_none_of_the_calls_that_a_key_is_spread_over() {
    #[derive(Debug)]
    struct Chosen;
    impl Router for Chosen {
        /// The second one, if what it knows of the load is right.
        fn route(&self, route: &Route<'_>) -> usize {
            usize::from((route.in_flight, route.candidates[0].streams) == (0, 1))
        }
    }
    let mut admission = admission(8, 8, 0, 2);
    let (stream, _) = granted(&mut admission);
    assert_eq!(stream.seat.slot, 0);
    admission.note_stream(stream.seat, Instant::now());
    admission.router = Box::new(Chosen);
    assert_eq!(granted(&mut admission).0.seat.slot, 1);
}

#[test]
fn whoever_has_waited_too_long_takes_no_place_that_becomes_free() {
    let mut admission = admission(1, 1, 8, 1);
    let (first, _) = granted(&mut admission);
    let now = Instant::now();
    waiting(&mut admission, Some(now + Duration::from_millis(1)), 2);
    waiting(&mut admission, None, 3);
    let later = now + Duration::from_millis(2);
    let served = admission.release(first.seat, calls(1), later);
    assert_eq!(answers(served), [(2, Err(Refusal::Expired)), (3, Ok(0))]);
}

#[test]
fn the_line_is_first_come_first_served() {
    let mut admission = admission(1, 1, 8, 1);
    let (first, _) = granted(&mut admission);
    waiting(&mut admission, None, 2);
    waiting(&mut admission, None, 3);
    assert_eq!(
        answers(admission.release(first.seat, calls(1), Instant::now())),
        [(2, Ok(0))]
    );
    assert_eq!(
        answers(admission.release(seat(0, 1), calls(1), Instant::now())),
        [(3, Ok(0))]
    );
}

#[test]
fn a_call_that_comes_back_is_served_before_those_that_came_after_it() {
    let mut admission = admission(1, 1, 8, 1);
    let (_, ticket) = granted(&mut admission);
    waiting(&mut admission, None, 2);
    admission.close_slot(seat(0, 1));
    assert!(
        admission
            .release(seat(0, 1), calls(1), Instant::now())
            .is_empty()
    );
    let again = admission.admit(
        anything(None),
        Arrival::Returning(ticket),
        Instant::now(),
        || 1,
    );
    assert!(matches!(again, Ok(Admitted::Waiting(same)) if same == ticket));
    assert_eq!(
        answers(admission.open_slot(seat(0, 2), 0, false, Instant::now())),
        [(1, Ok(0))]
    );
}

#[test]
fn a_parcel_that_was_put_back_is_served_first() {
    let mut admission = admission(1, 1, 8, 1);
    granted(&mut admission);
    waiting(&mut admission, None, 2);
    waiting(&mut admission, None, 3);
    let served = admission
        .release(seat(0, 1), calls(1), Instant::now())
        .remove(0);
    admission.close_slot(seat(0, 1));
    assert!(
        admission
            .put_back(served.ticket, served.parcel, Instant::now())
            .is_empty()
    );
    assert!(
        admission
            .release(seat(0, 1), calls(1), Instant::now())
            .is_empty()
    );
    assert_eq!(
        answers(admission.open_slot(seat(0, 2), 0, false, Instant::now())),
        [(2, Ok(0))]
    );
}

#[test]
fn a_parcel_that_is_put_back_into_a_closed_pool_is_refused() {
    let mut admission = admission(1, 1, 8, 1);
    granted(&mut admission);
    let ticket = waiting(&mut admission, None, 2);
    assert_eq!(
        admission
            .release(seat(0, 1), calls(1), Instant::now())
            .len(),
        1
    );
    assert!(admission.close().is_empty());
    let back = admission.put_back(ticket, 2, Instant::now());
    assert_eq!(answers(back), [(2, Err(Refusal::Closed))]);
}

#[test]
fn a_router_that_panics_costs_no_place() {
    #[derive(Debug)]
    struct Panics;
    impl Router for Panics {
        fn route(&self, _: &Route<'_>) -> usize {
            panic!("a router of the user's own")
        }
    }
    let mut admission = admission(2, 1, 8, 2);
    admission.router = Box::new(Panics);
    let grants = [granted(&mut admission), granted(&mut admission)];
    assert_eq!(grants.map(|(grant, _)| grant.seat.slot), [0, 1]);
}

#[test]
fn a_full_line_is_overload() {
    let mut admission = admission(1, 1, 1, 1);
    granted(&mut admission);
    waiting(&mut admission, None, 2);
    assert_eq!(refused(&mut admission), Refusal::Overloaded);
}

#[test]
fn a_call_that_comes_back_is_not_refused_for_a_full_line_or_a_draining_pool() {
    let mut admission = admission(1, 1, 0, 1);
    let (_, ticket) = granted(&mut admission);
    admission.drain();
    let again = admission.admit(
        anything(None),
        Arrival::Returning(ticket),
        Instant::now(),
        || 1,
    );
    assert!(matches!(again, Ok(Admitted::Waiting(_))));
    assert_eq!(refused(&mut admission), Refusal::Closed);
    assert_eq!(
        answers(admission.release(seat(0, 1), calls(1), Instant::now())),
        [(1, Ok(0))]
    );
}

#[test]
fn who_waits_for_the_last_worker_of_a_draining_pool_is_told_that_it_is_closed() {
    let mut admission = admission(1, 1, 8, 1);
    granted(&mut admission);
    waiting(&mut admission, None, 2);
    admission.drain();
    let served = admission.fail_slot(0);
    assert_eq!(answers(served), [(2, Err(Refusal::Closed))]);
    assert_eq!(admission.turned_away(), 1);
}

#[test]
fn a_ticket_that_was_given_back_is_passed_over() {
    let mut admission = admission(1, 1, 8, 1);
    granted(&mut admission);
    let second = waiting(&mut admission, None, 2);
    assert_eq!(admission.leave(second), Some(2));
    assert!(
        admission
            .release(seat(0, 1), calls(1), Instant::now())
            .is_empty()
    );
    assert!(admission.is_idle());
}

#[test]
fn a_deadline_in_the_line_expires_that_call_alone() {
    let mut admission = admission(1, 1, 8, 1);
    granted(&mut admission);
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    waiting(&mut admission, Some(at(2)), 2);
    waiting(&mut admission, Some(at(1)), 3);
    assert_eq!(admission.poll_timeout(), Some(at(1)));
    assert!(admission.handle_timeout(now).is_empty());
    let expired = admission.handle_timeout(at(1));
    assert_eq!(answers(expired), [(3, Err(Refusal::Expired))]);
    assert_eq!(
        (admission.poll_timeout(), admission.waiting()),
        (Some(at(2)), 1)
    );
}

#[test]
fn an_older_generation_cannot_close_its_successor() {
    let mut admission = admission(8, 8, 8, 1);
    assert!(
        admission
            .open_slot(seat(0, 2), 0, false, Instant::now())
            .is_empty()
    );
    admission.close_slot(seat(0, 1));
    granted(&mut admission);
}

#[test]
fn the_last_failed_slot_tells_those_who_wait() {
    let mut admission = admission(8, 1, 8, 2);
    admission.close_slot(seat(0, 1));
    admission.close_slot(seat(1, 1));
    waiting(&mut admission, None, 2);
    assert!(admission.fail_slot(0).is_empty());
    let served = admission.fail_slot(1);
    assert_eq!(answers(served), [(2, Err(Refusal::Unavailable))]);
    assert_eq!(refused(&mut admission), Refusal::Unavailable);
}

#[test]
fn a_successor_takes_calls_while_the_one_before_it_finishes_what_it_has() {
    let mut admission = admission(8, 1, 8, 1);
    let (old, _) = granted(&mut admission);
    waiting(&mut admission, None, 2);
    let successor = seat(0, 2);
    let served = admission.open_slot(successor, 0, false, Instant::now());
    assert_eq!(answers(served), [(2, Ok(0))]);
    assert_eq!(admission.slot_in_flight(0), 2);
    assert_eq!(admission.seat_in_flight(old.seat), 1);
    // The successor is full, whatever becomes of the other's calls.
    waiting(&mut admission, None, 3);
    assert!(
        admission
            .release(old.seat, calls(1), Instant::now())
            .is_empty()
    );
    assert_eq!(admission.seat_in_flight(old.seat), 0);
    let served = admission.release(successor, calls(1), Instant::now());
    assert_eq!(answers(served), [(3, Ok(0))]);
    admission.close_slot(old.seat);
    assert!(admission.admit_idle(old.seat, Instant::now()).is_none());
    assert!(
        admission
            .release(successor, calls(1), Instant::now())
            .is_empty()
    );
    assert!(admission.is_idle());
    granted(&mut admission);
}

#[test]
fn on_probation_a_worker_gets_one_call_at_a_time() {
    let mut admission = admission(8, 4, 8, 1);
    let trial = seat(0, 2);
    assert!(
        admission
            .open_slot(trial, 0, true, Instant::now())
            .is_empty()
    );
    granted(&mut admission);
    waiting(&mut admission, None, 2);
    waiting(&mut admission, None, 3);
    assert!(
        admission
            .end_probation(seat(0, 1), Instant::now())
            .is_empty()
    );
    let served = admission.end_probation(trial, Instant::now());
    assert_eq!(answers(served), [(2, Ok(0)), (3, Ok(0))]);
}

#[test]
fn slots_that_are_given_up_take_their_share_of_the_limits_along() {
    let mut admission = admission(6, 6, 4, 4);
    assert!(admission.degrade_slot(0).is_empty());
    assert!(admission.fail_slot(1).is_empty());
    for _ in 0..3 {
        granted(&mut admission);
    }
    for parcel in 0..2 {
        waiting(&mut admission, None, parcel);
    }
    assert_eq!(refused(&mut admission), Refusal::Overloaded);
    // A slot that is merely closed will soon have a worker again.
    admission.close_slot(seat(2, 1));
    assert_eq!(admission.max_in_flight, 3);
    let served = admission.open_slot(seat(0, 2), 0, true, Instant::now());
    assert_eq!(answers(served), [(0, Ok(0)), (1, Ok(3))]);
    assert_eq!((admission.max_in_flight, admission.max_waiting), (5, 3));
}

/// A pool whose limit is what its workers, which take one call each, may have together.
fn without_limit(slots: usize) -> Numbers {
    let mut admission = admission(1, 1, 8, slots);
    admission.limits.in_flight = None;
    for slot in 0..slots {
        admission.set_state(
            slot,
            SlotState::Open {
                link: slot,
                is_on_probation: false,
            },
        );
    }
    admission.retired.clear();
    admission
}

#[test]
fn the_calls_of_removed_slots_take_no_places_from_those_that_stay() {
    let mut admission = without_limit(4);
    let grants = [(); 4].map(|()| granted(&mut admission).0);
    for grant in &grants[..2] {
        assert!(
            admission
                .release(grant.seat, calls(1), Instant::now())
                .is_empty()
        );
    }
    assert_eq!([grants[2].seat.slot, grants[3].seat.slot], [2, 3]);
    for slot in [3, 2] {
        assert!(admission.remove_slot(slot, Instant::now()).is_empty());
    }
    assert_eq!((admission.max_in_flight, admission.in_flight()), (2, 2));
    assert_eq!(granted(&mut admission).0.seat.slot, 0);
    assert!(admission.admit_idle(seat(1, 1), Instant::now()).is_some());
    waiting(&mut admission, None, 2);
    assert_eq!(admission.seat_in_flight(seat(3, 1)), 1);
    for slot in [3, 2] {
        assert!(
            admission
                .release(seat(slot, 1), calls(1), Instant::now())
                .is_empty()
        );
    }
    assert_eq!((admission.slots.len(), admission.leaving), (2, 0));
    let served = admission.release(seat(0, 1), calls(1), Instant::now());
    assert_eq!(answers(served), [(2, Ok(0))]);
}

#[test]
fn a_slot_that_comes_back_has_nothing_to_do_with_the_calls_that_it_had() {
    let mut admission = without_limit(2);
    granted(&mut admission);
    granted(&mut admission);
    assert!(admission.remove_slot(1, Instant::now()).is_empty());
    assert!(admission.add_slot(1, Instant::now()).is_empty());
    waiting(&mut admission, None, 2);
    let served = admission.open_slot(seat(1, 2), 1, false, Instant::now());
    assert_eq!(answers(served), [(2, Ok(1))]);
    assert!(
        admission
            .release(seat(1, 1), calls(1), Instant::now())
            .is_empty()
    );
    assert_eq!((admission.in_flight(), admission.leaving), (2, 0));
}

#[test]
fn a_lone_worker_is_succeeded_while_it_has_as_many_calls_as_it_may() {
    let mut admission = without_limit(1);
    let (old, _) = granted(&mut admission);
    waiting(&mut admission, None, 2);
    waiting(&mut admission, None, 3);
    let served = admission.open_slot(seat(0, 2), 0, false, Instant::now());
    assert_eq!(answers(served), [(2, Ok(0))]);
    assert!(
        admission
            .release(old.seat, calls(1), Instant::now())
            .is_empty()
    );
}

#[test]
fn a_limit_that_was_given_counts_the_calls_of_those_that_leave() {
    let mut admission = admission(1, 1, 8, 1);
    let (old, _) = granted(&mut admission);
    waiting(&mut admission, None, 2);
    let served = admission.open_slot(seat(0, 2), 0, false, Instant::now());
    assert!(served.is_empty());
    let served = admission.release(old.seat, calls(1), Instant::now());
    assert_eq!(answers(served), [(2, Ok(0))]);
}

#[test]
fn whoever_waits_hears_of_it_when_the_last_slot_with_a_worker_is_removed() {
    let mut admission = admission(8, 1, 8, 2);
    assert!(admission.degrade_slot(0).is_empty());
    granted(&mut admission);
    waiting(&mut admission, None, 2);
    let served = admission.remove_slot(1, Instant::now());
    assert_eq!(answers(served), [(2, Err(Refusal::Degraded))]);
}

#[test]
fn whoever_waits_is_served_when_slots_go_that_had_been_given_up() {
    let mut admission = admission(2, 2, 8, 2);
    assert!(admission.fail_slot(1).is_empty());
    granted(&mut admission);
    waiting(&mut admission, None, 2);
    let served = admission.remove_slot(1, Instant::now());
    assert_eq!(answers(served), [(2, Ok(0))]);
}

#[test]
fn a_stream_that_has_yielded_takes_no_place_and_is_in_flight() {
    let mut admission = admission(2, 1, 8, 1);
    let (stream, _) = granted(&mut admission);
    waiting(&mut admission, None, 2);
    admission.note_stream(stream.seat, Instant::now());
    let candidate = admission.slots[0].candidate(0);
    assert_eq!((candidate.in_flight, candidate.streams), (1, 1));
    assert_eq!(answers(admission.serve(Instant::now())), [(2, Ok(0))]);
    assert_eq!(
        (admission.in_flight(), admission.seat_in_flight(stream.seat)),
        (2, 2)
    );
    assert!(admission.admit_idle(stream.seat, Instant::now()).is_none());
    waiting(&mut admission, None, 3);
    // The end of the stream frees nothing, that of the call does.
    assert!(
        admission
            .release(stream.seat, A_STREAM, Instant::now())
            .is_empty()
    );
    let served = admission.release(stream.seat, calls(1), Instant::now());
    assert_eq!(answers(served), [(3, Ok(0))]);
    assert!(
        admission
            .release(stream.seat, calls(1), Instant::now())
            .is_empty()
    );
    assert!(admission.is_idle());
}

#[test]
fn the_streams_of_a_worker_that_leaves_take_no_places_whatever_the_limit() {
    for limit in [Some(1), None] {
        let mut admission = without_limit(1);
        admission.limits.in_flight = limit;
        let (early, _) = granted(&mut admission);
        admission.note_stream(early.seat, Instant::now());
        let (late, _) = granted(&mut admission);
        waiting(&mut admission, None, 3);
        let served = admission.open_slot(seat(0, 2), 0, false, Instant::now());
        // What was given counts the call that the old worker still has.
        assert_eq!(served.len(), usize::from(limit.is_none()));
        admission.note_stream(late.seat, Instant::now());
        assert_eq!(
            admission.serve(Instant::now()).len(),
            usize::from(limit.is_some())
        );
        assert_eq!(
            (admission.in_flight(), admission.leaving, admission.streams),
            (3, 0, 2)
        );
        assert_eq!(admission.seat_in_flight(early.seat), 2);
        for _ in 0..2 {
            assert!(
                admission
                    .release(early.seat, A_STREAM, Instant::now())
                    .is_empty()
            );
        }
        assert!(
            admission
                .release(seat(0, 2), calls(1), Instant::now())
                .is_empty()
        );
        assert!(admission.is_idle());
        assert_eq!((admission.streams, admission.leaving), (0, 0));
    }
}

#[test]
fn when_every_slot_is_degraded_calls_fail_at_once_until_one_has_a_worker_again() {
    let mut admission = admission(8, 1, 8, 2);
    assert!(admission.degrade_slot(0).is_empty());
    granted(&mut admission);
    waiting(&mut admission, None, 2);
    admission.close_slot(seat(1, 1));
    let served = admission.degrade_slot(1);
    assert_eq!(answers(served), [(2, Err(Refusal::Degraded))]);
    assert_eq!(refused(&mut admission), Refusal::Degraded);
    assert!(
        admission
            .open_slot(seat(0, 2), 0, true, Instant::now())
            .is_empty()
    );
    granted(&mut admission);
}

proptest! {
    /// Whatever the order of arrivals, releases, departures, deaths and revivals, no limit is overshot, no place is
    /// lost, and nobody waits while there is a place.
    #[test]
    fn no_limit_is_ever_overshot(steps in proptest::collection::vec((0_u8..6, any::<usize>()), 1..200)) {
        let mut admission = admission(5, 2, 4, 3);
        let (mut held, mut tickets): (Vec<usize>, Vec<Ticket>) = (Vec::new(), Vec::new());
        for (step, pick) in steps {
            let served = match step {
                0 | 1 => {
                    match admission.admit(anything(None), Arrival::New, Instant::now(), || 0) {
                        Ok(Admitted::Granted(grant, _)) => held.push(grant.seat.slot),
                        Ok(Admitted::Waiting(ticket)) => tickets.push(ticket),
                        Err(refusal) => prop_assert_eq!(refusal, Refusal::Overloaded),
                    }
                    Vec::new()
                }
                2 if !held.is_empty() => {
                    let slot = held.swap_remove(pick % held.len());
                    admission.release(seat(slot, 1), calls(1), Instant::now())
                }
                3 if !tickets.is_empty() => {
                    let left = admission.leave(tickets.swap_remove(pick % tickets.len()));
                    prop_assert!(left.is_some());
                    Vec::new()
                }
                4 => {
                    admission.close_slot(seat(pick % 3, 1));
                    Vec::new()
                }
                5 => admission.open_slot(seat(pick % 3, 1), pick % 3, false, Instant::now()),
                _ => Vec::new(),
            };
            for served in served {
                tickets.retain(|ticket| *ticket != served.ticket);
                held.push(served.answer.unwrap().seat.slot);
            }
            prop_assert_eq!(admission.in_flight(), held.len());
            prop_assert_eq!(admission.waiting(), tickets.len());
            prop_assert!(held.len() <= 5 && tickets.len() <= 4);
            for slot in 0..3 {
                let on_slot = held.iter().filter(|held| **held == slot).count();
                prop_assert_eq!(admission.slot_in_flight(slot), on_slot);
                prop_assert!(on_slot <= 2);
            }
            prop_assert!(tickets.is_empty() || !admission.has_place(Instant::now()));
        }
    }
}
