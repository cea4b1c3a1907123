use std::time::{Duration, Instant};

use pyproc::{Codec, Pool};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::affinity::Affinity;
use crate::{Result, Sample};

/// As many as there are callers, so that none of them waits for admission.
const MAX_IN_FLIGHT: usize = 64;

/// The header that a request has before its body.
const HEADER_BYTES: usize = 16;

#[derive(Clone, Copy, Serialize)]
struct Question {
    value: i64,
}

#[derive(Deserialize)]
struct Answer {
    result: i64,
}

const QUESTION: Question = Question { value: 42 };

/// A pool with one worker and one codec.
pub(crate) struct Subject<C: Codec> {
    pool: Pool<C>,
    codec: C,
}

impl<C: Codec> Subject<C> {
    pub(crate) async fn start(name: &str, codec: C, affinity: &Affinity) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/predict.py");
        let mut builder = Pool::builder(script)
            .name(name)
            .workers(1)
            .max_in_flight_per_worker(MAX_IN_FLIGHT)
            .codec(codec.clone());
        if let Some((variable, value)) = affinity.environment() {
            builder = builder.env(variable, value);
        }
        let pool = builder.start().await?;
        Ok(Self { pool, codec })
    }

    /// How long the frame of a request is.
    pub(crate) fn request_bytes(&self) -> usize {
        let mut body = Vec::new();
        let encoded = self.codec.encode(&QUESTION, &mut body);
        encoded.map_or(HEADER_BYTES, |()| HEADER_BYTES + body.len())
    }

    pub(crate) async fn python_version(&self) -> Result<String> {
        Ok(self.pool.call("python_version", &()).await?)
    }

    /// So many callers, each with one call at a time.
    pub(crate) async fn call(
        &self,
        callers: usize,
        length: Duration,
        sample: &mut Sample,
    ) -> Result<()> {
        let cpu_before = self.cpu_seconds().await?;
        let begin = Instant::now();
        // Spawned, so that one caller too runs where a service's handlers run.
        let callers: Vec<_> = (0..callers)
            .map(|_| tokio::spawn(caller(self.pool.clone(), begin + length)))
            .collect();
        for caller in callers {
            sample.absorb(caller.await??);
        }
        let elapsed = begin.elapsed();
        let cpu = self.cpu_seconds().await? - cpu_before;
        sample.end_round(elapsed, Some(cpu));
        Ok(())
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.pool.shutdown().await?;
        Ok(())
    }

    /// The processor time that the two processes have used so far.
    async fn cpu_seconds(&self) -> Result<f64> {
        let worker: f64 = self.pool.call("cpu_seconds", &()).await?;
        let host = clock_gettime(ClockId::ProcessCPUTime);
        Ok(worker + host.tv_sec as f64 + host.tv_nsec as f64 / 1e9)
    }
}

async fn caller<C: Codec>(pool: Pool<C>, end: Instant) -> pyproc::Result<Sample> {
    let mut sample = Sample::default();
    let mut now = Instant::now();
    while now < end {
        let answer: Answer = pool.call("predict", &QUESTION).await?;
        assert_eq!(answer.result, 2 * QUESTION.value);
        let then = Instant::now();
        sample.record(then - now);
        now = then;
    }
    Ok(sample)
}
