//! One connection of a fake worker.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pyproc_proto::{
    AnswerError, CallId, FunctionRef, Limits, LogRecord, WorkerConnection, WorkerEvent,
};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::worker::{FUNCTIONS, Scene};
use super::{Act, Request};

/// The time between two bytes of a worker that drips.
const DRIP: Duration = Duration::from_millis(5);

/// An accepted connection and the protocol on it.
pub(super) struct Session {
    number: usize,
    stream: UnixStream,
    protocol: WorkerConnection,
    scene: Arc<Scene>,
    acts: mpsc::UnboundedSender<Act>,
    /// How many calls it has taken and not answered.
    at_hand: usize,
    reads: bool,
}

/// Why a session goes no further.
struct Over;

impl Session {
    pub(super) fn new(
        number: usize,
        stream: UnixStream,
        scene: Arc<Scene>,
        acts: mpsc::UnboundedSender<Act>,
    ) -> Self {
        Self {
            number,
            stream,
            protocol: WorkerConnection::new(Limits::default(), Instant::now()),
            scene,
            acts,
            at_hand: 0,
            reads: true,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Act>) {
        while self.turn(&mut inbox).await.is_ok() {}
        self.scene.gauge.fall(self.at_hand);
        // The host must find the connection closed by the time that the test hears of its end.
        let Self { stream, scene, .. } = self;
        drop(stream);
        scene.record().ended += 1;
    }

    async fn turn(&mut self, inbox: &mut mpsc::UnboundedReceiver<Act>) -> Result<(), Over> {
        self.flush().await?;
        tokio::select! {
            ready = self.stream.readable(), if self.reads => {
                ready.map_err(|_| Over)?;
                self.read().await
            }
            Some(act) = inbox.recv() => self.perform(act).await,
        }
    }

    async fn read(&mut self) -> Result<(), Over> {
        match self.stream.try_read_buf(self.protocol.input_mut()) {
            Ok(0) => return Err(Over),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Over),
        }
        if let Err(violation) = self.protocol.handle_input(Instant::now()) {
            self.scene.record().violations.push(violation.to_string());
            return Err(Over);
        }
        while let Some(event) = self.protocol.poll_event() {
            for act in self.react(event) {
                self.perform(act).await?;
            }
        }
        Ok(())
    }

    /// What the worker does about something that the host did.
    fn react(&mut self, event: WorkerEvent) -> Vec<Act> {
        match event {
            WorkerEvent::Hello(hello) => return (self.scene.greeting)(&hello),
            WorkerEvent::Request {
                call,
                function,
                deadline,
                body,
                ..
            } => {
                let request = Request {
                    connection: self.number,
                    call: call.get(),
                    function: name(function),
                    body: body.to_vec(),
                    deadline_us: deadline,
                    acts: self.acts.clone(),
                };
                return self.take(request);
            }
            WorkerEvent::Cancel { call } => self.scene.record().cancelled.push(call.get()),
            WorkerEvent::Drain => self.scene.record().drained += 1,
            WorkerEvent::Invalid { error, .. } => {
                self.scene.record().violations.push(error.to_string());
            }
            _ => {}
        }
        Vec::new()
    }

    fn take(&mut self, request: Request) -> Vec<Act> {
        self.at_hand += 1;
        self.scene.gauge.rise();
        if request.function == "health" {
            self.scene.record().health_checks += 1;
            return (self.scene.health.lock().unwrap())(&request);
        }
        let mut record = self.scene.record();
        record.requests.push(request.clone());
        if self.scene.is_released.load(Ordering::SeqCst) {
            return vec![request.echo()];
        }
        drop(record);
        (self.scene.behavior)(&request)
    }

    async fn perform(&mut self, act: Act) -> Result<(), Over> {
        match act {
            Act::Welcome(welcome) => self.protocol.welcome(&welcome),
            Act::Refuse(error) => self.protocol.refuse(&error),
            Act::Answer { call, body } => {
                let answered = self.protocol.reply(id(call), &body);
                self.note_answer(call, answered);
            }
            Act::Fail { call, error } => {
                let answered = self.protocol.error(id(call), &error);
                self.note_answer(call, answered);
            }
            Act::Log(message) => self.protocol.log(&LogRecord {
                level: 20,
                logger: "fake".to_owned(),
                message,
                call: None,
            }),
            Act::Drain => self.protocol.drain(),
            Act::Goodbye => self.protocol.goodbye(),
            Act::Write(bytes) => {
                self.flush().await?;
                self.write(&bytes).await?;
            }
            Act::Drip(bytes) => {
                for byte in bytes {
                    self.write(&[byte]).await?;
                    sleep(DRIP).await;
                }
            }
            Act::Flood(bytes) => while self.write(&bytes).await.is_ok() {},
            Act::StopReading => self.reads = false,
            Act::Close => {
                self.flush().await?;
                return Err(Over);
            }
            Act::After(time, act) => {
                let acts = self.acts.clone();
                tokio::spawn(async move {
                    sleep(time).await;
                    // The connection may have ended meanwhile.
                    let _ = acts.send(*act);
                });
            }
        }
        Ok(())
    }

    /// The gauge falls before the answer is on the socket, so that the host cannot be ahead of it.
    fn note_answer(&mut self, call: u64, answered: Result<(), AnswerError>) {
        let mut record = self.scene.record();
        match answered {
            Ok(()) => {
                record.answered.insert((self.number, call));
                self.at_hand -= 1;
                self.scene.gauge.fall(1);
            }
            Err(error) => record.violations.push(error.to_string()),
        }
    }

    /// Writes what the protocol has to say.
    async fn flush(&mut self) -> Result<(), Over> {
        let output = self.protocol.output().to_vec();
        self.protocol.advance_output(output.len());
        if !self.scene.is_slow {
            return self.write(&output).await;
        }
        for byte in output {
            self.write(&[byte]).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        match self.stream.write_all(bytes).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Over),
        }
    }
}

fn name(function: FunctionRef) -> String {
    match function {
        FunctionRef::Index(index) => FUNCTIONS[usize::from(index.0)].to_owned(),
        FunctionRef::Name(name) => name,
    }
}

fn id(call: u64) -> CallId {
    CallId::new(call).expect("an id that the host gave")
}
