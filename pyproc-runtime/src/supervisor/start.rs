//! The start of a worker, up to its readiness.

mod attached;
mod spawned;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::{Hello, PROTOCOL_VERSION};
use tokio::sync::Mutex;

use super::worker::Worker;
use crate::config::{Config, Source};
use crate::connection::{Connection, ConnectionEvent, Handshake};
use crate::error::{Error, ErrorKind, Result, WorkerIdentity};
use crate::pool::Shared;
use crate::worker::peer_uid;

/// The delay before a connection is tried again; it doubles with each try.
const CONNECT_BACKOFF: Duration = Duration::from_millis(100);

/// Starts the workers of one pool.
#[derive(Debug)]
pub(super) struct Starter {
    shared: Arc<Shared>,
    /// Found by the first start that needs it, while the others wait.
    interpreter: Mutex<Option<PathBuf>>,
}

impl Starter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            interpreter: Mutex::default(),
        }
    }

    /// Starts a worker, or connects to one, and waits until it is ready.
    ///
    /// Cancel safety: a process that was started is killed when the future is dropped.
    pub(super) async fn start(&self, slot: usize, generation: u64) -> Result<Worker> {
        match &self.config().source {
            Source::Start(recipe) => self.start_process(recipe, slot, generation).await,
            Source::Attach(paths) => self.attach(&paths[slot], slot, generation).await,
        }
    }

    fn config(&self) -> &Config {
        self.shared.config()
    }

    fn hello(&self, slot: usize, generation: u64, descriptors: &[&str]) -> Hello {
        let config = self.config();
        Hello {
            protocol: PROTOCOL_VERSION,
            codec: config.codec.clone(),
            max_frame: config.limits.max_frame as u64,
            max_in_flight: u32::try_from(config.max_in_flight_per_worker.most_of_all())
                .unwrap_or(u32::MAX),
            threads: config.threads,
            deadline_clock: config.deadline_clock(),
            pool: config.name.to_string(),
            slot: u32::try_from(slot).unwrap_or(u32::MAX),
            generation,
            log_level: config.log_level,
            spin_us: u32::try_from(config.spin.longest().as_micros()).unwrap_or(u32::MAX),
            descriptors: descriptors.iter().map(|name| (*name).to_owned()).collect(),
            capabilities: Vec::new(),
        }
    }

    /// `descriptors` are the names of those that will travel beside the `Hello`.
    fn handshake(
        &self,
        socket: UnixStream,
        slot: usize,
        generation: u64,
        descriptors: &[&str],
    ) -> Result<Handshake> {
        let hello = self.hello(slot, generation, descriptors);
        Handshake::new(
            socket,
            self.config().protocol,
            &hello,
            self.config().limits.clone(),
        )
        .map_err(|error| {
            Error::new(
                ErrorKind::Start,
                "the connection cannot be registered with the runtime",
            )
            .with_source(error)
        })
    }

    fn identity(&self, slot: usize, generation: u64, pid: Option<u32>) -> WorkerIdentity {
        WorkerIdentity::new(Arc::clone(&self.config().name), slot, generation, pid)
    }

    /// Under the JSON protocol there is no handshake, so the first `health` shows whether anybody answers.
    async fn check_without_handshake(&self, connection: &Arc<Connection>) -> Result<(), String> {
        let check = super::health::check(&self.shared, connection, self.config().start_timeout);
        let drive = connection.drive(|_: ConnectionEvent| {});
        tokio::select! {
            answer = check => answer,
            lost = drive => Err(lost.to_string()),
        }
    }
}

/// Connects to a worker that listens, if it belongs to this user or to root.
async fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let socket = tokio::net::UnixStream::connect(path).await?;
    let uid = peer_uid(&socket)?;
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        let message = format!(
            "{} belongs to the user {uid}, who is neither this one nor root",
            path.display()
        );
        return Err(std::io::Error::new(
            std::io::ErrorKind::PermissionDenied,
            message,
        ));
    }
    socket.into_std()
}
