//! The policy for looking before sleeping, against what it is for. The module is included, because
//! the library that it belongs to is loaded by an interpreter and does not link into a test.

#[path = "../src/spin.rs"]
mod spin;

use std::time::Duration;

use spin::{Look, Spin};

const LONGEST: Duration = Duration::from_micros(100);

/// Goes through waits of which each look ends as `outcome` says, and returns how many had a look.
fn looks(spin: &mut Spin, waits: u32, outcome: Look) -> u32 {
    let mut looks = 0;
    for _ in 0..waits {
        if spin.budget().is_some() {
            looks += 1;
            spin.observe(outcome);
        }
    }
    looks
}

#[test]
fn a_worker_that_is_not_to_look_never_does() {
    let mut spin = Spin::new(Duration::ZERO);
    assert_eq!(looks(&mut spin, 1000, Look::Found), 0);
}

#[test]
fn every_wait_has_a_look_of_the_whole_time_where_looks_find_something() {
    let mut spin = Spin::new(LONGEST);
    assert_eq!(spin.budget(), Some(LONGEST));
    assert_eq!(looks(&mut spin, 1000, Look::Found), 1000);
}

#[test]
fn one_failure_among_successes_stops_nothing() {
    let mut spin = Spin::new(LONGEST);
    for _ in 0..100 {
        assert_eq!(looks(&mut spin, 3, Look::Found), 3);
        assert_eq!(looks(&mut spin, 1, Look::InVain), 1);
    }
}

#[test]
fn looks_in_vain_become_rare() {
    let mut spin = Spin::new(LONGEST);
    assert!(looks(&mut spin, 1000, Look::InVain) < 12);
    let rare = looks(&mut spin, 100_000, Look::InVain);
    assert!((380..=400).contains(&rare), "{rare}");
}

#[test]
fn a_program_that_is_busy_again_is_found_out() {
    let mut spin = Spin::new(LONGEST);
    looks(&mut spin, 100_000, Look::InVain);
    // The pause that it is in has to pass; a single success is believed for one look.
    looks(&mut spin, 300, Look::Found);
    assert_eq!(looks(&mut spin, 100, Look::Found), 100);
}

#[test]
fn a_lucky_look_in_a_program_at_rest_buys_little() {
    let mut spin = Spin::new(LONGEST);
    let mut vain = 0;
    for _ in 0..100 {
        looks(&mut spin, 300, Look::InVain);
        while spin.budget().is_none() {}
        spin.observe(Look::Found);
        vain += looks(&mut spin, 100, Look::InVain);
    }
    assert!(vain <= 200, "{vain}");
}
