//! The worker's functions, by name.

use crate::{FunctionIndex, FunctionInfo, ProtocolError};

/// Where each function stands in the worker's table. Sorted by name: a search compares a handful of
/// short names, which is quicker than one keyed hash.
#[derive(Debug, Default)]
pub(super) struct FunctionTable {
    functions: Vec<Function>,
}

/// How a worker runs the calls of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each has the worker to itself, in the order of their requests. Nothing else is known under
    /// the JSON protocol.
    #[default]
    Alone,
    /// Some of them together.
    Batch,
    /// Each beside the others: it is asynchronous, or runs in one of several threads.
    Concurrent,
}

/// What a request must know of a function.
#[derive(Debug)]
pub(super) struct Function {
    name: Box<str>,
    pub(super) index: FunctionIndex,
    pub(super) is_stream: bool,
    pub(super) mode: Mode,
    /// The place of the parameter that is a stream.
    pub(super) items: Option<u16>,
}

impl FunctionTable {
    /// # Errors
    ///
    /// More functions than a request could name, two of one name, or two streams for one function.
    pub(super) fn new(functions: &[FunctionInfo], threads: u32) -> Result<Self, ProtocolError> {
        let count = functions.len();
        let mut table: Vec<Function> = Vec::with_capacity(count);
        for (place, function) in functions.iter().enumerate() {
            let index =
                u16::try_from(place).map_err(|_| ProtocolError::TooManyFunctions { count })?;
            table.push(Function {
                name: Box::from(function.name.as_str()),
                index: FunctionIndex(index),
                is_stream: function.is_stream,
                mode: match function {
                    function if function.is_async => Mode::Concurrent,
                    function if function.batch > 0 => Mode::Batch,
                    // A generator stays in the worker's main thread.
                    function if function.is_stream => Mode::Alone,
                    _ if threads > 1 => Mode::Concurrent,
                    _ => Mode::Alone,
                },
                items: items(function)?,
            });
        }
        table.sort_by(|one, other| one.name.cmp(&other.name));
        match table.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(ProtocolError::DuplicateFunction {
                name: pair[0].name.to_string(),
            }),
            None => Ok(Self { functions: table }),
        }
    }

    pub(super) fn name(&self, index: FunctionIndex) -> Option<&str> {
        let mut functions = self.functions.iter();
        Some(&functions.find(|function| function.index == index)?.name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Function> {
        let found = self
            .functions
            .binary_search_by(|function| function.name.as_ref().cmp(name));
        found.ok().map(|place| &self.functions[place])
    }
}

/// The place of the parameter that is a stream, if there is one.
fn items(function: &FunctionInfo) -> Result<Option<u16>, ProtocolError> {
    let parameters = function.parameters.iter().enumerate();
    let mut streams = parameters.filter(|(_, parameter)| parameter.is_stream);
    let first = streams.next();
    match streams.next() {
        // A place that no index can name is nobody's.
        None => Ok(first.and_then(|(place, _)| u16::try_from(place).ok())),
        Some(_) => Err(ProtocolError::TwoStreams {
            name: function.name.clone(),
        }),
    }
}
