//! How much of a stream may be sent before its reader has said more.

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
