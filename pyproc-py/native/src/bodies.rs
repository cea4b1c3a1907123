//! How the bodies of a connection are decoded and encoded.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyproc_proto::ReplyBody;

use crate::errors::InvalidResult;
use crate::json::{self, JsonWriter};
use crate::keys::Keys;
use crate::msgpack::{self, MsgPackWriter};
use crate::plain::{self, MAX_DEPTH, NotPlain};

/// The codec of a connection.
pub(crate) struct Bodies<'py> {
    codec: Codec<'py>,
    /// Python's dumper for codecs of this kind, which makes other values plain.
    dump: Bound<'py, PyAny>,
}

enum Codec<'py> {
    Own {
        format: Format,
        keys: Keys,
    },
    /// One that the user has registered, a `pyproc._codec.Codec`.
    Registered(Bound<'py, PyAny>),
}

/// What this core encodes and decodes itself.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Json,
    MsgPack,
}

impl<'py> Bodies<'py> {
    /// Bodies of the codec called `name`; or of the `registered` one, whatever it is called.
    pub(crate) fn new(
        name: &str,
        registered: Option<Bound<'py, PyAny>>,
        dump: Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        let codec = match registered {
            Some(codec) => Codec::Registered(codec),
            None => Codec::Own {
                format: Format::named(name)?,
                keys: Keys::new(),
            },
        };
        Ok(Self { codec, dump })
    }

    /// The value that a body stands for.
    ///
    /// # Errors
    ///
    /// `InvalidBody`.
    pub(crate) fn decode(&mut self, py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        match &mut self.codec {
            Codec::Own { format, keys } => format.decode(py, body, keys),
            Codec::Registered(codec) => {
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
    pub(crate) fn encode(
        &self,
        value: &Bound<'py, PyAny>,
        body: &mut ReplyBody<'_>,
    ) -> PyResult<()> {
        let start = body.len();
        match &self.codec {
            Codec::Own { format, .. } => {
                if format.write(value, body).is_ok() {
                    return Ok(());
                }
                body.reset(start);
                let plain = self.dump.call1((value,))?;
                format
                    .write(&plain, body)
                    .map_err(|NotPlain| InvalidResult::new_err(("$", "it cannot be encoded")))
            }
            Codec::Registered(codec) => {
                let plain = self.dump.call1((value,))?;
                let encoded = codec.call_method1(intern!(value.py(), "encode"), (plain,))?;
                let encoded = encoded.cast::<PyBytes>()?.as_bytes();
                body.buffer_mut().extend_from_slice(encoded);
                Ok(())
            }
        }
    }
}

impl Format {
    /// # Errors
    ///
    /// `ValueError` where there is none of this name.
    pub(crate) fn named(name: &str) -> PyResult<Self> {
        match name {
            "json" => Ok(Self::Json),
            "msgpack" => Ok(Self::MsgPack),
            _ => Err(PyValueError::new_err(format!("no codec `{name}` here"))),
        }
    }

    /// The value that a body stands for.
    ///
    /// # Errors
    ///
    /// `InvalidBody`.
    pub(crate) fn decode<'py>(
        self,
        py: Python<'py>,
        body: &[u8],
        keys: &mut Keys,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::MsgPack => msgpack::read(py, body, keys),
            Self::Json => json::read(py, body, keys).or_else(|_| {
                let module = py.import(intern!(py, "pyproc._codec_json"))?;
                let body = PyBytes::new(py, body);
                module.call_method1(intern!(py, "decode_strictly"), (body,))
            }),
        }
    }

    /// Appends what stands for a plain value.
    ///
    /// # Errors
    ///
    /// [`NotPlain`]; what was appended then is to be taken back.
    pub(crate) fn write(
        self,
        value: &Bound<'_, PyAny>,
        body: &mut ReplyBody<'_>,
    ) -> Result<(), NotPlain> {
        match self {
            Self::Json => plain::write(value, &mut JsonWriter::new(body.buffer_mut()), MAX_DEPTH),
            Self::MsgPack => plain::write(value, &mut MsgPackWriter::new(body), MAX_DEPTH),
        }
    }
}
