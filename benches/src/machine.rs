use std::env;
use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cores;

/// Where the numbers come from.
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    system: String,
    python: String,
    /// When, in UTC.
    date: String,
}

impl Machine {
    pub(crate) fn look() -> Result<Self> {
        let uname = rustix::system::uname();
        let words = [uname.sysname(), uname.release(), uname.machine()];
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        Ok(Self {
            processor: processor(),
            cores: cores::count(),
            system: words.join(" "),
            python: python()?,
            date: today(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            processor,
            cores,
            system,
            python,
            date,
        } = self;
        write!(
            formatter,
            "{date}: {processor}, {cores} cores, {system}, {python}"
        )
    }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "unknown processor".into(), |(_, model)| model.to_owned())
}

/// The interpreter of the workers, and what of their optional packages it has.
fn python() -> Result<String> {
    const QUESTION: &str = "import importlib.metadata, platform
found = ['Python ' + platform.python_version()]
for name in ('msgspec', 'grpcio', 'mosec'):
    try:
        found.append(name + ' ' + importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        pass
print(', '.join(found))";
    let python = env::var_os("PYPROC_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python)
        .args(["-c", QUESTION])
        .output()
        .with_context(|| format!("cannot start {}", python.to_string_lossy()))?;
    ensure!(
        output.status.success(),
        "{} fails",
        python.to_string_lossy()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn today() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let (year, month, day) = civil(now.tv_sec.div_euclid(86_400));
    format!("{year}-{month:02}-{day:02}")
}

/// The date of a day since 1970-01-01; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_780), (2026, 11, 23));
    }
}
