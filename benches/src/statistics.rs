//! The little statistics that comparing two commits needs.

use fastrand::Rng;

/// A ratio of medians, with the interval that holds it in 95 of 100 resamplings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// As many as it takes for the third digit of an interval to stay.
const RESAMPLINGS: usize = 10_000;

impl Ratio {
    /// The median of the first of all pairs over the median of the second, with its bootstrap interval (Efron's
    /// percentiles). Whole pairs are drawn, because both halves of a pair saw the same weather. `None` without pairs.
    pub(crate) fn of_medians(pairs: &[(f64, f64)]) -> Option<Self> {
        Self::resampled(pairs, RESAMPLINGS)
    }

    fn resampled(pairs: &[(f64, f64)], times: usize) -> Option<Self> {
        let value = ratio(pairs)?;
        // The same numbers give the same interval.
        let mut random = Rng::with_seed(0x70_79_70_72_6f_63);
        let mut ratios: Vec<f64> = (0..times)
            .filter_map(|_| {
                let drawn: Vec<_> = (0..pairs.len())
                    .filter_map(|_| random.choice(pairs).copied())
                    .collect();
                ratio(&drawn)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let at = |share: f64| ratios.get((share * ratios.len() as f64) as usize).copied();
        Some(Self {
            value,
            low: at(0.025)?,
            high: at(0.975)?,
        })
    }

    /// Whether the interval leaves out that nothing has changed.
    pub(crate) fn differs(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

fn ratio(pairs: &[(f64, f64)]) -> Option<f64> {
    let first = median(pairs.iter().map(|pair| pair.0))?;
    let second = median(pairs.iter().map(|pair| pair.1))?;
    (second > 0.0).then_some(first / second)
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values.get(middle - 1)? + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around a level, with noise that the seed decides.
    fn noisy(level: f64, seed: u64) -> impl Iterator<Item = f64> {
        let mut random = Rng::with_seed(seed);
        std::iter::repeat_with(move || level * (0.9 + 0.2 * random.f64()))
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_difference_is_told_from_noise() {
        let same: Vec<_> = noisy(10.0, 1).zip(noisy(10.0, 2)).take(30).collect();
        let same = Ratio::of_medians(&same).unwrap();
        assert!(!same.differs(), "{same:?}");
        assert!(same.low < same.value && same.value < same.high, "{same:?}");

        let slower: Vec<_> = noisy(12.0, 3).zip(noisy(10.0, 4)).take(30).collect();
        let slower = Ratio::of_medians(&slower).unwrap();
        assert!(slower.differs() && slower.low > 1.05, "{slower:?}");
        assert!((slower.value - 1.2).abs() < 0.08, "{slower:?}");
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let held = (0..200).filter(|seed| {
            let pairs = noisy(11.0, seed * 2).zip(noisy(10.0, seed * 2 + 1));
            let pairs: Vec<_> = pairs.take(30).collect();
            let ratio = Ratio::resampled(&pairs, 400).unwrap();
            ratio.low <= 1.1 && 1.1 <= ratio.high
        });
        let held = held.count();
        assert!(held >= 180, "in {held} of 200");
    }

    #[test]
    fn nothing_is_said_about_nothing() {
        assert_eq!(Ratio::of_medians(&[]), None);
    }
}
