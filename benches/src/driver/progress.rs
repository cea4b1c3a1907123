use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, if that is a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style =
            ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} rounds, {elapsed}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// The next scenario begins.
    pub(crate) fn stage(&self, scenario: &str, stage: &str, run: u32, runs: u32) {
        let run = if runs > 1 {
            format!("run {run}/{runs}, ")
        } else {
            String::new()
        };
        self.bar.set_prefix(format!("{run}{stage} {scenario:<14}"));
        self.bar.set_length(0);
        self.bar.set_position(0);
    }

    /// So many more rounds are to come.
    pub(crate) fn expect(&self, rounds: usize) {
        self.bar.inc_length(rounds as u64);
    }

    pub(crate) fn advance(&self, rounds: usize) {
        self.bar.inc(rounds as u64);
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
