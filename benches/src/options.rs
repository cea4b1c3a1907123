use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenario::Scenario;
use crate::spec::Runtime;

/// What a call costs, side by side with floors and peers.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What the program is when it was started by itself.
#[derive(Subcommand)]
pub(crate) enum Role {
    /// One subject, driven over standard input.
    #[command(hide = true)]
    Child { spec: String },
    /// Send back every message that arrives on descriptor 0.
    #[command(hide = true)]
    Echo,
    /// Send as many items as are asked for on descriptor 0.
    #[command(hide = true)]
    Items,
}

#[derive(Args)]
pub(crate) struct Options {
    /// A smaller choice of rows, each measured for a shorter time: the whole run ends within 45 s.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these scenarios.
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Scenario>,
    /// How long each row is measured, over all its rounds together [default: 2, or 0.15 with --quick].
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<f64>,
    /// Run everything so often, and show medians with their spread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// Measure the peers too; `cargo xtask setup --bench` installs them.
    #[arg(long)]
    pub(crate) peers: bool,
    /// Write the rows to this file, as a JSON list.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with plots, which needs nothing beside itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Put the tables into this document, between its marks.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Build this commit beside the present one, and compare the two in alternating pairs.
    #[arg(long, value_name = "COMMIT", conflicts_with_all = ["json", "html", "markdown", "peers", "only"])]
    pub(crate) compare: Option<String>,
    /// How many pairs a comparison has.
    #[arg(long, default_value_t = 30, value_parser = pairs)]
    pub(crate) pairs: usize,
    /// How many calls a worker may have in flight; by default the pool decides.
    #[arg(long, value_name = "CALLS")]
    pub(crate) in_flight: Option<usize>,
    /// What the host's callers run on: a tokio runtime, or threads that call through the blocking door.
    #[arg(long, value_enum, default_value = "multi-thread")]
    pub(crate) runtime: Runtime,
}

impl Options {
    /// How long a row is measured.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(if self.quick { 0.15 } else { 2.0 })
    }
}

/// Two identical programs have been seen to differ by 14 % in 12 pairs.
fn pairs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(pairs) if pairs >= 30 => Ok(pairs),
        _ => Err("at least 30 pairs are needed".into()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds < 3600.0 => Ok(seconds),
        _ => Err("a number of seconds above 0 is needed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let words = ["bench", "--quick", "--only", "sequential,concurrent"];
        let options = Cli::parse_from(words).options;
        assert!(options.quick);
        assert_eq!(options.only, [Scenario::Sequential, Scenario::Concurrent]);
        assert!(Cli::try_parse_from(["bench", "--seconds", "0"]).is_err());
        assert!(Cli::try_parse_from(["bench", "--only", "nothing"]).is_err());
    }
}
