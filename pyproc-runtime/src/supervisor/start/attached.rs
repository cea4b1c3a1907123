use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::Protocol;

use super::{CONNECT_BACKOFF, Starter, connect};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::supervisor::worker::{Worker, log};
use crate::telemetry::Origin;

impl Starter {
    /// Connects to a worker that somebody else has started.
    pub(super) async fn attach(&self, path: &Path, slot: usize, generation: u64) -> Result<Worker> {
        let mut delay = CONNECT_BACKOFF;
        let mut retries = self.config().connect_retries;
        loop {
            match self.try_attach(path, slot, generation).await {
                Err(error) if error.kind() == ErrorKind::Connection && retries > 0 => {
                    tokio::time::sleep(delay).await;
                    delay = delay.saturating_mul(2);
                    retries -= 1;
                }
                result => return result,
            }
        }
    }

    async fn try_attach(&self, path: &Path, slot: usize, generation: u64) -> Result<Worker> {
        let time = self.config().start_timeout;
        let attempt = self.attach_once(path, slot, generation);
        tokio::time::timeout(time, attempt)
            .await
            .unwrap_or_else(|_| Err(too_slow(path, time)))
    }

    async fn attach_once(&self, path: &Path, slot: usize, generation: u64) -> Result<Worker> {
        let failed = |reason: String| {
            let message = format!(
                "the worker at {} cannot be reached: {reason}",
                path.display()
            );
            Error::new(ErrorKind::Connection, message)
                .with_worker(self.identity(slot, generation, None))
        };
        let socket = connect(path)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let mut handshake = self.handshake(socket, slot, generation)?;
        let origin = Origin {
            pool: Arc::clone(&self.config().name),
            slot,
            pid: 0,
        };
        let welcome = handshake
            .shake(None, |record| log(&origin, &record))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let pid = welcome.as_ref().map(|welcome| welcome.pid);
        let connection = Arc::new(Connection::new(
            self.identity(slot, generation, pid),
            handshake,
        ));
        if self.config().protocol == Protocol::Json {
            self.check_without_handshake(&connection)
                .await
                .map_err(failed)?;
        }
        Ok(Worker::new(connection, None, welcome))
    }
}

fn too_slow(path: &Path, time: Duration) -> Error {
    let message = format!(
        "the worker at {} was not ready within {time:?}",
        path.display()
    );
    Error::new(ErrorKind::Start, message)
}
