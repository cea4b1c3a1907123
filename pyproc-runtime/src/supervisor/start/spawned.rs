use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::{Protocol, ProtocolError, Status, Welcome};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{CONNECT_BACKOFF, Starter, connect};
use crate::config::Recipe;
use crate::connection::{Connection, Handshake, HandshakeError, Lost};
use crate::death::{self, LastWords};
use crate::error::{Error, ErrorKind, PythonError, Result};
use crate::state_page::StatePage;
use crate::supervisor::ladder::LAST_LOOK;
use crate::supervisor::worker::{Body, Worker, log};
use crate::telemetry::Origin;
use crate::worker::{
    self, Exit, Launch, MemoryWatch, Mode, Outlet, SocketDir, SocketDirError, SpawnError, Spawned,
    Stacks, StderrTail,
};

/// A worker that refuses to start says why and exits; for so long what it said is waited for after its exit.
const LAST_MOMENTS: Duration = Duration::from_millis(500);

/// The type of a refusal that no exception of the script is behind.
const OWN_REFUSAL: &str = "HandshakeError";

/// How often a path is looked at on which a worker is about to listen.
const LISTEN_POLL: Duration = Duration::from_millis(10);

/// A process that was started, and is not known to be a worker yet.
struct Newcomer {
    body: Body,
    socket: UnixStream,
    beside_hello: BesideHello,
}

/// What is handed to a worker beside the `Hello`, if it gets one on the socket that it was born with.
struct BesideHello {
    lifeline: OwnedFd,
    page: Option<(StatePage, OwnedFd)>,
    stacks: Option<OwnedFd>,
}

/// Why a newcomer did not become a worker.
enum Failure {
    Exited,
    TooSlow,
    Handshake(HandshakeError),
    Other(String),
}

impl Starter {
    /// Starts a process and waits until it is ready.
    pub(super) async fn start_process(
        &self,
        recipe: &Recipe,
        slot: usize,
        generation: u64,
    ) -> Result<Worker> {
        // The name is needed until the connection is made, and goes with this directory at the end of the start: a
        // host that is killed later leaves no file behind.
        let directory = if recipe.listens {
            Some(SocketDir::create().map_err(no_path)?)
        } else {
            None
        };
        let path = directory
            .as_ref()
            .map(|directory| directory.socket(slot))
            .transpose()
            .map_err(no_path)?;
        let Newcomer {
            body,
            socket,
            beside_hello,
        } = self
            .spawn(recipe, slot, generation, path.as_deref())
            .await?;
        let result = {
            let readiness = async {
                match &path {
                    None => {
                        self.greet(recipe, &body, socket, beside_hello, slot, generation)
                            .await
                    }
                    Some(path) => {
                        self.greet_on_path(recipe, &body, socket, path, slot, generation)
                            .await
                    }
                }
            };
            tokio::pin!(readiness);
            tokio::select! {
                result = &mut readiness => result,
                never = body.log.keep_reporting() => match never {},
                () = body.process.exited() => timeout(LAST_MOMENTS, readiness).await.unwrap_or(Err(Failure::Exited)),
                () = sleep(self.config().start_timeout) => Err(Failure::TooSlow),
            }
        };
        match result {
            Ok((connection, welcome)) => Ok(Worker::new(connection, Some(body), welcome)),
            Err(failure) => Err(self.bury(body, failure, slot, generation).await),
        }
    }

    async fn spawn(
        &self,
        recipe: &Recipe,
        slot: usize,
        generation: u64,
        path: Option<&Path>,
    ) -> Result<Newcomer> {
        let mut environment = recipe.environment.clone();
        if let Some(path) = path {
            environment
                .set
                .insert("PYPROC_SOCKET_PATH".into(), path.into());
        }
        let launch = |interpreter| Launch {
            interpreter,
            arguments: worker::arguments(),
            environment: environment.clone(),
            pool: Arc::clone(&self.config().name),
            slot,
            uid: recipe.isolation.uid,
            gid: recipe.isolation.gid,
        };
        let interpreter = self.interpreter(recipe).await?;
        let mut spawned = worker::spawn(launch(interpreter.clone())).await;
        if let Err(SpawnError::NotFound { .. }) = &spawned {
            // It was there once, so there may be another by now.
            self.forget_interpreter(&interpreter).await;
            spawned = worker::spawn(launch(self.interpreter(recipe).await?)).await;
        }
        let Spawned {
            process,
            socket,
            lifeline,
            stdout,
            stderr,
        } = spawned.map_err(|error| {
            Error::saying(ErrorKind::Start, error)
                .with_worker(self.identity(slot, generation, None))
        })?;
        let birth = match path {
            Some(_) => Some(socket.try_clone().map_err(|error| {
                let message = "the worker's socket cannot be duplicated";
                Error::new(ErrorKind::Start, message).with_source(error)
            })?),
            None => None,
        };
        // A listening worker is greeted on its path, where descriptors are nobody's business.
        let (page, stacks) = match path {
            None => (StatePage::create(), Stacks::create()),
            Some(_) => (None, None),
        };
        let beside_hello = BesideHello {
            lifeline,
            page,
            stacks: stacks.as_ref().and_then(Stacks::descriptor),
        };
        let memory = MemoryWatch::of(process.pid());
        let origin = Arc::new(Origin {
            pool: Arc::clone(&self.config().name),
            slot,
            pid: Some(process.pid()),
        });
        let tail = Arc::new(StderrTail::default());
        let readers = JoinSet::from_iter([
            worker::pump(
                stdout,
                worker::OutputKind::Stdout,
                Arc::clone(&origin),
                None,
            ),
            worker::pump(
                stderr,
                worker::OutputKind::Stderr,
                Arc::clone(&origin),
                Some(Arc::clone(&tail)),
            ),
        ]);
        Ok(Newcomer {
            body: Body {
                process,
                log: Arc::new(Outlet::new(origin, worker::OutputKind::Log)),
                stderr: tail,
                readers,
                stacks,
                asking: tokio::sync::Mutex::default(),
                memory,
                birth,
            },
            socket,
            beside_hello,
        })
    }

    /// Hands the worker its sources and shakes hands, all on the socket that it was born with.
    async fn greet(
        &self,
        recipe: &Recipe,
        body: &Body,
        socket: UnixStream,
        beside_hello: BesideHello,
        slot: usize,
        generation: u64,
    ) -> Result<(Arc<Connection>, Option<Welcome>), Failure> {
        let (page, names, descriptors) = beside_hello.unpack();
        let mut handshake = self
            .handshake(socket, slot, generation, &names)
            .map_err(|error| Failure::Other(error.to_string()))?;
        let bundle = worker::bundle(
            &recipe.target,
            Mode::Connection,
            recipe.core,
            recipe.event_loop,
            &recipe.python_path,
            &recipe.isolation,
        );
        handshake.send_preamble(&bundle).await?;
        let welcome = handshake
            .shake(descriptors, |record| log(&body.log, &record))
            .await?;
        Ok((
            self.connection(handshake, page, body, slot, generation),
            welcome,
        ))
    }

    /// Hands the worker its sources, waits until it listens on its path, and shakes hands there.
    async fn greet_on_path(
        &self,
        recipe: &Recipe,
        body: &Body,
        socket: UnixStream,
        path: &Path,
        slot: usize,
        generation: u64,
    ) -> Result<(Arc<Connection>, Option<Welcome>), Failure> {
        let bundle = worker::bundle(
            &recipe.target,
            Mode::Listen,
            recipe.core,
            recipe.event_loop,
            &recipe.python_path,
            &recipe.isolation,
        );
        let birth = self
            .handshake(socket, slot, generation, &[])
            .map_err(|error| Failure::Other(error.to_string()))?;
        birth.send_preamble(&bundle).await?;
        let mut delay = CONNECT_BACKOFF;
        let mut retries = self.config().connect_retries;
        loop {
            let socket = self.connect_when_bound(path).await?;
            let mut handshake = self
                .handshake(socket, slot, generation, &[])
                .map_err(|error| Failure::Other(error.to_string()))?;
            match handshake
                .shake(Vec::new(), |record| log(&body.log, &record))
                .await
            {
                Ok(welcome) => {
                    let connection = self.connection(handshake, None, body, slot, generation);
                    if self.config().protocol == Protocol::Json {
                        self.check_without_handshake(&connection)
                            .await
                            .map_err(Failure::Other)?;
                    }
                    return Ok((connection, welcome));
                }
                Err(HandshakeError::Lost(Lost::Eof | Lost::Io(_))) if retries > 0 => {
                    sleep(delay).await;
                    delay = delay.saturating_mul(2);
                    retries -= 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A script binds its path when it has loaded; until then nobody is there to be connected to.
    async fn connect_when_bound(&self, path: &Path) -> Result<UnixStream, Failure> {
        loop {
            match connect(path).await {
                Ok(socket) => return Ok(socket),
                Err(error) if is_not_bound(&error) => sleep(LISTEN_POLL).await,
                Err(error) => return Err(Failure::Other(error.to_string())),
            }
        }
    }

    fn connection(
        &self,
        handshake: Handshake,
        page: Option<StatePage>,
        body: &Body,
        slot: usize,
        generation: u64,
    ) -> Arc<Connection> {
        let identity = self.identity(slot, generation, Some(body.process.pid()));
        Arc::new(Connection::new(
            identity,
            handshake,
            page,
            self.config().spin,
        ))
    }

    /// The interpreter of all workers of this pool. It is looked for once, so that many starts do not ask it many times.
    ///
    /// Cancel safety: who waits next looks for it.
    async fn interpreter(&self, recipe: &Recipe) -> Result<PathBuf> {
        let mut found = self.interpreter.lock().await;
        if let Some(path) = &*found {
            return Ok(path.clone());
        }
        let path = self.find_interpreter(recipe).await?;
        *found = Some(path.clone());
        Ok(path)
    }

    /// Has it looked for again, unless another start has done so already.
    async fn forget_interpreter(&self, path: &Path) {
        let mut found = self.interpreter.lock().await;
        found.take_if(|found| found == path);
    }

    async fn find_interpreter(&self, recipe: &Recipe) -> Result<PathBuf> {
        let explicit = recipe.python.clone();
        let near = recipe.target.directory().map(Path::to_owned);
        let time = self.config().start_timeout;
        let search = move || worker::find(explicit.as_deref(), near.as_deref(), time);
        match tokio::task::spawn_blocking(search).await {
            Ok(Ok(interpreter)) => Ok(interpreter.path),
            Ok(Err(error)) => Err(Error::saying(ErrorKind::Start, error)),
            Err(error) => Err(
                Error::new(ErrorKind::Start, "the search for an interpreter failed")
                    .with_source(error),
            ),
        }
    }

    /// Ends a process that did not become a worker, and says why it did not.
    async fn bury(&self, body: Body, failure: Failure, slot: usize, generation: u64) -> Error {
        let identity = self.identity(slot, generation, Some(body.process.pid()));
        body.log.report();
        if matches!(
            failure,
            Failure::Handshake(HandshakeError::Lost(Lost::Eof | Lost::Io(_)))
        ) {
            // It closes its connection on its way out. How it ended is its own to say, not that of the kill below.
            let _ = timeout(LAST_MOMENTS, body.process.exited()).await;
        }
        let stacks = match failure.is_too_slow() {
            true => body.stacks(LAST_LOOK).await,
            false => None,
        };
        let remains = body.bury(LAST_MOMENTS).await;
        let stacks = stacks.or(remains.stacks).unwrap_or_default();
        let exit = remains.exit;
        let mut error = self.failure_error(failure, exit, remains.is_out_of_memory);
        if std::error::Error::source(&error).is_none() {
            if let Some(last_words) = LastWords::new(&stacks, &remains.stderr) {
                error = error.with_source(last_words);
            }
        }
        error.with_worker(identity).with_exit(Some(exit))
    }

    fn failure_error(&self, failure: Failure, exit: Exit, is_out_of_memory: bool) -> Error {
        let start = |message: String| Error::new(ErrorKind::Start, message);
        match failure {
            Failure::Exited
            | Failure::Handshake(HandshakeError::Lost(Lost::Goodbye | Lost::Eof | Lost::Io(_))) => {
                let why = if is_out_of_memory {
                    death::OUT_OF_MEMORY
                } else {
                    ""
                };
                start(format!("the worker ended before it was ready: {exit}{why}"))
            }
            Failure::TooSlow
            | Failure::Handshake(HandshakeError::Lost(Lost::Protocol(
                ProtocolError::HandshakeTimeout { .. },
            ))) => start(format!(
                "the worker was not ready within {:?}",
                self.config().start_timeout
            )),
            Failure::Other(reason) => start(format!("the worker could not be started: {reason}")),
            Failure::Handshake(HandshakeError::Lost(Lost::Protocol(violation))) => Error::new(
                ErrorKind::Protocol,
                format!("the worker broke the protocol at its start: {violation}"),
            ),
            Failure::Handshake(HandshakeError::Refused(refusal))
                if refusal.status == Status::StartFailed && refusal.type_name != OWN_REFUSAL =>
            {
                let python = PythonError::from(*refusal);
                let message = format!("the script could not be loaded: {}", python.headline());
                start(message).with_source(python)
            }
            Failure::Handshake(HandshakeError::Refused(refusal)) => {
                start(format!("the worker refused to start: {}", refusal.message))
            }
        }
    }
}

impl BesideHello {
    /// The host's share, and the names of the descriptors in their order, and they themselves.
    fn unpack(self) -> (Option<StatePage>, Vec<&'static str>, Vec<OwnedFd>) {
        let (page, page_descriptor) = self.page.unzip();
        let named = [
            ("lifeline", Some(self.lifeline)),
            ("state_page", page_descriptor),
            ("stacks", self.stacks),
        ];
        let (names, descriptors) = named
            .into_iter()
            .filter_map(|(name, descriptor)| Some((name, descriptor?)))
            .unzip();
        (page, names, descriptors)
    }
}

impl Failure {
    fn is_too_slow(&self) -> bool {
        matches!(
            self,
            Self::TooSlow
                | Self::Handshake(HandshakeError::Lost(Lost::Protocol(
                    ProtocolError::HandshakeTimeout { .. },
                )))
        )
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        Self::Handshake(HandshakeError::Lost(lost))
    }
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

fn no_path(error: SocketDirError) -> Error {
    Error::new(ErrorKind::Start, "the worker has no path to listen on").with_source(error)
}

fn is_not_bound(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
    )
}
