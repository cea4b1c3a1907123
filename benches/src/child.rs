//! A child: one subject, which takes orders on standard input until that ends.

mod blocking;
mod echo;
mod futex;
mod grpcio;
mod items;
mod memcpy;
mod mosec;
mod peer;
mod pipe;
mod pool;
mod server;
mod start;

use std::process::ExitCode;

use anyhow::Result;

use crate::cores::Cores;
use crate::protocol::Greeting;
use crate::spec::{Spec, Subject};
use server::Server;

pub(crate) use echo::serve as serve_echo;
pub(crate) use items::serve as serve_items;
pub(crate) use pool::{Question, Reply};

pub(crate) fn run(spec: &str) -> Result<ExitCode> {
    let spec: Spec = serde_json::from_str(spec)?;
    let mut server = Server::new();
    let cores = Cores::find();
    if let Some(placement) = spec.placement {
        if let Some(obstacle) = Cores::obstacle(cores.as_ref(), placement) {
            server.greet(&Greeting::Unfit {
                reason: obstacle.into(),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(cores) = &cores {
            cores.confine(placement)?;
        }
    }
    if let Some(count) = spec.cores {
        Cores::limit(count)?;
    }
    let cores = cores.as_ref();
    match spec.subject {
        Subject::Pyproc if spec.started_by_order => start::pool(&spec, &mut server)?,
        Subject::Pyproc => pool::run(&spec, cores, &mut server)?,
        Subject::FloorRustEcho | Subject::FloorPythonEcho => echo::run(&spec, cores, &mut server)?,
        Subject::FloorRustItems | Subject::FloorPythonItems => {
            items::run(&spec, cores, &mut server)?;
        }
        Subject::FloorFutex => futex::run(&spec, cores, &mut server)?,
        Subject::Grpcio => grpcio::run(&spec, cores, &mut server)?,
        Subject::Mosec => mosec::run(&spec, cores, &mut server)?,
        Subject::Pipe => pipe::run(&spec, cores)?,
        Subject::FloorMemcpy => memcpy::run(&mut server)?,
        Subject::FloorPythonStart => start::interpreter(&mut server)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The far side of the Rust floor.
pub(crate) fn echo() -> Result<ExitCode> {
    serve_echo()?;
    Ok(ExitCode::SUCCESS)
}

/// The far side of the Rust floor of a stream.
pub(crate) fn items() -> Result<ExitCode> {
    serve_items()?;
    Ok(ExitCode::SUCCESS)
}
