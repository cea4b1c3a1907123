use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyproc_proto::{Protocol, ProtocolError};

use super::{CONNECT_BACKOFF, Starter, connect};
use crate::connection::{Connection, HandshakeError, Lost};
use crate::error::{Error, ErrorKind, PythonError, Result};
use crate::supervisor::worker::{Worker, log};
use crate::worker::{Outlet, OutputKind};

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
        let nobody = self.identity(slot, generation, None);
        let failed = |reason: String| unreachable_worker(path, &reason).with_worker(nobody.clone());
        let socket = connect(path)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let mut handshake = self.handshake(socket, slot, generation, &[])?;
        let outlet = Outlet::new(Arc::new(nobody.origin()), OutputKind::Log);
        let welcome = handshake
            .shake(Vec::new(), |record| log(&outlet, &record))
            .await
            .map_err(|error| {
                handshake_error(error, path, self.config().start_timeout)
                    .with_worker(nobody.clone())
            })?;
        outlet.report();
        let pid = welcome.as_ref().map(|welcome| welcome.pid);
        let connection = Arc::new(Connection::new(
            self.identity(slot, generation, pid),
            handshake,
            None,
            self.config().spin,
        ));
        if self.config().protocol == Protocol::Json {
            self.check_without_handshake(&connection)
                .await
                .map_err(failed)?;
        }
        Ok(Worker::new(connection, None, welcome))
    }
}

/// Only a connection that could not be made, or did not hold, is worth another try: a worker that refused once, or broke
/// the protocol, will do so again.
fn handshake_error(error: HandshakeError, path: &Path, time: Duration) -> Error {
    let path_shown = path.display();
    match error {
        HandshakeError::Lost(lost @ (Lost::Goodbye | Lost::Eof | Lost::Io(_))) => {
            unreachable_worker(path, &lost.to_string())
        }
        HandshakeError::Lost(Lost::Protocol(ProtocolError::HandshakeTimeout { .. })) => {
            too_slow(path, time)
        }
        HandshakeError::Lost(Lost::Protocol(violation)) => Error::new(
            ErrorKind::Protocol,
            format!("the worker at {path_shown} broke the protocol at its start: {violation}"),
        ),
        HandshakeError::Refused(refusal) => {
            let message = format!(
                "the worker at {path_shown} refused to start: {}",
                refusal.message
            );
            Error::new(ErrorKind::Start, message).with_source(PythonError::from(*refusal))
        }
    }
}

fn unreachable_worker(path: &Path, reason: &str) -> Error {
    let message = format!(
        "the worker at {} cannot be reached: {reason}",
        path.display()
    );
    Error::new(ErrorKind::Connection, message)
}

fn too_slow(path: &Path, time: Duration) -> Error {
    let message = format!(
        "the worker at {} was not ready within {time:?}",
        path.display()
    );
    Error::new(ErrorKind::Start, message)
}
