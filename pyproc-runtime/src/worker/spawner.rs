//! The one thread that starts processes. It never ends: Linux can tie a child's life to the
//! thread that started it (`PR_SET_PDEATHSIG`), and a child so tied shall outlive everything but
//! the host.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::adopted;
use super::child::{Child, State};
use super::launch::{Launch, Spawned};
use super::spawn_error::SpawnError;

/// Where the outcome of a start arrives.
pub(super) type Outcome = oneshot::Receiver<Result<Spawned, SpawnError>>;

/// Has a process started. Nobody has to wait for the outcome: what nobody takes is dropped, and so
/// killed.
pub(super) fn start(launch: Launch) -> io::Result<Outcome> {
    let (sender, outcome) = oneshot::channel();
    send(Order::Start(Box::new(launch), sender))?;
    Ok(outcome)
}

/// Has the status of a killed child collected as soon as it is dead.
pub(super) fn bury(child: Child) {
    // The child was started by the spawner, so the spawner is there.
    let _ = send(Order::Bury(child));
}

enum Order {
    Start(Box<Launch>, oneshot::Sender<Result<Spawned, SpawnError>>),
    Bury(Child),
}

static SPAWNER: Mutex<Option<Sender<Order>>> = Mutex::new(None);

fn send(order: Order) -> io::Result<()> {
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = match &*spawner {
        Some(sender) => sender,
        None => spawner.insert(start_thread()?),
    };
    sender
        .send(order)
        .map_err(|_| io::Error::other("the spawner thread has ended"))
}

fn start_thread() -> io::Result<Sender<Order>> {
    let (sender, orders) = mpsc::channel();
    thread::Builder::new()
        .name("pyproc-spawner".to_owned())
        .spawn(move || run(&orders))?;
    Ok(sender)
}

fn run(orders: &Receiver<Order>) {
    let mut dying: Vec<Child> = Vec::new();
    loop {
        match next(orders, &dying) {
            Ok(Order::Start(launch, outcome)) => {
                // A refused outcome comes back and is dropped here, and the process with it.
                let _ = outcome.send(launch.start());
            }
            Ok(Order::Bury(child)) => dying.push(child),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        dying.retain(|child| !buried(child));
    }
}

/// How often killed children are looked at. They die within a millisecond or so, unless the kernel
/// holds one in a call that cannot be interrupted; then nobody is waiting for it either.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

fn next(orders: &Receiver<Order>, dying: &[Child]) -> Result<Order, RecvTimeoutError> {
    if dying.is_empty() {
        orders.recv().map_err(RecvTimeoutError::from)
    } else {
        orders.recv_timeout(LOOK_AGAIN)
    }
}

fn buried(child: &Child) -> bool {
    let state = child.state();
    if state == State::Running {
        return false;
    }
    // Once more, because the leader may have started another child before the first signal.
    child.kill_group();
    let is_reserved = matches!(state, State::Dead(_));
    if is_reserved && adopted::adopts() && !adopted::reap(child.pid()) {
        // They are dying. Until they are gone the leader's status keeps its id theirs.
        return false;
    }
    child.collect();
    true
}
