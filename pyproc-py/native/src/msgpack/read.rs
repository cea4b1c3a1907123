//! MessagePack to Python values.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::errors::InvalidBody;
use crate::keys::Keys;
use crate::memory;

/// How deep lists and maps may be nested. A host's serializer stops far above it, and the stack
/// is good for more.
const MAX_DEPTH: u32 = 1024;

/// Reads one value, which must be all there is.
///
/// # Errors
///
/// `InvalidBody`, where the bytes are anything else than plain values; or what the interpreter
/// says where memory runs out.
pub(crate) fn read<'py>(
    py: Python<'py>,
    bytes: &[u8],
    keys: &mut Keys,
) -> PyResult<Bound<'py, PyAny>> {
    let mut reader = Reader {
        py,
        rest: bytes,
        keys,
    };
    let value = reader.value(MAX_DEPTH)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(malformed("there is more than one value"))
    }
}

struct Reader<'a, 'py> {
    py: Python<'py>,
    rest: &'a [u8],
    keys: &'a mut Keys,
}

impl<'a, 'py> Reader<'a, 'py> {
    fn value(&mut self, depth: u32) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let [mark] = self.take()?;
        Ok(match mark {
            0x00..=0x7F => PyInt::new(py, mark).into_any(),
            0x80..=0x8F => self.map(usize::from(mark & 0x0F), depth)?,
            0x90..=0x9F => self.list(usize::from(mark & 0x0F), depth)?,
            0xA0..=0xBF => self.text(usize::from(mark & 0x1F))?,
            0xC0 => py.None().into_bound(py),
            0xC1 => return Err(malformed("the byte 0xc1 has no meaning")),
            0xC2 | 0xC3 => PyBool::new(py, mark == 0xC3).to_owned().into_any(),
            0xC4 => {
                let [length] = self.take()?;
                self.bytes(usize::from(length))?
            }
            0xC5 => {
                let length = self.take()?;
                self.bytes(usize::from(u16::from_be_bytes(length)))?
            }
            0xC6 => {
                let length = self.take()?;
                self.bytes(u32::from_be_bytes(length) as usize)?
            }
            0xC7..=0xC9 | 0xD4..=0xD8 => {
                let message = "the body has an extension type, which no codec here carries";
                return Err(InvalidBody::new_err(message));
            }
            0xCA => PyFloat::new(py, f64::from(f32::from_be_bytes(self.take()?))).into_any(),
            0xCB => PyFloat::new(py, f64::from_be_bytes(self.take()?)).into_any(),
            0xCC => PyInt::new(py, u8::from_be_bytes(self.take()?)).into_any(),
            0xCD => PyInt::new(py, u16::from_be_bytes(self.take()?)).into_any(),
            0xCE => PyInt::new(py, u32::from_be_bytes(self.take()?)).into_any(),
            0xCF => PyInt::new(py, u64::from_be_bytes(self.take()?)).into_any(),
            0xD0 => PyInt::new(py, i8::from_be_bytes(self.take()?)).into_any(),
            0xD1 => PyInt::new(py, i16::from_be_bytes(self.take()?)).into_any(),
            0xD2 => PyInt::new(py, i32::from_be_bytes(self.take()?)).into_any(),
            0xD3 => PyInt::new(py, i64::from_be_bytes(self.take()?)).into_any(),
            0xD9..=0xDB => {
                let length = self.text_length(mark)?;
                self.text(length)?
            }
            0xDC | 0xDD => {
                let length = self.count(mark == 0xDD)?;
                self.list(length, depth)?
            }
            0xDE | 0xDF => {
                let length = self.count(mark == 0xDF)?;
                self.map(length, depth)?
            }
            0xE0..=0xFF => PyInt::new(py, mark as i8).into_any(),
        })
    }

    fn list(&mut self, length: usize, depth: u32) -> PyResult<Bound<'py, PyAny>> {
        let inner = depth.checked_sub(1).ok_or_else(too_deep)?;
        // An element takes a byte at least: a claim alone makes nobody allocate.
        if length > self.rest.len() {
            return Err(cut_off());
        }
        let (py, mut failure) = (self.py, None);
        let elements = (0..length).map(|_| {
            if failure.is_none() {
                match self.value(inner) {
                    Ok(value) => return value,
                    Err(error) => failure = Some(error),
                }
            }
            py.None().into_bound(py)
        });
        let list = PyList::new(py, elements)?;
        match failure {
            None => Ok(list.into_any()),
            Some(error) => Err(error),
        }
    }

    fn map(&mut self, length: usize, depth: u32) -> PyResult<Bound<'py, PyAny>> {
        let inner = depth.checked_sub(1).ok_or_else(too_deep)?;
        let map = PyDict::new(self.py);
        for _ in 0..length {
            let key = self.key(inner)?;
            let value = self.value(inner)?;
            map.set_item(key, value)?;
        }
        Ok(map.into_any())
    }

    fn key(&mut self, depth: u32) -> PyResult<Bound<'py, PyString>> {
        let before = self.rest;
        let [mark] = self.take()?;
        let length = match mark {
            0xA0..=0xBF => usize::from(mark & 0x1F),
            0xD9..=0xDB => self.text_length(mark)?,
            _ => {
                self.rest = before;
                let key = self.value(depth)?.repr()?;
                let message = format!("the key {key} of a map is not text");
                return Err(InvalidBody::new_err(message));
            }
        };
        let bytes = self.split(length)?;
        self.keys.get(self.py, bytes).map_err(|_| not_utf8())
    }

    fn text(&mut self, length: usize) -> PyResult<Bound<'py, PyAny>> {
        let bytes = self.split(length)?;
        let text = PyString::from_bytes(self.py, bytes).map_err(|_| not_utf8())?;
        Ok(text.into_any())
    }

    fn bytes(&mut self, length: usize) -> PyResult<Bound<'py, PyAny>> {
        let bytes = self.split(length)?;
        Ok(memory::to_python(self.py, bytes)?.into_any())
    }

    fn text_length(&mut self, mark: u8) -> PyResult<usize> {
        Ok(match mark {
            0xD9 => usize::from(u8::from_be_bytes(self.take()?)),
            0xDA => usize::from(u16::from_be_bytes(self.take()?)),
            _ => u32::from_be_bytes(self.take()?) as usize,
        })
    }

    fn count(&mut self, is_long: bool) -> PyResult<usize> {
        Ok(if is_long {
            u32::from_be_bytes(self.take()?) as usize
        } else {
            usize::from(u16::from_be_bytes(self.take()?))
        })
    }

    fn take<const N: usize>(&mut self) -> PyResult<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn split(&mut self, length: usize) -> PyResult<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn malformed(what: &str) -> PyErr {
    InvalidBody::new_err(format!("the body is not MessagePack: {what}"))
}

fn cut_off() -> PyErr {
    malformed("it is cut off")
}

fn not_utf8() -> PyErr {
    malformed("a text is not UTF-8")
}

fn too_deep() -> PyErr {
    InvalidBody::new_err("the body is nested too deeply")
}
