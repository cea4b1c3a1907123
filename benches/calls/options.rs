use std::env;
use std::path::PathBuf;

use crate::Result;

/// What the command line asks for.
pub(crate) struct Options {
    /// Whether a measurement is wanted at all: cargo passes `--bench` when it is.
    pub(crate) asked: bool,
    /// How long each row is measured, over all rounds together.
    pub(crate) seconds: f64,
    /// Where the rows are written as JSON, too.
    pub(crate) json: Option<PathBuf>,
    /// Whether host and worker are tied to a core each.
    pub(crate) pin: bool,
}

impl Options {
    pub(crate) fn from_arguments() -> Result<Self> {
        let mut options = Self {
            asked: false,
            seconds: 5.0,
            json: None,
            pin: true,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--bench" => options.asked = true,
                "--no-pin" => options.pin = false,
                "--seconds" => options.seconds = value()?.parse()?,
                "--json" => options.json = Some(value()?.into()),
                other => return Err(format!("unknown argument {other}").into()),
            }
        }
        if !options.seconds.is_finite() || options.seconds <= 0.0 {
            return Err("--seconds must be more than 0".into());
        }
        Ok(options)
    }
}
