//! How the bodies of a connection are decoded and encoded.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::InvalidResult;
use crate::json::{self, JsonWriter};
use crate::keys::Keys;
use crate::msgpack::{self, MsgPackWriter};
use crate::plain::{self, MAX_DEPTH, NotPlain};

/// The codec of a connection.
pub(crate) struct Bodies<'py> {
    format: Format<'py>,
    keys: Keys,
    /// Python's dumper for codecs of this kind, which makes other values plain.
    dump: Bound<'py, PyAny>,
}

enum Format<'py> {
    Json,
    MsgPack,
    /// One that the user has registered, a `pyproc._codec.Codec`.
    Registered(Bound<'py, PyAny>),
}

impl<'py> Bodies<'py> {
    /// Bodies of the codec called `name`; `registered` is what the Python package has for it if it
    /// is neither of those that this core has itself.
    pub(crate) fn new(
        name: &str,
        registered: Option<Bound<'py, PyAny>>,
        dump: Bound<'py, PyAny>,
    ) -> Self {
        let format = match (registered, name) {
            (Some(codec), _) => Format::Registered(codec),
            (None, "json") => Format::Json,
            (None, _) => Format::MsgPack,
        };
        Self {
            format,
            keys: Keys::new(),
            dump,
        }
    }

    /// The value that a body stands for.
    ///
    /// # Errors
    ///
    /// `InvalidBody`.
    pub(crate) fn decode(&mut self, py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match &self.format {
            Format::MsgPack => msgpack::read(py, body, &mut self.keys),
            Format::Json => json::read(py, body, &mut self.keys).or_else(|_| {
                let module = py.import(intern!(py, "pyproc._codec_json"))?;
                let body = PyBytes::new(py, body);
                module.call_method1(intern!(py, "decode_strictly"), (body,))
            }),
            Format::Registered(codec) => {
                codec.call_method1(intern!(py, "decode"), (PyBytes::new(py, body),))
            }
        }
    }

    /// Appends the body that stands for a value. What was appended before an error is to be taken
    /// back.
    ///
    /// # Errors
    ///
    /// `InvalidResult`.
    pub(crate) fn encode(&self, value: &Bound<'py, PyAny>, output: &mut Vec<u8>) -> PyResult<()> {
        let start = output.len();
        if let Format::Registered(codec) = &self.format {
            let plain = self.dump.call1((value,))?;
            let body = codec.call_method1(intern!(value.py(), "encode"), (plain,))?;
            output.extend_from_slice(body.cast::<PyBytes>()?.as_bytes());
            return Ok(());
        }
        if self.write(value, output).is_ok() {
            return Ok(());
        }
        output.truncate(start);
        let plain = self.dump.call1((value,))?;
        self.write(&plain, output)
            .map_err(|NotPlain| InvalidResult::new_err(("$", "it cannot be encoded")))
    }

    fn write(&self, value: &Bound<'py, PyAny>, output: &mut Vec<u8>) -> Result<(), NotPlain> {
        match &self.format {
            Format::Json => plain::write(value, &mut JsonWriter::new(output), MAX_DEPTH),
            _ => plain::write(value, &mut MsgPackWriter::new(output), MAX_DEPTH),
        }
    }
}
