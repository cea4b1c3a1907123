//! The `#[pyproc::remote]` attribute.
