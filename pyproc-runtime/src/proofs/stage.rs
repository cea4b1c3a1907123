//! A pool without a runtime: its callers, its workers and whoever looks after these are threads of shuttle.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::{self, Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use pyproc_proto::state_page::{MAGIC, Word};
use pyproc_proto::{
    CallId, FunctionInfo, Hello, HostConnection, Limits, PROTOCOL_VERSION, Package, Welcome,
    WorkerConnection, WorkerEvent,
};
use shuttle::future::block_on;
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread::{self, JoinHandle};

use crate::connection::Connection;
use crate::death::{Cause, DeathReport};
use crate::error::{Result, WorkerIdentity};
use crate::lane::SocketLane;
use crate::ledger::Entry;
use crate::pool::{Gate, Pool, PoolBuilder, RoundRobin};
use crate::spin::Spin;
use crate::state_page::StatePage;

/// The number of a call that workers hold until they hear that nobody waits for it.
pub(super) const HELD: u32 = 13;

/// A pool, and what its workers did.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) pool: Pool,
    bell: Arc<Bell>,
    /// The numbers of the calls that a worker ran, in order.
    executed: Arc<sync::Mutex<Vec<u32>>>,
    connections: Arc<sync::Mutex<Vec<Weak<Connection>>>>,
}

/// Rings whenever workers may have something to do.
struct Bell {
    state: Mutex<Ringing>,
    has_rung: Condvar,
}

#[derive(Default)]
struct Ringing {
    rings: u64,
    is_over: bool,
}

/// A worker, and its connection on the host's side.
pub(super) struct Worker {
    stage: Stage,
    pub(super) connection: Arc<Connection>,
    socket: UnixStream,
    protocol: WorkerConnection,
    page: Option<File>,
    /// Calls that wait until they are cancelled.
    held: Vec<(CallId, u32)>,
    cancelled: Vec<CallId>,
}

impl Stage {
    /// A pool of so many slots, each of which takes so many calls at a time.
    pub(super) fn new(slots: usize, per_worker: usize) -> Self {
        Self::with(slots, |pool| pool.max_in_flight_per_worker(per_worker))
    }

    /// A pool of so many slots.
    pub(super) fn with(slots: usize, set: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Self {
        let paths = (0..slots).map(|slot| format!("/nowhere/{slot}"));
        let builder = Pool::attach(paths)
            .router(RoundRobin::default())
            .spin(Spin::Off);
        let (pool, ..) = set(builder).assemble().unwrap();
        Self {
            pool,
            bell: Arc::new(Bell {
                state: Mutex::default(),
                has_rung: Condvar::new(),
            }),
            executed: Arc::default(),
            connections: Arc::default(),
        }
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        self.pool.shared().gate()
    }

    /// Starts somebody who plays a part.
    pub(super) fn start<R: Send + 'static>(
        &self,
        part: impl FnOnce(Stage) -> R + Send + 'static,
    ) -> JoinHandle<R> {
        let stage = self.clone();
        thread::spawn(move || {
            let result = part(stage.clone());
            stage.ring();
            result
        })
    }

    /// Starts a caller that waits for the end of its call, which is to return its number.
    pub(super) fn caller(&self, number: u32) -> JoinHandle<Result<u32>> {
        self.start(move |stage| stage.call(number))
    }

    /// Starts a caller that polls its call so often and then drops it, unless it has ended by then.
    pub(super) fn leaver(&self, number: u32, polls: usize) -> JoinHandle<()> {
        self.start(move |stage| {
            let mut call = pin!(stage.pool.call::<_, u32>("echo", number));
            for _ in 0..polls {
                if stage.poll_once(call.as_mut()).is_some() {
                    return;
                }
                thread::yield_now();
            }
        })
    }

    /// Starts a worker that is in the slot from now on, and does as it is asked to as long as anybody asks.
    pub(super) fn worker(&self, slot: usize) -> JoinHandle<()> {
        let worker = self.hire(slot, 1);
        self.start(move |_| worker.serve())
    }

    /// A worker, and the slot opened for it.
    pub(super) fn hire(&self, slot: usize, generation: u64) -> Worker {
        self.hire_with(slot, generation, None)
    }

    /// A worker that says which call it takes, where the host can read it at any time.
    pub(super) fn hire_with_page(&self, slot: usize, generation: u64) -> Worker {
        let (page, descriptor) = StatePage::create().unwrap();
        let mut worker = self.hire_with(slot, generation, Some(page));
        let file = File::from(descriptor);
        write(&file, Word::Magic, MAGIC);
        worker.page = Some(file);
        worker
    }

    fn hire_with(&self, slot: usize, generation: u64, page: Option<StatePage>) -> Worker {
        let (host, socket) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (host_protocol, protocol) = shake_hands();
        let name = self.pool.name().into();
        let identity = WorkerIdentity::new(name, slot, generation, None);
        let lane = SocketLane::new(host).unwrap();
        let connection = Connection::over(identity, lane, host_protocol, page, self.spin());
        let connection = Arc::new(connection);
        let weak = Arc::downgrade(&connection);
        self.connections.lock().unwrap().push(weak);
        self.gate().open_slot(Arc::clone(&connection), false);
        Worker {
            stage: self.clone(),
            connection,
            socket,
            protocol,
            page: None,
            held: Vec::new(),
            cancelled: Vec::new(),
        }
    }

    fn spin(&self) -> Spin {
        self.pool.shared().config().spin
    }

    /// Calls, and waits for the end.
    pub(super) fn call(&self, number: u32) -> Result<u32> {
        self.wait(self.pool.call("echo", number))
    }

    /// Waits for a call as its task would; the workers may have something to do after each poll.
    pub(super) fn wait<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        block_on(poll_fn(|context| {
            let poll = call.as_mut().poll(context);
            self.ring();
            poll
        }))
    }

    fn poll_once<F: Future>(&self, mut call: Pin<&mut F>) -> Option<F::Output> {
        let polled = poll_fn(|context| Poll::Ready(call.as_mut().poll(context)));
        let poll = block_on(polled);
        self.ring();
        match poll {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Has the workers look whether they have something to do.
    pub(super) fn ring(&self) {
        self.bell.state.lock().unwrap().rings += 1;
        self.bell.has_rung.notify_all();
    }

    /// Lets the workers finish, once the callers have, and asserts that everything is as it was in the beginning.
    pub(super) fn end(self, workers: impl IntoIterator<Item = JoinHandle<()>>) {
        self.bell.state.lock().unwrap().is_over = true;
        self.bell.has_rung.notify_all();
        for worker in workers {
            worker.join().unwrap();
        }
        let (in_flight, waiting) = self.gate().load();
        assert_eq!(in_flight, 0, "permits are lost");
        assert_eq!(waiting, 0, "parcels are left in the line");
        let mut executed = self.executed();
        executed.sort_unstable();
        let calls = executed.len();
        executed.dedup();
        assert_eq!(executed.len(), calls, "a call was run twice");
        let connections = Arc::clone(&self.connections);
        let gate = Arc::downgrade(self.gate());
        drop(self);
        let connections = connections.lock().unwrap();
        let is_gone = |connection: &Weak<Connection>| connection.strong_count() == 0;
        assert!(connections.iter().all(is_gone), "a connection is left");
        assert!(gate.strong_count() == 0, "the gate is left");
    }

    /// The numbers of the calls that a worker ran, in order.
    pub(super) fn executed(&self) -> Vec<u32> {
        self.executed.lock().unwrap().clone()
    }
}

impl Worker {
    /// Does as it is asked to, until nobody asks any more.
    pub(super) fn serve(mut self) {
        let mut heard = 0;
        while let Some(rings) = self.stage.bell.wait(heard) {
            heard = rings;
            self.work();
        }
        while self.work() {}
    }

    /// The same for callers that look for their replies, and tell nobody of it.
    pub(super) fn serve_lookers(mut self) {
        while !self.stage.bell.is_over() {
            self.work();
            thread::yield_now();
        }
        while self.work() {}
    }

    /// Runs what has come, and hands out the answers. Says whether there was anything.
    pub(super) fn work(&mut self) -> bool {
        // A request or a cancellation may be waiting for its turn to be written.
        self.hand_out();
        let (mut calls, held) = self
            .take()
            .into_iter()
            .partition::<Vec<_>, _>(|call| call.1 != HELD);
        self.held.extend(held);
        let cancelled = &self.cancelled;
        calls.extend(
            self.held
                .extract_if(.., |(call, _)| cancelled.contains(call)),
        );
        if calls.is_empty() {
            return false;
        }
        for (call, number) in calls {
            self.run(call, number);
        }
        self.hand_out();
        // What was handed out may have brought other calls, to this worker and to others.
        self.stage.ring();
        true
    }

    /// Waits for calls and takes them; `None` when nobody will call any more.
    pub(super) fn wait_for_calls(&mut self) -> Option<Vec<(CallId, u32)>> {
        let mut heard = 0;
        loop {
            heard = self.stage.bell.wait(heard)?;
            self.hand_out();
            let calls = self.take();
            if !calls.is_empty() {
                return Some(calls);
            }
        }
    }

    /// Reads what has come.
    fn take(&mut self) -> Vec<(CallId, u32)> {
        let mut bytes = [0; 4096];
        loop {
            match self.socket.read(&mut bytes) {
                // The host has closed the connection.
                Ok(0) => break,
                Ok(count) => self.protocol.input_mut().extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.protocol.handle_input(Instant::now()).unwrap();
        let mut calls = Vec::new();
        while let Some(event) = self.protocol.poll_event() {
            match event {
                WorkerEvent::Request { call, body, .. } => {
                    calls.push((call, serde_json::from_slice(&body).unwrap()));
                }
                WorkerEvent::Cancel { call } => self.cancelled.push(call),
                _ => {}
            }
        }
        calls
    }

    /// Runs a call, and answers it.
    pub(super) fn run(&mut self, call: CallId, number: u32) {
        self.execute(call, number);
        self.protocol
            .reply(call, number.to_string().as_bytes())
            .unwrap();
        let output = self.protocol.output().to_vec();
        self.protocol.advance_output(output.len());
        self.socket.write_all(&output).unwrap();
    }

    /// Begins with a call.
    pub(super) fn execute(&self, call: CallId, number: u32) {
        if let Some(page) = &self.page {
            write(page, Word::Taken, call.get());
        }
        self.stage.executed.lock().unwrap().push(number);
    }

    /// Takes a turn of the connection, as its driver does.
    pub(super) fn hand_out(&self) {
        self.connection.read_rest(|_| {});
    }

    /// Says goodbye to those whose calls it has answered and to those whose calls it has not, and is buried.
    pub(super) fn leave(mut self) {
        self.protocol.drain();
        self.protocol.goodbye();
        let output = self.protocol.output().to_vec();
        self.protocol.advance_output(output.len());
        self.socket.write_all(&output).unwrap();
        self.bury(Cause::Left);
    }

    /// Dies, and is buried.
    pub(super) fn die(self) {
        self.bury(Cause::Exited);
    }

    /// Judges its calls, as attendants do it.
    fn bury(self, cause: Cause) {
        let Self {
            stage,
            connection,
            socket,
            ..
        } = self;
        drop(socket);
        stage.pool.shared().close_slot(connection.worker());
        connection.close();
        connection.read_rest(|_| {});
        connection.bury(&Arc::new(DeathReport {
            worker: connection.worker().clone(),
            cause,
            exit: None,
            uptime: Duration::ZERO,
            calls_served: connection.calls_served(),
            has_answered: connection.has_answered(),
            stacks: String::new(),
            stderr: String::new(),
        }));
        stage.ring();
    }
}

impl Bell {
    fn is_over(&self) -> bool {
        self.state.lock().unwrap().is_over
    }

    /// Waits until it rings once more than so often; `None` when it rings no more.
    fn wait(&self, heard: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.is_over {
                return None;
            }
            if state.rings > heard {
                return Some(state.rings);
            }
            state = self.has_rung.wait(state).unwrap();
        }
    }
}

/// Writes a word of a state page, from the worker's end.
fn write(page: &File, word: Word, value: u64) {
    page.write_all_at(&value.to_ne_bytes(), word.index() as u64 * 8)
        .unwrap();
}

/// Both ends of a connection, after the handshake.
fn shake_hands() -> (HostConnection<Entry>, WorkerConnection) {
    let now = Instant::now();
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        codec: "json".to_owned(),
        max_frame: 64 * 1024,
        max_in_flight: 8,
        deadline_clock: Default::default(),
        pool: String::new(),
        slot: 0,
        generation: 1,
        log_level: 20,
        spin_us: 0,
        threads: 1,
        descriptors: Vec::new(),
        capabilities: Vec::new(),
    };
    let welcome = Welcome {
        protocol: PROTOCOL_VERSION,
        codec: "json".to_owned(),
        pid: 1,
        python: "3.11.7".to_owned(),
        package: Package::default(),
        functions: vec![FunctionInfo {
            name: "echo".to_owned(),
            ..FunctionInfo::default()
        }],
    };
    let mut host = HostConnection::binary(&hello, Limits::default(), now);
    let mut worker = WorkerConnection::new(Limits::default(), now);
    worker.input_mut().extend_from_slice(host.output());
    host.advance_output(host.output_len());
    worker.handle_input(now).unwrap();
    assert!(matches!(worker.poll_event(), Some(WorkerEvent::Hello(_))));
    worker.welcome(&welcome);
    host.input_mut().extend_from_slice(worker.output());
    worker.advance_output(worker.output_len());
    host.handle_input(now).unwrap();
    while host.poll_event().is_some() {}
    assert!(host.is_ready());
    (host, worker)
}
