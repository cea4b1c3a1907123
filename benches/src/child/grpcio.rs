//! The peer grpcio, called by tonic over a Unix socket.

use anyhow::{Context as _, Result, ensure};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;

use super::peer::{Peer, Said};
use super::pool::runtime;
use super::server::Server;
use crate::cores::Cores;
use crate::load::{self, Caller, answer};
use crate::spec::{Mode, Spec};

pub(crate) fn run(spec: &Spec, cores: Option<&Cores>, server: &mut Server) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("grpc.sock");
    let path = socket.to_str().context("the path is not text")?.to_owned();
    let mode = match spec.mode {
        Some(Mode::Threads) => "threads",
        _ => "aio",
    };
    let peer = match Peer::start("peer_grpcio.py", &[mode, &path])? {
        Said::Ready(peer) => peer,
        Said::Unfit(reason) => return server.unfit(reason),
    };
    let runtime = runtime(spec)?;
    let caller = runtime.block_on(Predict::connect(path))?;
    if let (Some(cores), Some(placement)) = (cores, spec.placement) {
        cores.separate(placement, &peer.pids())?;
    }
    server.ready(None)?;
    server.serve(
        || peer.pids(),
        |order| runtime.block_on(load::run(&caller, order)),
    )
}

#[derive(Clone, prost::Message)]
struct Question {
    #[prost(uint64, tag = "1")]
    value: u64,
}

#[derive(Clone, prost::Message)]
struct Answer {
    #[prost(uint64, tag = "1")]
    result: u64,
}

/// A unary call; all callers share a channel, which is one connection.
#[derive(Clone)]
struct Predict {
    channel: Channel,
}

impl Predict {
    async fn connect(path: String) -> Result<Self> {
        // The address is only a name; the connector knows where to go.
        let endpoint = Endpoint::from_static("http://localhost");
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = endpoint.connect_with_connector(connector).await?;
        Ok(Self { channel })
    }
}

impl Caller for Predict {
    type Reply = u64;

    async fn call(&self, number: u64) -> Result<u64> {
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await?;
        let question = tonic::Request::new(Question { value: number });
        let path = PathAndQuery::from_static("/bench.Bench/Predict");
        let codec = ProstCodec::<Question, Answer>::default();
        let reply = client.unary(question, path, codec).await?;
        Ok(reply.into_inner().result)
    }

    fn check(&self, number: u64, reply: &u64) -> Result<()> {
        ensure!(*reply == answer(number), "{number} was answered by {reply}");
        Ok(())
    }
}
