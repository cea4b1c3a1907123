//! The peer multiprocessing.Pipe: both of its sides are Python, so the child becomes a Python program.

use std::os::unix::process::CommandExt as _;

use anyhow::Result;

use super::peer::command;
use crate::cores::Cores;
use crate::spec::Spec;

pub(crate) fn run(spec: &Spec, cores: Option<&Cores>) -> Result<()> {
    let pair = cores.zip(spec.placement);
    let pair = pair.and_then(|(cores, placement)| cores.pair(placement));
    let cores = pair.map_or_else(Vec::new, |pair| pair.map(|core| core.to_string()).to_vec());
    let cores: Vec<_> = cores.iter().map(String::as_str).collect();
    Err(command("peer_pipe.py", &cores).exec().into())
}
