//! `--compare COMMIT`: this build beside that of another commit, in alternating pairs.
//!
//! The other commit is built whole, in a work tree of its own: its host, its worker package, its benchmark's child and
//! its environment. This driver speaks to that child in the protocol of [`Order`], so the oldest commit that can be
//! compared is the first whose benchmark has children, and a row must be one that both know.

mod build;

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::driver::{Child, Opened, Progress};
use crate::options::Options;
use crate::protocol::{Function, Load, Order};
use crate::row::{Measured, Row};
use crate::scenario::Scenario;
use crate::spec::{Codec, Placement, Spec, Spin, Worker};
use crate::statistics::{Ratio, median};
use build::Build;

pub(crate) fn run(commit: &str, options: &Options) -> Result<ExitCode> {
    let this = Build::this()?;
    let other = Build::of(commit)?;
    let rows = rows(options);
    let progress = Progress::new();
    progress.stage("compare", commit, 1, 1);
    progress.expect(rows.len() * options.pairs);
    let mut comparisons: Vec<_> = rows.into_iter().map(Comparison::new).collect();
    for pair in 0..options.pairs {
        for comparison in &mut comparisons {
            comparison.pair(pair, &this, &other, options)?;
            progress.advance(1);
        }
    }
    progress.end();
    print!("{}", report(commit, options, &comparisons));
    Ok(ExitCode::SUCCESS)
}

/// The rows that are compared: service time, and saturation.
fn rows(options: &Options) -> Vec<Row> {
    let pool = |worker, placement| Spec {
        runtime: options.runtime,
        in_flight: options.in_flight,
        ..Spec::pool(Codec::MsgPack, worker, Spin::Auto, placement)
    };
    let mut rows = Vec::new();
    for worker in [Worker::Pure, Worker::Native] {
        for placement in [Placement::Across, Placement::Same] {
            rows.push(Row::closed(
                Scenario::Sequential,
                pool(worker, placement),
                1,
            ));
        }
        for callers in [32, 256] {
            let spec = pool(worker, Placement::Free);
            rows.push(Row::closed(Scenario::Concurrent, spec, callers));
        }
    }
    rows
}

/// A row, with what each pair gave.
struct Comparison {
    row: Row,
    /// This build, the other one, and this build once more: the control, which shows how much two runs of the same
    /// differ.
    values: Vec<[Value; 3]>,
    unfit: Option<String>,
}

/// What one run gave.
#[derive(Clone, Copy, Default)]
struct Value {
    /// Microseconds of a call, or calls a second.
    speed: f64,
    /// Microseconds of processor time of a call, both sides together; 0 where the system does not tell.
    cpu: f64,
}

impl Comparison {
    fn new(row: Row) -> Self {
        Self {
            row,
            values: Vec::new(),
            unfit: None,
        }
    }

    /// Each pair has new processes, so that what a process is dealt for its life (where its memory and its code lie)
    /// is dealt anew; and each of the three is the first, the second and the last equally often.
    fn pair(
        &mut self,
        number: usize,
        this: &Build,
        other: &Build,
        options: &Options,
    ) -> Result<()> {
        if self.unfit.is_some() {
            return Ok(());
        }
        let builds = [this, other, this];
        let mut values = [Value::default(); 3];
        for turn in 0..builds.len() {
            let place = (number + turn) % builds.len();
            match self.measure(builds[place], options)? {
                Ok(value) => values[place] = value,
                Err(reason) => {
                    self.unfit = Some(reason);
                    return Ok(());
                }
            }
        }
        self.values.push(values);
        Ok(())
    }

    /// One run; or why there is none.
    fn measure(&self, build: &Build, options: &Options) -> Result<Result<Value, String>> {
        let opened = Child::open_with(&build.program, build.python.as_deref(), &self.row.spec)?;
        let mut child = match opened {
            Opened::Ready(child) => child,
            Opened::Unfit(reason) => return Ok(Err(reason)),
            Opened::Failed => bail!("the subject has not started"),
        };
        let load = match self.row.load {
            Load::Closed { callers, .. } => Load::Closed {
                callers,
                function: Function::Predict,
            },
            _ => self.row.load.clone(),
        };
        let mut measured = Measured::new(self.row.clone())?;
        // Rows are shorter than in a report: there are many of them, and each has a pair.
        for seconds in [0.05, options.seconds() / 10.0] {
            let round = child.carry_out(&Order {
                load: load.clone(),
                seconds,
            })?;
            measured = Measured::new(self.row.clone())?;
            measured.add(&round);
        }
        let speed = match self.row.scenario {
            Scenario::Sequential => measured.quantile_us(0.5),
            _ => measured.per_second(),
        };
        Ok(Ok(Value {
            speed: speed.context("no call was made")?,
            cpu: measured.cpu_us_per_call().unwrap_or_default(),
        }))
    }

    fn ratio(&self, first: usize, second: usize, of: fn(&Value) -> f64) -> Option<Ratio> {
        let pairs: Vec<_> = self
            .values
            .iter()
            .map(|values| (of(&values[first]), of(&values[second])))
            .collect();
        Ratio::of_medians(&pairs)
    }
}

fn report(commit: &str, options: &Options, comparisons: &[Comparison]) -> String {
    let mut text = format!(
        "\nThis build against {commit}, {} pairs: the ratio of the medians and its 95 % bootstrap interval. The \
         control is this build against itself. CPU is that of a call, of both sides together.\n\n\
         | scenario | worker | placement | callers | unit | this | other | this / other | control | verdict | \
         CPU µs | CPU: this / other |\n\
         | --- | --- | --- | ---: | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |\n",
        options.pairs
    );
    for comparison in comparisons {
        let row = &comparison.row;
        let worker = row
            .spec
            .worker
            .map(|worker| format!("{worker:?}").to_lowercase());
        let placement = row
            .spec
            .placement
            .map(|at| format!("{at:?}").to_lowercase());
        let _ = write!(
            text,
            "| {} | {} | {} | {} ",
            row.scenario.name(),
            worker.unwrap_or_default(),
            placement.unwrap_or_default(),
            row.callers().unwrap_or_default(),
        );
        let middle = |place: usize, of: fn(&Value) -> f64| {
            median(comparison.values.iter().map(|values| of(&values[place])))
        };
        let speed = |value: &Value| value.speed;
        let cpu = |value: &Value| value.cpu;
        let numbers = (
            comparison.ratio(0, 1, speed),
            comparison.ratio(0, 2, speed),
            middle(0, speed),
            middle(1, speed),
        );
        let (Some(ratio), Some(control), Some(this), Some(other)) = numbers else {
            text.push_str("| skipped | | | | | | | |\n");
            continue;
        };
        let lower_is_better = row.scenario == Scenario::Sequential;
        let (unit, digits) = if lower_is_better {
            ("p50 µs", 2)
        } else {
            ("calls/s", 0)
        };
        let _ = writeln!(
            text,
            "| {unit} | {this:.digits$} | {other:.digits$} | {} | {} | {} | {:.2} | {} |",
            shown(&ratio),
            shown(&control),
            verdict(&ratio, &control, lower_is_better),
            middle(0, cpu).unwrap_or_default(),
            comparison
                .ratio(0, 1, cpu)
                .map_or_else(|| "unknown".to_owned(), |ratio| shown(&ratio)),
        );
    }
    let mut reasons: Vec<_> = comparisons
        .iter()
        .filter_map(|one| one.unfit.as_ref())
        .collect();
    reasons.dedup();
    for reason in reasons {
        let _ = writeln!(text, "\nskipped: {reason}");
    }
    text
}

fn shown(ratio: &Ratio) -> String {
    format!("{:.3} ({:.3}–{:.3})", ratio.value, ratio.low, ratio.high)
}

/// A difference counts if the interval leaves out 1, and if it is larger than what the control shows by itself.
fn verdict(ratio: &Ratio, control: &Ratio, lower_is_better: bool) -> &'static str {
    if control.differs() {
        return "the control differs: run it again";
    }
    if !ratio.differs() || ratio.value.ln().abs() <= control.value.ln().abs() {
        return "no difference seen";
    }
    if (ratio.value < 1.0) == lower_is_better {
        "quicker"
    } else {
        "slower"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(value: f64, low: f64, high: f64) -> Ratio {
        Ratio { value, low, high }
    }

    #[test]
    fn a_verdict_needs_an_interval_and_a_quiet_control() {
        let quiet = ratio(1.01, 0.98, 1.03);
        let loud = ratio(1.10, 1.05, 1.15);
        let less = ratio(0.80, 0.78, 0.83);
        let more = ratio(1.20, 1.15, 1.25);
        let unclear = ratio(0.97, 0.93, 1.02);
        assert_eq!(verdict(&less, &quiet, true), "quicker");
        assert_eq!(verdict(&less, &quiet, false), "slower");
        assert_eq!(verdict(&more, &quiet, false), "quicker");
        assert_eq!(verdict(&unclear, &quiet, true), "no difference seen");
        assert!(verdict(&more, &loud, true).starts_with("the control differs"));
    }
}
