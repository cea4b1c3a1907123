//! From values to places on an axis.

/// How an axis is divided.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scale {
    /// Equal steps are equal factors.
    Log { low: f64, high: f64 },
    /// As `Log`, marked at powers of two.
    Binary { low: f64, high: f64 },
    /// As `Binary`, and what is zero stands by itself before the lowest value.
    LogAndZero { low: f64, high: f64 },
    /// Shares of all calls, from 0 to so many nines: each nine takes as much room as the one before.
    Nines { nines: f64 },
}

/// A value that is marked on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    pub(crate) is_labelled: bool,
}

/// The part of an axis before the lowest value of `LogAndZero`.
const ZERO_ROOM: f64 = 0.08;

impl Scale {
    /// A logarithmic scale that holds all values, with a little room on both sides.
    pub(crate) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        Self::Log {
            low: low / 1.25,
            high: high * 1.25,
        }
    }

    /// Where a value lies, from 0 to 1.
    pub(crate) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Log { low, high } | Self::Binary { low, high } => {
                (value / low).ln() / (high / low).ln()
            }
            Self::LogAndZero { .. } if value == 0.0 => 0.0,
            Self::LogAndZero { low, high } => {
                ZERO_ROOM + (1.0 - ZERO_ROOM) * (value / low).ln() / (high / low).ln()
            }
            Self::Nines { nines } => -(1.0 - value).log10() / nines,
        };
        place.clamp(0.0, 1.0)
    }

    pub(crate) fn ticks(self) -> Vec<Tick> {
        match self {
            Self::Log { low, high } => log_ticks(low, high),
            Self::Binary { low, high } => binary_ticks(low, high),
            Self::LogAndZero { low, high } => {
                let zero = Tick {
                    value: 0.0,
                    is_labelled: true,
                };
                std::iter::once(zero)
                    .chain(binary_ticks(low, high))
                    .collect()
            }
            Self::Nines { nines } => {
                let shares = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999];
                let within = |share: &f64| -(1.0 - share).log10() <= nines + 1e-9;
                let tick = |value| Tick {
                    value,
                    is_labelled: true,
                };
                shares.into_iter().filter(within).map(tick).collect()
            }
        }
    }
}

/// 1, 2 and 5 of every decade; where there are many decades, only the ones have labels.
fn log_ticks(low: f64, high: f64) -> Vec<Tick> {
    let decades = (high / low).log10();
    let mut ticks = Vec::new();
    let mut decade = low.log10().floor() as i32;
    while 10_f64.powi(decade) <= high {
        for digit in [1.0, 2.0, 5.0] {
            let value = digit * 10_f64.powi(decade);
            if (low..=high).contains(&value) {
                ticks.push(Tick {
                    value,
                    is_labelled: digit == 1.0 || decades < 2.3,
                });
            }
        }
        decade += 1;
    }
    ticks
}

/// Powers of two, or of four or sixteen where those would be many.
fn binary_ticks(low: f64, high: f64) -> Vec<Tick> {
    let octaves = (high / low).log2();
    let step = match octaves {
        ..=8.0 => 1,
        ..=12.0 => 2,
        _ => 4,
    };
    let mut ticks = Vec::new();
    let mut power = (low.log2() - 1e-9).ceil() as i32;
    while 2_f64.powi(power) <= high * 1.001 {
        ticks.push(Tick {
            value: 2_f64.powi(power),
            is_labelled: true,
        });
        power += step;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equal_steps() {
        let scale = Scale::Log {
            low: 1.0,
            high: 100.0,
        };
        assert_eq!(scale.place(10.0), 0.5);
        assert_eq!(scale.place(1000.0), 1.0);
        let nines = Scale::Nines { nines: 4.0 };
        assert!((nines.place(0.99) - 0.5).abs() < 1e-9);
        let zero = Scale::LogAndZero {
            low: 1024.0,
            high: 4096.0,
        };
        assert_eq!(zero.place(0.0), 0.0);
        assert_eq!(zero.place(1024.0), ZERO_ROOM);
        assert_eq!(zero.ticks().len(), 4);
    }

    #[test]
    fn a_long_scale_labels_only_its_decades() {
        let ticks = log_ticks(1.0, 10_000.0);
        let labelled: Vec<_> = ticks.iter().filter(|tick| tick.is_labelled).collect();
        assert_eq!(labelled.len(), 5);
        assert!(log_ticks(1.0, 20.0).iter().all(|tick| tick.is_labelled));
    }
}
