//! The exceptions of the Python package that are raised here.

pyo3::import_exception!(pyproc._errors, Interrupted);
pyo3::import_exception!(pyproc._errors, InvalidBody);
pyo3::import_exception!(pyproc._errors, InvalidResult);
pyo3::import_exception!(pyproc._errors, ItemError);
pyo3::import_exception!(pyproc._protocol, ProtocolError);
