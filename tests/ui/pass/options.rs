//! Options of methods and of their arguments.

use std::sync::Arc;

use pyproc::{Answers, Stream};

type Result<T> = std::result::Result<T, Failed>;

#[derive(Debug)]
struct Failed;

impl From<pyproc::Error> for Failed {
    fn from(_: pyproc::Error) -> Self {
        Self
    }
}

#[pyproc::remote]
trait Chat {
    #[pyproc(priority = "high", retry = 3, idempotent, deadline = "1s", name = "said")]
    async fn say(
        &self,
        #[pyproc(key)] session: String,
        #[pyproc(metadata)] traceparent: &str,
        text: &str,
    ) -> pyproc::Result<String>;
    #[pyproc(priority = "low")]
    fn answer(
        &self,
        #[pyproc(key)] session: &str,
        #[pyproc(metadata)] r#type: String,
    ) -> impl Stream<Item = Result<String>>;
    #[pyproc(broadcast, deadline = "2min")]
    async fn reload(&self, path: &str, #[pyproc(metadata)] by: &str) -> Result<Answers<u32>>;
    #[pyproc(one_way, idempotent, priority = "normal")]
    async fn audit(&self, #[pyproc(key, metadata)] user: &str, key: u64) -> Result<()>;
    async fn whoever(&self, #[pyproc(key)] key: (u8, [u16; 2])) -> pyproc::Result<()>;
}

#[pyproc::remote(object_safe)]
trait Shared {
    async fn say(&self, #[pyproc(key)] session: u64, text: String) -> pyproc::Result<String>;
    #[pyproc(broadcast)]
    async fn reload(&self) -> pyproc::Result<Answers<()>>;
    #[pyproc(one_way)]
    async fn audit(&self, entry: &str) -> pyproc::Result<()>;
}

struct Fake;

#[pyproc::async_trait]
impl Shared for Fake {
    async fn say(&self, session: u64, text: String) -> pyproc::Result<String> {
        Ok(format!("{session} {text}"))
    }

    async fn reload(&self) -> pyproc::Result<Answers<()>> {
        Ok(Vec::new())
    }

    async fn audit(&self, _entry: &str) -> pyproc::Result<()> {
        Ok(())
    }
}

/// Only compiled: a generic caller can be spawned.
fn _spawned<C: pyproc::Codec>(pool: &pyproc::Pool<C>) -> pyproc::Result<()> {
    let chat = ChatClient::new(pool)?;
    tokio::spawn(async move {
        let _ = chat.say("1".to_owned(), "00-1", "hello").await;
        let _ = chat.reload("iris.onnx", "ada").await;
        chat.audit("ada", 1).await
    });
    Ok(())
}

#[tokio::main]
async fn main() {
    let shared: Arc<dyn Shared> = Arc::new(Fake);
    assert_eq!(shared.say(1, "hello".to_owned()).await.unwrap(), "1 hello");
    assert!(shared.reload().await.unwrap().is_empty());
    shared.audit("login").await.unwrap();
}
