//! The peer mosec, called by hyper over loopback HTTP.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pyproc::{Codec as _, MsgPack};
use serde::{Deserialize, Serialize};

use super::peer::{Peer, Said};
use super::pool::runtime;
use super::server::Server;
use crate::cores::Cores;
use crate::load::{self, Caller, answer};
use crate::spec::{Mode, Spec};

/// How long its server and its worker may take until they answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(spec: &Spec, cores: Option<&Cores>, server: &mut Server) -> Result<()> {
    let port = free_port()?;
    let mode = match spec.mode {
        Some(Mode::Batches) => "batches",
        _ => "single",
    };
    let peer = match Peer::start("peer_mosec.py", &[mode, &port.to_string()])? {
        Said::Ready(peer) => peer,
        Said::Unfit(reason) => return server.unfit(reason),
    };
    let runtime = runtime(spec)?;
    let caller = Predict::new(port)?;
    runtime.block_on(caller.wait_until_it_answers())?;
    if let (Some(cores), Some(placement)) = (cores, spec.placement) {
        cores.separate(placement, &peer.pids())?;
    }
    server.ready(None)?;
    server.serve(
        || peer.pids(),
        |order| runtime.block_on(load::run(&caller, order)),
    )
}

/// One that nobody listens on; somebody could take it before the peer does, which would be seen.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

#[derive(Serialize)]
struct Question {
    value: u64,
}

#[derive(Deserialize)]
struct Answer {
    result: u64,
}

/// A POST; each caller gets a connection of its own from the client's pool, which keeps them open.
#[derive(Clone)]
struct Predict {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

impl Predict {
    fn new(port: u16) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri: format!("http://127.0.0.1:{port}/inference").parse()?,
        })
    }

    async fn wait_until_it_answers(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match self.call(1).await {
                Ok(reply) => return self.check(1, &reply),
                Err(error) if begin.elapsed() > PATIENCE => {
                    return Err(error).context("mosec does not answer");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Caller for Predict {
    type Reply = u64;

    async fn call(&self, number: u64) -> Result<u64> {
        let mut body = Vec::new();
        MsgPack.encode(&Question { value: number }, &mut body)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .body(Full::from(body))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{status}");
        let reply: Answer = MsgPack.decode(&body)?;
        Ok(reply.result)
    }

    fn check(&self, number: u64, reply: &u64) -> Result<()> {
        ensure!(*reply == answer(number), "{number} was answered by {reply}");
        Ok(())
    }
}
