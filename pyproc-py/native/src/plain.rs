//! Plain Python values on their way into a body.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// How deep lists and maps may be nested, as in the Python package's `_dump`: serde refuses the
/// 128th level by default.
pub(crate) const MAX_DEPTH: u32 = 127;

/// The value is not plain through and through. Python's dumper either makes it so or knows what to
/// say about it.
#[derive(Debug)]
pub(crate) struct NotPlain;

/// One way to write down plain values.
pub(crate) trait Writer {
    fn null(&mut self);
    fn boolean(&mut self, value: bool);
    fn signed(&mut self, value: i64);
    fn unsigned(&mut self, value: u64);
    /// # Errors
    ///
    /// The format has no such number.
    fn float(&mut self, value: f64) -> Result<(), NotPlain>;
    fn text(&mut self, value: &str);
    /// # Errors
    ///
    /// The format has no bytes.
    fn bytes(&mut self, value: &Bound<'_, PyBytes>) -> Result<(), NotPlain>;
    fn begin_list(&mut self, length: usize);
    fn end_list(&mut self);
    fn begin_map(&mut self, length: usize);
    fn end_map(&mut self);
    /// What stands before an element of a list or a key of a map.
    fn separate(&mut self, is_first: bool);
    /// What stands between a key and its value.
    fn assign(&mut self);
}

/// Writes a value whose types are exactly the plain ones: those of subclasses may mean something
/// else.
///
/// # Errors
///
/// [`NotPlain`]; what was written until then means nothing.
pub(crate) fn write(
    value: &Bound<'_, PyAny>,
    writer: &mut impl Writer,
    depth: u32,
) -> Result<(), NotPlain> {
    if let Some(text) = exactly::<PyString>(value) {
        writer.text(text.to_str().map_err(|_| NotPlain)?);
    } else if exactly::<PyInt>(value).is_some() {
        match value.extract::<i64>() {
            Ok(number) => writer.signed(number),
            Err(_) => writer.unsigned(value.extract().map_err(|_| NotPlain)?),
        }
    } else if let Some(number) = exactly::<PyFloat>(value) {
        writer.float(number.value())?;
    } else if let Some(map) = exactly::<PyDict>(value) {
        write_map(map, writer, depth)?;
    } else if let Some(list) = exactly::<PyList>(value) {
        writer.begin_list(list.len());
        write_elements(list.iter(), writer, depth)?;
    } else if value.is_none() {
        writer.null();
    } else if let Some(value) = exactly::<PyBool>(value) {
        writer.boolean(value.is_true());
    } else if let Some(bytes) = exactly::<PyBytes>(value) {
        writer.bytes(bytes)?;
    } else if let Some(tuple) = exactly::<PyTuple>(value) {
        writer.begin_list(tuple.len());
        write_elements(tuple.iter(), writer, depth)?;
    } else {
        return Err(NotPlain);
    }
    Ok(())
}

fn write_map(
    map: &Bound<'_, PyDict>,
    writer: &mut impl Writer,
    depth: u32,
) -> Result<(), NotPlain> {
    let inner = depth.checked_sub(1).ok_or(NotPlain)?;
    writer.begin_map(map.len());
    let mut is_first = true;
    for (key, value) in map.iter() {
        writer.separate(is_first);
        is_first = false;
        let key = exactly::<PyString>(&key).ok_or(NotPlain)?;
        writer.text(key.to_str().map_err(|_| NotPlain)?);
        writer.assign();
        write(&value, writer, inner)?;
    }
    writer.end_map();
    Ok(())
}

fn write_elements<'py>(
    elements: impl Iterator<Item = Bound<'py, PyAny>>,
    writer: &mut impl Writer,
    depth: u32,
) -> Result<(), NotPlain> {
    let inner = depth.checked_sub(1).ok_or(NotPlain)?;
    let mut is_first = true;
    for element in elements {
        writer.separate(is_first);
        is_first = false;
        write(&element, writer, inner)?;
    }
    writer.end_list();
    Ok(())
}

/// The value as a `T`, if that is its type and not only a base of it.
fn exactly<'a, 'py, T: PyTypeInfo>(value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
    // `cast_exact` alone would make an error where the type is another one.
    if value.is_exact_instance_of::<T>() {
        value.cast_exact().ok()
    } else {
        None
    }
}
