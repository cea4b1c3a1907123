//! The floor of what must be copied: as many bytes, once, within a process.

use std::hint::black_box;

use anyhow::{Result, bail, ensure};

use super::server::Server;
use crate::load::{BlockingCaller, blocking};
use crate::protocol::Load;

pub(crate) fn run(server: &mut Server) -> Result<()> {
    server.ready(None)?;
    let mut copy = Copy::default();
    server.serve(Vec::new, |order| match order.load {
        Load::Echo { bytes } => {
            copy.resize(bytes);
            blocking::closed(&mut copy, order.length())
        }
        _ => bail!("only bytes are copied"),
    })
}

#[derive(Default)]
struct Copy {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Copy {
    fn resize(&mut self, bytes: usize) {
        self.from.resize(bytes, 0x2A);
        self.to.resize(bytes, 0);
    }
}

impl BlockingCaller for Copy {
    fn call(&mut self, number: u64) -> Result<()> {
        if let Some(first) = self.from.first_mut() {
            *first = number as u8;
        }
        black_box(&mut self.to).copy_from_slice(black_box(&self.from));
        Ok(())
    }

    fn check(&self, _: u64) -> Result<()> {
        ensure!(self.to == self.from, "the copy differs");
        Ok(())
    }
}
