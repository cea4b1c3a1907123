//! A worker without Python that does as the test says.

use std::fmt::Display;
use std::future::Future;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use pyproc_proto::{FunctionInfo, Hello, PROTOCOL_VERSION, Package, Welcome};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::gauge::Gauge;
use super::listener::listen;
use super::record::Record;
use super::{Act, Request, until};

/// A worker that listens on a path of its own. It lives on a thread and a runtime of its own, so it goes on when the
/// scenario's runtime ends. Dropping it closes its connections and removes its socket; it fails the test if the host
/// has ever broken the grammar.
pub(crate) struct FakeWorker {
    directory: TempDir,
    scene: Arc<Scene>,
    /// Its drop ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a fake worker's thread, its connections and the test share.
pub(super) struct Scene {
    pub(super) greeting: Greeting,
    pub(super) behavior: Behavior,
    pub(super) health: Mutex<Behavior>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) record: Mutex<Record>,
    /// Whether what the test holds back is answered now.
    pub(super) is_released: AtomicBool,
    /// Reaches the newest connection.
    pub(super) newest: Mutex<Option<mpsc::UnboundedSender<Act>>>,
    /// Whether every byte is written by itself.
    pub(super) is_slow: bool,
}

/// What a worker does with a `Hello`.
type Greeting = Box<dyn Fn(&Hello) -> Vec<Act> + Send + Sync>;

/// What a worker does with a call.
type Behavior = Box<dyn Fn(&Request) -> Vec<Act> + Send + Sync>;

/// The functions that fake workers say they have.
pub(super) const FUNCTIONS: [&str; 3] = ["health", "echo", "classify"];

/// Answers every call with its argument.
pub(crate) fn echoes(request: &Request) -> [Act; 1] {
    [request.echo()]
}

/// Answers no call by itself; the test does.
pub(crate) fn holds(_: &Request) -> [Act; 0] {
    []
}

/// Shakes hands as it should be.
pub(crate) fn welcomes(hello: &Hello) -> [Act; 1] {
    [Act::Welcome(Box::new(welcome(hello)))]
}

/// The right answer to this `Hello`.
pub(crate) fn welcome(hello: &Hello) -> Welcome {
    let function = |name: &str| FunctionInfo {
        name: name.to_owned(),
        ..FunctionInfo::default()
    };
    Welcome {
        protocol: PROTOCOL_VERSION,
        codec: hello.codec.clone(),
        pid: std::process::id(),
        python: "3.11.7".to_owned(),
        package: Package {
            version: "0.1.0".to_owned(),
            origin: "fake".to_owned(),
            native: false,
        },
        functions: FUNCTIONS.map(function).to_vec(),
    }
}

impl FakeWorker {
    /// A worker that is friendly at first and then does this with every call.
    pub(crate) fn that<A>(behavior: impl Fn(&Request) -> A + Send + Sync + 'static) -> Self
    where
        A: IntoIterator<Item = Act>,
    {
        Self::greeting(welcomes, behavior)
    }

    /// A worker that does this with every `Hello`, and that with every call.
    pub(crate) fn greeting<G, A>(
        greeting: impl Fn(&Hello) -> G + Send + Sync + 'static,
        behavior: impl Fn(&Request) -> A + Send + Sync + 'static,
    ) -> Self
    where
        G: IntoIterator<Item = Act>,
        A: IntoIterator<Item = Act>,
    {
        Self::listening(Scene::new(greeting, behavior))
    }

    /// An honest worker that puts every byte on the socket by itself.
    pub(crate) fn that_echoes_byte_by_byte() -> Self {
        let mut scene = Scene::new(welcomes, echoes);
        scene.is_slow = true;
        Self::listening(scene)
    }

    /// Several workers that do the same, and count their calls on one gauge.
    pub(crate) fn crew<A>(
        count: usize,
        behavior: impl Fn(&Request) -> A + Clone + Send + Sync + 'static,
    ) -> Vec<Self>
    where
        A: IntoIterator<Item = Act>,
    {
        let gauge = Arc::new(Gauge::default());
        let member = |_| {
            let mut scene = Scene::new(welcomes, behavior.clone());
            scene.gauge = Arc::clone(&gauge);
            Self::listening(scene)
        };
        (0..count).map(member).collect()
    }

    fn listening(scene: Scene) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("pyproc-scenario-")
            .tempdir()
            .unwrap();
        let listener = UnixListener::bind(socket_in(directory.path())).unwrap();
        let scene = Arc::new(scene);
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let scene = Arc::clone(&scene);
            std::thread::spawn(move || listen(listener, scene, stopped))
        };
        Self {
            directory,
            scene,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> PathBuf {
        socket_in(self.directory.path())
    }

    /// What it has seen so far.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.scene.record()
    }

    /// How many calls it, or its crew, has now and has had at most.
    pub(crate) fn gauge(&self) -> &Gauge {
        &self.scene.gauge
    }

    /// Does something on its newest connection.
    pub(crate) fn does(&self, act: Act) {
        let newest = self.scene.newest.lock().unwrap();
        let acts = newest.as_ref().expect("a connection to do it on");
        acts.send(act).expect("the connection has ended");
    }

    /// Answers what it has held back, and everything that follows.
    pub(crate) fn answers_from_now_on(&self) {
        let record = self.record();
        self.scene.is_released.store(true, Ordering::SeqCst);
        let is_held = |request: &&Request| {
            !record
                .answered
                .contains(&(request.connection, request.call))
        };
        record
            .requests
            .iter()
            .filter(is_held)
            .for_each(Request::answer);
    }

    /// From now on it does this when it is asked for its health, in place of the answer that all is well.
    pub(crate) fn answers_health_so<A>(
        &self,
        behavior: impl Fn(&Request) -> A + Send + Sync + 'static,
    ) where
        A: IntoIterator<Item = Act>,
    {
        *self.scene.health.lock().unwrap() = boxed(behavior);
    }

    /// The call that arrives as this one, counted from 1.
    #[track_caller]
    pub(crate) fn call(&self, number: usize) -> impl Future<Output = Request> {
        let arrival = self.until(format!("call {number} arrives"), move |record| {
            record.requests.len() >= number
        });
        async move {
            arrival.await;
            self.record().requests[number - 1].clone()
        }
    }

    /// Waits until the worker has seen something.
    #[track_caller]
    pub(crate) fn until(
        &self,
        what: impl Display,
        mut condition: impl FnMut(&Record) -> bool,
    ) -> impl Future<Output = ()> {
        until(what, move || condition(&self.record()))
    }
}

impl Scene {
    fn new<G, A>(
        greeting: impl Fn(&Hello) -> G + Send + Sync + 'static,
        behavior: impl Fn(&Request) -> A + Send + Sync + 'static,
    ) -> Self
    where
        G: IntoIterator<Item = Act>,
        A: IntoIterator<Item = Act>,
    {
        Self {
            greeting: Box::new(move |hello| greeting(hello).into_iter().collect()),
            behavior: boxed(behavior),
            health: Mutex::new(boxed(echoes)),
            gauge: Arc::default(),
            record: Mutex::default(),
            is_released: AtomicBool::new(false),
            newest: Mutex::default(),
            is_slow: false,
        }
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "a fake worker has panicked");
            let violations = std::mem::take(&mut self.record().violations);
            assert!(violations.is_empty(), "the host did wrong: {violations:?}");
        }
    }
}

fn boxed<A>(behavior: impl Fn(&Request) -> A + Send + Sync + 'static) -> Behavior
where
    A: IntoIterator<Item = Act>,
{
    Box::new(move |request| behavior(request).into_iter().collect())
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("worker.sock")
}
