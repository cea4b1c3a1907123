//! The calls that wait for their answer.

use std::collections::VecDeque;

use super::super::credit::{self, Credit};
use crate::CallId;

/// The calls that wait for their answer, in the order of their ids, which is that of their
/// requests.
///
/// Most answers come in that order too, so the one that is answered stands in front. One that is
/// answered out of turn leaves a gap, which goes when those before it are answered, or when there
/// are more gaps than calls.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    calls: VecDeque<Waiting>,
    gaps: usize,
}

#[derive(Debug)]
struct Waiting {
    call: CallId,
    /// The id that the host knows the call by; `None` once it is answered.
    id: Option<u64>,
    /// For a stream, what may be sent of it.
    credit: Option<Credit>,
    /// The argument whose items follow, where there is one.
    items: Option<Items>,
}

/// An argument that comes item by item, with the place of its parameter once anything was granted.
pub(super) type Items = credit::Items<Option<u16>>;

impl Unanswered {
    pub(super) fn len(&self) -> usize {
        self.calls.len() - self.gaps
    }

    /// Adds a call; its id is above those of all calls before it.
    pub(super) fn insert(&mut self, call: CallId, id: u64, is_stream: bool) {
        self.calls.push_back(Waiting {
            call,
            id: Some(id),
            credit: is_stream.then(Credit::default),
            items: None,
        });
    }

    /// Notes that the items of an argument follow the call that was added last.
    pub(super) fn expect_items(&mut self) {
        if let Some(last) = self.calls.back_mut() {
            last.items = Some(Items::new(None));
        }
    }

    /// The argument of a call that waits for its answer, if its items follow.
    pub(super) fn items(&mut self, call: CallId) -> Option<&mut Items> {
        let place = self.place(call)?;
        let waiting = self.calls.get_mut(place)?;
        waiting.id.and(waiting.items.as_mut())
    }

    /// The id that the host knows a call by, if the call waits for its answer.
    pub(super) fn get(&self, call: CallId) -> Option<u64> {
        self.calls.get(self.place(call)?)?.id
    }

    /// What may be sent of a stream that waits for its end.
    pub(super) fn credit(&mut self, call: CallId) -> Option<&mut Credit> {
        let place = self.place(call)?;
        let waiting = self.calls.get_mut(place)?;
        waiting.id.and(waiting.credit.as_mut())
    }

    /// Whether a call is answered by a stream.
    pub(super) fn is_stream(&self, call: CallId) -> bool {
        let waiting = self.place(call).and_then(|place| self.calls.get(place));
        waiting.is_some_and(|waiting| waiting.credit.is_some())
    }

    /// Forgets a call that is answered now.
    pub(super) fn remove(&mut self, call: CallId) {
        let Some(place) = self.place(call) else {
            return;
        };
        if self.calls[place].id.take().is_none() {
            return;
        }
        self.gaps += 1;
        while self.calls.front().is_some_and(|first| first.id.is_none()) {
            self.calls.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > self.len() {
            self.calls.retain(|waiting| waiting.id.is_some());
            self.gaps = 0;
        }
    }

    fn place(&self, call: CallId) -> Option<usize> {
        if self.calls.front()?.call == call {
            return Some(0);
        }
        let found = self
            .calls
            .binary_search_by_key(&call, |waiting| waiting.call);
        found.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn call(number: u64) -> CallId {
        CallId::new(number).expect("not 0")
    }

    #[test]
    fn calls_answered_out_of_turn_take_no_room_for_long() {
        let mut unanswered = Unanswered::default();
        unanswered.insert(call(1), 1, false);
        for number in 2..10_000 {
            unanswered.insert(call(number), number, false);
            unanswered.remove(call(number));
            assert!(unanswered.calls.len() <= 3);
        }
        assert_eq!((unanswered.len(), unanswered.get(call(1))), (1, Some(1)));
    }

    proptest! {
        #[test]
        fn it_is_a_map_whose_keys_come_in_order(
            steps in prop::collection::vec((any::<bool>(), 1u64..40), 0..200),
        ) {
            let (mut unanswered, mut model) = (Unanswered::default(), BTreeMap::new());
            let mut last = 0;
            for (insert, number) in steps {
                if insert {
                    last += number;
                    unanswered.insert(call(last), number, false);
                    model.insert(last, number);
                } else {
                    unanswered.remove(call(number));
                    model.remove(&number);
                }
                prop_assert_eq!(unanswered.len(), model.len());
                for number in 1..60 {
                    prop_assert_eq!(unanswered.get(call(number)), model.get(&number).copied());
                }
            }
        }
    }
}
