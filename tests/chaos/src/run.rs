//! A run, from the first worker to the verdict.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

use crate::adversary::Adversary;
use crate::budget::Budget;
use crate::clock::now_ns;
use crate::deaths::{Acts, Deaths, Figures};
use crate::findings::Finding;
use crate::fleet::Fleet;
use crate::inventory::Inventory;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::options::{Command, Length};
use crate::progress::Progress;
use crate::report::Report;
use crate::slope::{Slope, Slopes};
use crate::watch::Watch;

/// How often the journals are read.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker wrote is read well within this time.
const UNREAD: Duration = Duration::from_secs(5);

/// Nothing follows the end of a call after so long: whatever a worker still has of it was killed as overdue.
const SETTLED: Duration = Duration::from_secs(60);

/// A pool's workers are all ready again after this time at most.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

/// The callers' last calls end with their deadlines.
const QUIET_WITHIN: Duration = Duration::from_secs(10);

/// A call that nobody waits for is interrupted, and a worker that is stuck in it is replaced.
const IDLE_WITHIN: Duration = Duration::from_secs(10);

/// The promises are about one in a hundred: of fewer kills than this, that would be about the slowest few.
const KILLS_FOR_P99: u64 = 1000;
const NOTICED_P99_MS: f64 = 100.0;
const REPLACED_P99_MS: f64 = 1000.0;

pub(crate) fn run(command: &Command) -> Result<Report> {
    let options = command.options();
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seed {seed}");
    listen(options.log.as_deref())?;
    let ledger = Arc::new(Ledger::default());
    count_panics(&ledger);
    // The first runtime of a process opens a pair of sockets for signals, which stays.
    drop(runtime("pyproc-host", 1)?);
    let mark = format!("PYPROC_CHAOS_{}_{}", std::process::id(), now_ns());
    let before = Inventory::take(&mark);
    let mut report = {
        let host = runtime("pyproc-host", 2)?;
        let other = runtime("pyproc-chaos", 1)?;
        let stage = Stage {
            host: &host,
            other: &other,
            ledger: &ledger,
            seed,
        };
        stage.play(command, &mark)?
    };
    before.compare(&mark, &ledger.findings);
    let findings = &ledger.findings;
    for (what, figure, promise) in [
        ("noticed", report.death_noticed_p99_ms, NOTICED_P99_MS),
        ("replaced", report.replaced_p99_ms, REPLACED_P99_MS),
    ] {
        if report.kills >= KILLS_FOR_P99 && figure > promise {
            let finding = || format!("{what} with p99 {figure} ms, not {promise} ms");
            findings.add(Finding::Slow, finding);
        }
    }
    if report.replaced_measured < report.replaced_unmeasured {
        let (measured, not) = (report.replaced_measured, report.replaced_unmeasured);
        let finding = || format!("{measured} replacements are measured, and {not} are not");
        findings.add(Finding::Slow, finding);
    }
    report.leaked_pids = findings.count(Finding::LeakedPid);
    report.leaked_fds = findings.count(Finding::LeakedFd);
    report.findings = findings.lines();
    print!("{report}");
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    Ok(report)
}

/// Where a run takes place: the pools and their callers on one runtime, and on another those who disturb them.
struct Stage<'a> {
    host: &'a Runtime,
    other: &'a Runtime,
    ledger: &'a Arc<Ledger>,
    seed: u64,
}

impl Stage<'_> {
    fn play(&self, command: &Command, mark: &str) -> Result<Report> {
        let Length { kills, time } = command.length();
        let directory = tempfile::tempdir()?;
        let starting = Fleet::start(command.is_soak(), directory.path(), mark);
        let fleet = Arc::new(self.host.block_on(starting)?);
        let mut books = Books::open(&fleet, self.ledger)?;
        let deaths = Arc::clone(&books.deaths);
        let watch = Watch::start(&fleet, &deaths, self.ledger)?;
        let load = {
            let _guard = self.host.enter();
            Load::start(&fleet, self.ledger, self.seed, command.options().rate)
        };
        let begin = Instant::now();
        let adversary = self.other.block_on(async {
            let adversary = Arc::new(Adversary {
                seed: self.seed,
                fleet: Arc::clone(&fleet),
                ledger: Arc::clone(self.ledger),
                watch: Arc::clone(&watch),
                deaths,
                budget: Budget::new(kills, time),
                acts: Acts::default(),
            });
            haunt(&adversary, &mut books, kills).await?;
            recover(&adversary).await;
            anyhow::Ok(adversary)
        })?;
        load.rest(true);
        self.other.block_on(come_to_rest(&fleet, self.ledger));
        load.rest(false);
        watch.stop();
        // The callers go on while the pools are shut down.
        self.host.block_on(fleet.shutdown())?;
        self.host.block_on(load.stop());
        let seconds = begin.elapsed().as_secs_f64();
        for team in &fleet.teams {
            team.compare_counts(self.ledger);
        }
        let slopes = books.close()?;
        Ok(self.report(&fleet, &adversary, slopes, seconds))
    }

    fn report(
        &self,
        fleet: &Fleet,
        adversary: &Adversary,
        slopes: Vec<Slope>,
        seconds: f64,
    ) -> Report {
        let findings = &self.ledger.findings;
        let figures = adversary.deaths.figures();
        let mut ends = self.ledger.ends();
        let overloaded = ends.remove("overloaded").unwrap_or_default();
        let accepted = self.ledger.opened() - overloaded;
        let noticed = |quantile| Figures::milliseconds(&figures.noticed_us, quantile);
        let replaced = |quantile| Figures::milliseconds(&figures.replaced_us, quantile);
        let latest = fleet.teams.iter().map(|team| team.latest());
        let latest = latest.max_by_key(|latest| latest.after).unwrap_or_default();
        Report {
            seed: self.seed,
            seconds,
            calls_per_second: accepted as f64 / seconds,
            accepted,
            overloaded,
            ends,
            lost: findings.count(Finding::Lost),
            doubled: findings.count(Finding::Doubled),
            swapped: findings.count(Finding::Swapped),
            executed_twice: findings.count(Finding::ExecutedTwice),
            executed_too_often: findings.count(Finding::ExecutedTooOften),
            executed_unstarted: findings.count(Finding::ExecutedUnstarted),
            executed_unknown: findings.count(Finding::ExecutedUnknown),
            never_executed: findings.count(Finding::NeverExecuted),
            leaked_pids: 0,
            leaked_fds: 0,
            kills: figures.kills,
            other_deaths: figures.other_deaths,
            acts: adversary.acts.all(),
            executions: self.ledger.executions(),
            repeated: self.ledger.repeated(),
            resent: fleet.teams.iter().map(|team| team.resent()).sum(),
            moved: fleet.teams.iter().map(|team| team.moved()).sum(),
            death_noticed_p50_ms: noticed(0.5),
            death_noticed_p99_ms: noticed(0.99),
            death_noticed_max_ms: noticed(1.0),
            replaced_p50_ms: replaced(0.5),
            replaced_p99_ms: replaced(0.99),
            replaced_max_ms: replaced(1.0),
            replaced_measured: figures.replaced_us.len(),
            replaced_unmeasured: figures.replaced_unmeasured,
            import_p50_ms: Figures::milliseconds(&figures.import_us, 0.5),
            latest_ms: latest.after.as_secs_f64() * 1000.0,
            latest: latest.what,
            slopes,
            findings: Vec::new(),
        }
    }
}

/// The journals, and what is read from them and measured beside them.
struct Books {
    fleet: Arc<Fleet>,
    ledger: Arc<Ledger>,
    deaths: Arc<Deaths>,
    journals: Vec<Journal>,
    slopes: Slopes,
    progress: Progress,
    begin: Instant,
}

impl Books {
    fn open(fleet: &Arc<Fleet>, ledger: &Arc<Ledger>) -> Result<Self> {
        let journals = fleet.teams.iter().map(|team| Journal::open(team.journal()));
        Ok(Self {
            fleet: Arc::clone(fleet),
            ledger: Arc::clone(ledger),
            deaths: Arc::new(Deaths::new()?),
            journals: journals.collect::<Result<_>>()?,
            slopes: Slopes::default(),
            progress: Progress::new(),
            begin: Instant::now(),
        })
    }

    /// Reads what is new.
    fn read(&mut self, unread: Duration) -> Result<()> {
        for journal in &mut self.journals {
            journal.read(&self.ledger, &self.deaths)?;
        }
        self.deaths.resolve(unread);
        self.ledger.settle(SETTLED);
        Ok(())
    }

    /// Looks at the host, and at the workers that live long enough to grow.
    fn measure(&mut self) {
        let at_s = self.begin.elapsed().as_secs_f64();
        let spared = self.fleet.teams.iter().filter(|team| team.roster.spared);
        for team in spared {
            for worker in team.status().workers {
                if let Some(pid) = worker.pid {
                    self.slopes.look(team.name(), pid, at_s);
                }
            }
        }
        self.slopes.look("host", std::process::id(), at_s);
    }

    fn close(mut self) -> Result<Vec<Slope>> {
        self.read(Duration::ZERO)?;
        for (journal, team) in self.journals.iter().zip(&self.fleet.teams) {
            journal.check_end()?;
            team.compare_repeats(journal.repeated(), &self.ledger);
        }
        self.deaths.close();
        self.ledger.close();
        self.progress.end();
        let is_soak = self.fleet.teams.iter().any(|team| team.roster.spared);
        match is_soak {
            true => Ok(self.slopes.judge(&self.ledger.findings)),
            false => Ok(Vec::new()),
        }
    }
}

/// Has the adversary at work in every slot until as many workers were killed as asked for, or the time is over.
async fn haunt(adversary: &Arc<Adversary>, books: &mut Books, kills: Option<u64>) -> Result<()> {
    let mut numbers: Vec<_> = adversary
        .fleet
        .places()
        .into_iter()
        .map(|p| (p, 0))
        .collect();
    loop {
        let haunting = numbers
            .iter_mut()
            .map(|(place, number)| adversary.haunt(*place, number));
        let mut haunting = std::pin::pin!(futures::future::join_all(haunting));
        let mut ticks = tokio::time::interval(READ_INTERVAL);
        loop {
            tokio::select! {
                _ = &mut haunting => break,
                _ = ticks.tick() => {
                    books.read(UNREAD)?;
                    books.measure();
                    let (calls, kills) = (books.ledger.opened(), books.deaths.figures().kills);
                    books.progress.show(adversary.budget.progress(), calls, kills);
                }
            }
        }
        recover(adversary).await;
        books.read(Duration::ZERO)?;
        let Some(missing) = kills.map(|kills| kills.saturating_sub(books.deaths.figures().kills))
        else {
            return Ok(());
        };
        let is_hopeless = books.ledger.findings.count(Finding::NotReplaced) > 0;
        if missing == 0 || is_hopeless {
            return Ok(());
        }
        adversary.budget.grant(missing);
    }
}

/// When nobody calls, nothing is in flight: every permit is back, those of calls that were dropped included.
async fn come_to_rest(fleet: &Fleet, ledger: &Ledger) {
    // A call that is lost is found by its own entry.
    let _ = within(QUIET_WITHIN, || ledger.is_quiet()).await;
    for team in &fleet.teams {
        if !within(IDLE_WITHIN, || team.is_idle()).await {
            let finding = || format!("{}: {:?}", team.name(), team.status());
            ledger.findings.add(Finding::NotIdle, finding);
        }
    }
}

/// Whether a condition holds before the time is over.
async fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(time, waiting).await.is_ok()
}

/// Every slot has a worker again.
async fn recover(adversary: &Adversary) {
    for place in adversary.fleet.places() {
        if adversary
            .watch
            .ready(place, RECOVERED_WITHIN)
            .await
            .is_none()
        {
            let finding = || format!("{place:?}");
            adversary.ledger.findings.add(Finding::NotReplaced, finding);
        }
    }
}

fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name);
    Ok(builder.enable_all().build()?)
}

/// What workers and pools say goes to a file or nowhere: there is too much of it for a terminal.
fn listen(file: Option<&Path>) -> Result<()> {
    let log = match file {
        Some(file) => file,
        None => Path::new("/dev/null"),
    };
    let opened = File::create(log);
    let opened = opened.with_context(|| format!("cannot write {}", log.display()))?;
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(Mutex::new(opened))
        .init();
    Ok(())
}

fn count_panics(ledger: &Arc<Ledger>) {
    let ledger = Arc::clone(ledger);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        ledger.findings.add(Finding::Panicked, || panic.to_string());
        before(panic);
    }));
}
