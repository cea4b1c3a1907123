//! Memory for large bodies.
//!
//! Touching a page for the first time costs several times what copying to it does, so large pieces
//! ask for large pages; and what they leave behind is given back to the system when nobody has
//! called for a while.
#![allow(unsafe_code)]

use std::ptr;

use bytes::BytesMut;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// From this length on it matters; large pages have 2 MiB on most machines.
const LARGE_BYTES: usize = 4 * 1024 * 1024;

/// Asks for large pages in what a buffer has room for.
pub(crate) fn advise(buffer: &mut BytesMut) {
    let room = buffer.spare_capacity_mut();
    advise_pages(room.as_mut_ptr().cast(), room.len());
}

/// A Python object of these bytes.
pub(crate) fn to_python<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if bytes.len() < LARGE_BYTES {
        return Ok(PyBytes::new(py, bytes));
    }
    // SAFETY: without a pointer to copy from, a new object with room for as many bytes is
    // returned, or nothing and an exception is set. A length of a slice fits into the signed type.
    // Until this function returns nobody else knows the object, so its bytes may be written, and
    // all of them are.
    unsafe {
        let object = ffi::PyBytes_FromStringAndSize(ptr::null(), bytes.len() as ffi::Py_ssize_t);
        let object = Bound::from_owned_ptr_or_err(py, object)?;
        let target = ffi::PyBytes_AS_STRING(object.as_ptr())
            .cast_mut()
            .cast::<u8>();
        advise_pages(target, bytes.len());
        ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        Ok(object.cast_into_unchecked())
    }
}

/// Gives memory that was freed back to the system, where the allocator has kept it.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: it is a function of glibc, which may be called at any time by any thread.
        unsafe { malloc_trim(0) };
    }
}

#[cfg(target_os = "linux")]
fn advise_pages(start: *mut u8, length: usize) {
    use rustix::mm::{Advice, madvise};

    const PAGE: usize = 4096;
    if length < LARGE_BYTES {
        return;
    }
    let skipped = start.align_offset(PAGE);
    let whole = length.saturating_sub(skipped) / PAGE * PAGE;
    // SAFETY: the advice changes nothing but how the pages within `start..start + length`, which
    // is one allocation, are made. That it is not followed is no error.
    unsafe {
        let _ = madvise(start.add(skipped).cast(), whole, Advice::LinuxHugepage);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_pages(_start: *mut u8, _length: usize) {}
