//! Methods that yield: as `impl Stream`, and behind `Arc<dyn …>` in a box.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pyproc::{BoxStream, Stream};

#[derive(Debug)]
enum Failed {
    Pyproc,
}

impl From<pyproc::Error> for Failed {
    fn from(_: pyproc::Error) -> Self {
        Self::Pyproc
    }
}

type Result<T> = std::result::Result<T, Failed>;

#[pyproc::remote]
trait Model {
    fn generate(&self, prompt: &str, limit: u32) -> impl Stream<Item = pyproc::Result<String>>;
    #[pyproc(name = "other", deadline = "1s", idempotent)]
    fn numbers(&self) -> impl Stream<Item = Result<u64>>;
    async fn name(&self) -> Result<String>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    fn generate(&self, prompt: String) -> BoxStream<'_, pyproc::Result<String>>;
    /// Outlives the client, as the body of a response does.
    fn text(&self, prompt: String) -> BoxStream<'static, pyproc::Result<String>>;
    async fn name(&self) -> pyproc::Result<String>;
}

struct Once<T>(Option<T>);

impl<T: Unpin> Stream for Once<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.0.take())
    }
}

struct Fake;

impl Model for Fake {
    fn generate(&self, prompt: &str, limit: u32) -> impl Stream<Item = pyproc::Result<String>> {
        Once(Some(Ok(format!("{prompt} {limit}"))))
    }

    fn numbers(&self) -> impl Stream<Item = Result<u64>> {
        Once(Some(Err(Failed::Pyproc)))
    }

    async fn name(&self) -> Result<String> {
        Ok("fake".to_owned())
    }
}

#[pyproc::async_trait]
impl Shared for Fake {
    fn generate(&self, prompt: String) -> BoxStream<'_, pyproc::Result<String>> {
        Box::pin(Once(Some(Ok(prompt))))
    }

    fn text(&self, prompt: String) -> BoxStream<'static, pyproc::Result<String>> {
        Box::pin(Once(Some(Ok(prompt))))
    }

    async fn name(&self) -> pyproc::Result<String> {
        Ok("fake".to_owned())
    }
}

async fn next<S: Stream>(stream: S) -> Option<S::Item> {
    let mut stream = std::pin::pin!(stream);
    std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await
}

/// A generic caller can be spawned.
fn spawned<M: Model + Send + Sync + 'static>(model: M) -> tokio::task::JoinHandle<Option<String>> {
    tokio::spawn(async move {
        let item = next(model.generate("hello", 3)).await;
        item.and_then(pyproc::Result::ok)
    })
}

/// Only compiled: the clients are such models too, with any codec.
fn _client<C: pyproc::Codec>(pool: &pyproc::Pool<C>) -> pyproc::Result<Arc<dyn Shared>> {
    let _ = spawned(ModelClient::new(pool)?);
    Ok(Arc::new(SharedClient::new(pool)?))
}

#[tokio::main]
async fn main() {
    assert_eq!(spawned(Fake).await.unwrap().unwrap(), "hello 3");
    assert!(next(Model::numbers(&Fake)).await.unwrap().is_err());
    assert_eq!(Model::name(&Fake).await.unwrap(), "fake");
    let shared: Arc<dyn Shared> = Arc::new(Fake);
    let item = next(shared.generate("hello".to_owned())).await;
    assert_eq!(item.unwrap().unwrap(), "hello");
    assert_eq!(shared.name().await.unwrap(), "fake");
}
