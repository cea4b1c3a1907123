use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Kill, stop, starve and confuse the workers of pools under load, and prove that no call suffers for it.
    Chaos {
        /// How many workers are killed; what else is done to them comes on top.
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
        kills: u64,
        /// Spread the kills over so much time; by default they follow each other as fast as workers are replaced.
        #[arg(long, value_name = "S")]
        seconds: Option<u64>,
        #[command(flatten)]
        options: Options,
    },
    /// The same for a given time, beside pools that are left in peace, whose memory and descriptors must not grow.
    Soak {
        /// How long.
        #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(20..))]
        seconds: u64,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Args, Clone)]
pub(crate) struct Options {
    /// What the adversary does is a function of this number; by default it is drawn, and printed.
    #[arg(long, value_name = "X")]
    pub(crate) seed: Option<u64>,
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write what pools, workers and the adversary say to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// How many calls are made in a second, over all pools together, if the machine can.
    #[arg(long, value_name = "CALLS", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
}

/// What a run is asked for.
pub(crate) struct Length {
    /// As many kills, if they are what ends the run.
    pub(crate) kills: Option<u64>,
    /// As long, if that is what ends the run, or what the kills are spread over.
    pub(crate) time: Option<Duration>,
}

impl Command {
    pub(crate) fn options(&self) -> &Options {
        match self {
            Self::Chaos { options, .. } | Self::Soak { options, .. } => options,
        }
    }

    pub(crate) fn length(&self) -> Length {
        match self {
            Self::Chaos { kills, seconds, .. } => Length {
                kills: Some(*kills),
                time: seconds.map(Duration::from_secs),
            },
            Self::Soak { seconds, .. } => Length {
                kills: None,
                time: Some(Duration::from_secs(*seconds)),
            },
        }
    }

    pub(crate) fn is_soak(&self) -> bool {
        matches!(self, Self::Soak { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let words = ["xtask", "chaos", "--kills", "7", "--seed", "3"];
        let command = Cli::parse_from(words).command;
        assert_eq!(command.length().kills, Some(7));
        assert_eq!(command.options().seed, Some(3));
        assert!(Cli::try_parse_from(["xtask", "chaos", "--kills", "0"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "soak", "--kills", "1"]).is_err());
    }
}
