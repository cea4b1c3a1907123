use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, if that is a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
}

const RESOLUTION: f64 = 1000.0;

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(RESOLUTION as u64);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}, {elapsed}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(crate) fn show(&self, done: f64, calls: u64, kills: u64) {
        self.bar.set_position((done * RESOLUTION) as u64);
        self.bar
            .set_message(format!("{calls} calls, {kills} kills"));
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
