//! How much of a stream may be sent before its reader has said more, be it a result or an argument.

/// What is left of the leave to send, in bytes of whole frames.
///
/// An item may be sent as long as anything is left, however long the item is: so a small credit
/// cannot stop a stream for good, and what lies unread is never more than the credit and one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Credit {
    left: i64,
}

impl Credit {
    pub(super) fn is_left(self) -> bool {
        self.left > 0
    }

    /// How many bytes are left; 0 or less if the last item has used up more than there were.
    pub(super) fn left(self) -> i64 {
        self.left
    }

    pub(super) fn grant(&mut self, bytes: u32) {
        self.left = self.left.saturating_add(bytes.into());
    }

    /// Accounts for an item whose frame has so many bytes. Returns whether there was leave to send
    /// it.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let had_leave = self.is_left();
        self.left = self.left.saturating_sub_unsigned(bytes as u64);
        had_leave
    }
}

/// An argument that is sent item by item. `P` is what is known of the place of its parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<P> {
    pub(super) place: P,
    credit: Credit,
    have_ended: bool,
}

impl<P> Items<P> {
    /// Of which nothing may be sent yet.
    pub(super) fn new(place: P) -> Self {
        Self {
            place,
            credit: Credit::default(),
            have_ended: false,
        }
    }

    /// What may be sent of them, unless they have ended.
    pub(super) fn open(&mut self) -> Option<&mut Credit> {
        (!self.have_ended).then_some(&mut self.credit)
    }

    /// Notes that no more follow.
    pub(super) fn end(&mut self) {
        self.have_ended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_item_may_be_longer_than_what_is_left_and_is_made_good_for() {
        let mut credit = Credit::default();
        assert!(!credit.spend(1));
        credit.grant(11);
        assert!(credit.spend(9));
        assert!(credit.spend(1000));
        assert!(!credit.is_left());
        credit.grant(999);
        assert!(!credit.spend(1));
        credit.grant(1);
        assert!(!credit.is_left());
        credit.grant(1);
        assert!(credit.is_left());
    }

    #[test]
    fn no_sum_overflows() {
        let mut credit = Credit { left: i64::MAX - 1 };
        credit.grant(u32::MAX);
        assert!(credit.spend(usize::MAX));
        assert!(!credit.spend(usize::MAX));
        assert!(!credit.spend(usize::MAX));
    }
}
