//! The table of functions.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// One exposed function, as far as calling it needs.
pub(crate) struct Function<'py> {
    pub(crate) call: Bound<'py, PyAny>,
    pub(crate) name: Bound<'py, PyAny>,
    pub(crate) binding: Binding<'py>,
    /// How its calls are put together, if it takes many at once.
    pub(crate) batching: Option<Batching>,
    /// The parameter that is a stream, if it has one.
    pub(crate) items: Option<ItemsParameter<'py>>,
    /// Whether its items are sent one by one.
    pub(crate) is_stream: bool,
    /// Whether its last call was so short that a finished reply could wait for it.
    pub(crate) is_quick: bool,
}

/// What a `pyproc._batch.Batching` says.
#[derive(Clone, Copy)]
pub(crate) struct Batching {
    /// How many calls the function takes at once, at most.
    pub(crate) size: usize,
    /// How long the worker, when it was idle, waits for more of them.
    pub(crate) max_wait_ns: u64,
}

/// A `pyproc._schema.ItemsParameter`.
#[derive(Clone)]
pub(crate) struct ItemsParameter<'py> {
    pub(crate) parameter: Bound<'py, PyAny>,
    pub(crate) name: Bound<'py, PyString>,
}

/// How a decoded body becomes arguments.
pub(crate) enum Binding<'py> {
    /// It is the one argument, as it is.
    Body,
    /// Python works it out.
    Bind {
        /// `Binding.bind`: from a body to positional and keyword arguments.
        bind: Bound<'py, PyAny>,
        /// The name of the parameter that takes the `Context`.
        context: Option<Bound<'py, PyString>>,
    },
}

impl<'py> Function<'py> {
    /// Takes what is needed from a `pyproc._registry.Function`.
    pub(crate) fn of(function: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = function.py();
        let binding = function.getattr(intern!(py, "binding"))?;
        let context: Option<Bound<'py, PyString>> = binding
            .getattr(intern!(py, "context_parameter"))?
            .extract()?;
        let takes_body = binding.getattr(intern!(py, "takes_body_as_it_is"))?;
        let parameter = binding.getattr(intern!(py, "items"))?;
        let items = if parameter.is_none() {
            None
        } else {
            let name = parameter.getattr(intern!(py, "name"))?.extract()?;
            Some(ItemsParameter { parameter, name })
        };
        let is_bare = context.is_none() && items.is_none();
        let binding = if is_bare && takes_body.is_truthy()? {
            Binding::Body
        } else {
            let bind = binding.getattr(intern!(py, "bind"))?;
            Binding::Bind { bind, context }
        };
        let batching = function.getattr(intern!(py, "batching"))?;
        let batching = if batching.is_none() {
            None
        } else {
            Some(Batching {
                size: batching.getattr(intern!(py, "size"))?.extract()?,
                max_wait_ns: batching.getattr(intern!(py, "max_wait_ns"))?.extract()?,
            })
        };
        Ok(Self {
            name: function.getattr(intern!(py, "name"))?,
            batching,
            items,
            call: function.getattr(intern!(py, "call"))?,
            binding,
            is_stream: function.getattr(intern!(py, "is_stream"))?.is_truthy()?,
            is_quick: false,
        })
    }
}

impl Function<'_> {
    /// Whether it has the worker wait for more calls.
    pub(crate) fn is_patient(&self) -> bool {
        self.batching
            .is_some_and(|batching| batching.max_wait_ns > 0)
    }
}

/// What `Binding.bind` returns.
pub(crate) type Arguments<'py> = (Bound<'py, PyTuple>, Bound<'py, PyDict>);
