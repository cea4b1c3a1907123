//! The thread of a fake worker.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::session::Session;
use super::worker::Scene;

/// Accepts connections and serves each of them, until it is stopped.
pub(super) fn listen(listener: UnixListener, scene: Arc<Scene>, stopped: oneshot::Receiver<()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = accept(listener, scene) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: UnixListener, scene: Arc<Scene>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::UnixListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acts, inbox) = mpsc::unbounded_channel();
        let number = {
            let mut record = scene.record();
            record.connections.push(Instant::now());
            record.connections.len()
        };
        *scene.newest.lock().unwrap() = Some(acts.clone());
        let session = Session::new(number, stream, Arc::clone(&scene), acts);
        tokio::spawn(session.run(inbox));
    }
}
