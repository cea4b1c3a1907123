//! An implementation written by hand can fail as a pool does, with any kind and any fate.

use pyproc::{Error, ErrorKind, Fate};

#[pyproc::remote]
trait Iris {
    async fn classify(&self, petal_length: f64) -> pyproc::Result<String>;
}

struct Failing(ErrorKind, Fate);

impl Iris for Failing {
    async fn classify(&self, petal_length: f64) -> pyproc::Result<String> {
        let message = format!("not today: {petal_length}");
        Err(Error::new(self.0, message).with_fate(self.1))
    }
}

#[tokio::main]
async fn main() {
    let cases = [
        (ErrorKind::Overloaded, Fate::NotStarted, true),
        (ErrorKind::WorkerDied, Fate::MayHaveRun, false),
        (ErrorKind::Exception, Fate::Failed, false),
    ];
    for (kind, fate, retryable) in cases {
        let error = Failing(kind, fate).classify(1.4).await.unwrap_err();
        assert_eq!((error.kind(), error.fate()), (kind, fate));
        assert_eq!(error.is_retryable(), retryable);
        assert_eq!(error.to_string(), "not today: 1.4");
        assert!(error.function().is_none() && error.worker().is_none());
    }
    assert_eq!(
        Error::new(ErrorKind::Overloaded, "").fate(),
        Fate::NotStarted
    );
}
