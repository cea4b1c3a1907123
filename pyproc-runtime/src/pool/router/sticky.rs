//! Where the calls of a key go: rendezvous hashing with bounded loads.

use super::{Candidate, Route};

/// How much more than the average of all workers one may have, in hundredths, before it passes a key on. It is the value
/// that load balancers start from: keys seldom move, and no worker has much more to do than the others.
const LOAD_FACTOR: usize = 125;

/// The candidate that the key likes best among those that do not have more than their share; if all have, the one that has
/// least.
pub(super) fn choose(route: &Route<'_>, key: u64) -> usize {
    let bound = bound(route.in_flight, route.open);
    let candidates = route.candidates.iter().enumerate();
    let liking = |candidate: &Candidate| (liking(key, candidate.slot), candidate.slot);
    let best = candidates
        .clone()
        .filter(|(_, candidate)| candidate.calls() < bound)
        .max_by_key(|(_, candidate)| liking(candidate));
    let least = || candidates.min_by_key(|(_, candidate)| candidate.calls());
    best.or_else(least).map_or(0, |(index, _)| index)
}

/// How many calls a worker may have at most, the new one included, when so many have so many.
fn bound(in_flight: usize, workers: usize) -> usize {
    let all = in_flight.saturating_add(1).saturating_mul(LOAD_FACTOR);
    all.div_ceil(workers.max(1).saturating_mul(100))
}

/// How much a key likes a slot: a number that looks random, and is always the same. The mixing is that of `SplitMix64` (Steele,
/// Lea and Flood 2014).
fn liking(key: u64, slot: usize) -> u64 {
    let mut mixed = key ^ (slot as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn idle(slots: impl IntoIterator<Item = usize>) -> Vec<Candidate> {
        let slots = slots.into_iter();
        slots.map(|slot| Candidate::new(slot, 0)).collect()
    }

    fn slot_of(candidates: &[Candidate], key: u64) -> usize {
        candidates[choose(&Route::new(candidates, 8, "f"), key)].slot
    }

    #[test]
    fn keys_are_spread_over_all_slots() {
        let all = idle(0..8);
        let mut shares = [0; 8];
        for key in 0..8000 {
            shares[slot_of(&all, key)] += 1;
        }
        assert!(
            shares.iter().all(|share| (850..1150).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn a_slot_that_is_gone_moves_only_its_own_keys_and_has_them_again_when_it_is_back() {
        let (all, without) = (idle(0..8), idle((0..8).filter(|slot| *slot != 3)));
        let mut moved_to = [0; 8];
        for key in 0..8000 {
            let before = slot_of(&all, key);
            let after = slot_of(&without, key);
            if before == 3 {
                moved_to[after] += 1;
            } else {
                assert_eq!(after, before);
            }
        }
        // And they are spread over all others.
        assert_eq!(moved_to.iter().filter(|moved| **moved > 80).count(), 7);
    }

    #[test]
    fn a_slot_more_takes_only_its_share_of_the_keys() {
        let (seven, eight) = (idle(0..7), idle(0..8));
        let moved = (0..8000).filter(|key| slot_of(&seven, *key) != slot_of(&eight, *key));
        let moved: Vec<_> = moved.collect();
        assert!((850..1150).contains(&moved.len()));
        assert!(moved.iter().all(|key| slot_of(&eight, *key) == 7));
    }

    #[test]
    fn a_reader_that_calls_with_the_key_of_its_stream_stays_with_its_worker() {
        for key in 0..50 {
            let mut candidates = idle(0..4);
            let own = choose(&Route::new(&candidates, 4, "f"), key);
            candidates[own].in_flight = 1;
            candidates[own].streams = 1;
            assert_eq!(choose(&Route::new(&candidates, 4, "f"), key), own);
        }
    }

    proptest! {
        /// However many calls of however few keys there are, no worker has more than a quarter more than the average, and
        /// one call.
        #[test]
        fn a_hot_key_overloads_no_worker(keys in prop::collection::vec(0_u64..4, 1..300), slots in 1_usize..9) {
            let mut candidates = idle(0..slots);
            for (before, key) in keys.into_iter().enumerate() {
                let chosen = choose(&Route::new(&candidates, slots, "f"), key);
                candidates[chosen].in_flight += 1;
                prop_assert!(candidates[chosen].in_flight <= bound(before, slots));
                prop_assert!(candidates[chosen].in_flight * slots * 100 < (before + 1) * 125 + slots * 100);
            }
        }
    }
}
