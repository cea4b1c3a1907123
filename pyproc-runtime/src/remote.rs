//! What a trait with `#[pyproc::remote]` becomes: its functions, bound to a pool.

mod arguments;

pub use arguments::Arguments;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pyproc_proto::{ArgumentStyle, Codec, FunctionInfo};
use serde::de::DeserializeOwned;

use crate::call::{Argument, Broadcast, Call, CallOptions, ItemStream, OneWay};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::{Pool, Priority};

/// The functions that a trait names. The macro writes it; nobody else needs to.
#[derive(Debug)]
pub struct Interface {
    /// The trait's name.
    pub name: &'static str,
    /// Its methods, in order.
    pub functions: &'static [FunctionSpec],
}

/// A method of the trait, as Python sees it.
#[derive(Debug)]
pub struct FunctionSpec {
    /// The function's name in Python.
    pub name: &'static str,
    /// The method's arguments by name.
    pub parameters: &'static [&'static str],
    /// Whether it may run more than once for one call.
    pub idempotent: bool,
    /// Its deadline, where it differs from the pool's.
    pub deadline: Option<Duration>,
    /// When its calls have their turn.
    pub priority: Priority,
    /// How often its calls are tried, where that differs from the pool's policy.
    pub retry: Option<u32>,
    /// Whether it yields a stream.
    pub is_stream: bool,
    /// Whether one of its arguments is a stream; it is none of the `parameters`.
    pub takes_stream: bool,
}

/// A pool seen through an [`Interface`].
#[derive(Debug)]
pub struct Remote<C: Codec> {
    pool: Pool<C>,
    interface: &'static Interface,
}

impl<C: Codec> Remote<C> {
    /// Binds the interface to a pool, if the pool's workers have its functions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionNotFound`] for a function that is missing, and [`ErrorKind::InvalidArgument`] for one that
    /// takes other arguments, by name, or yields a stream where the trait has a value, or the other way round. Under
    /// the JSON protocol there is no table of functions, and all of that shows at the first call.
    pub fn bind(pool: &Pool<C>, interface: &'static Interface) -> Result<Self> {
        for function in interface.functions {
            let in_trait = |error: Error| {
                error.with_function(&format!("{}::{}", interface.name, function.name))
            };
            let check = |info: &FunctionInfo| {
                check_kind(function, info)?;
                check_parameters(function, info)
            };
            let checked = pool.shared().with_function(function.name, check);
            checked
                .and_then(|checked| checked.unwrap_or(Ok(())))
                .map_err(in_trait)?;
        }
        Ok(Self {
            pool: pool.clone(),
            interface,
        })
    }

    /// Calls the interface's function of this index.
    pub fn call<A, R>(&self, function: usize, arguments: A) -> Call<'_, C, A, R> {
        let function = &self.interface.functions[function];
        let (pool, options) = (Cow::Borrowed(&self.pool), self.options(function));
        Call::new(pool, function.name.into(), arguments, options)
    }

    /// Calls the interface's function of this index in every worker.
    pub fn broadcast<A, R>(&self, function: usize, arguments: A) -> Broadcast<'_, C, A, R> {
        let function = &self.interface.functions[function];
        let options = self.options(function);
        Broadcast::new(&self.pool, function.name, arguments, options)
    }

    /// Calls the interface's function of this index, and waits for no end.
    pub fn one_way<A>(&self, function: usize, arguments: A) -> OneWay<'_, C, A> {
        let function = &self.interface.functions[function];
        let options = self.options(function);
        OneWay::new(&self.pool, function.name, arguments, options)
    }

    /// Calls the interface's function of this index, which yields a stream. It keeps a handle of its own, so that a
    /// trait may have it outlive the client.
    pub fn stream<A, T, E>(&self, function: usize, arguments: A) -> RemoteStream<C, A, T, E> {
        let function = &self.interface.functions[function];
        let mut options = self.options(function);
        options.deadline = function.deadline;
        let pool = Cow::Owned(self.pool.clone());
        RemoteStream {
            items: ItemStream::new(pool, function.name.into(), arguments, options),
            error: PhantomData,
        }
    }

    fn options(&self, function: &FunctionSpec) -> CallOptions {
        let deadline = function.deadline.or(self.pool.shared().deadline());
        let mut options = CallOptions::new(deadline);
        options.idempotent = function.idempotent;
        options.priority = function.priority;
        if let Some(attempts) = function.retry {
            options.set_retry(attempts.into());
        }
        options
    }
}

/// A stream whose errors are the trait's own.
#[derive(Debug)]
pub struct RemoteStream<C: Codec, A, T, E> {
    items: ItemStream<'static, C, A, T>,
    error: PhantomData<fn() -> E>,
}

impl<C: Codec, A, T, E> RemoteStream<C, A, T, E> {
    /// See [`ItemStream::key`].
    #[must_use]
    pub fn hashed_key(mut self, key: u64) -> Self {
        self.items = self.items.hashed_key(key);
        self
    }

    /// See [`ItemStream::metadata`].
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.items = self.items.metadata(key, value);
        self
    }
}

impl<C: Codec, A: Argument, T: DeserializeOwned, E: From<Error>> Stream
    for RemoteStream<C, A, T, E>
{
    type Item = std::result::Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.items).poll_next(context));
        Poll::Ready(item.map(|item| item.map_err(E::from)))
    }
}

impl<C: Codec> Clone for Remote<C> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            interface: self.interface,
        }
    }
}

fn check_kind(function: &FunctionSpec, info: &FunctionInfo) -> Result<()> {
    let takes_stream = info.parameters.iter().any(|parameter| parameter.is_stream);
    let message = match (function.is_stream, info.is_stream) {
        (true, false) => {
            "the Python function returns one value; the trait's method asks for a stream"
        }
        (false, true) => {
            "the Python function yields a stream; the trait's method asks for one value"
        }
        _ => match (function.takes_stream, takes_stream) {
            (true, false) => {
                "the Python function takes no stream; the trait's method has one among its arguments"
            }
            (false, true) => {
                "the Python function takes a stream; the trait's method has none among its arguments"
            }
            _ => return Ok(()),
        },
    };
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

/// Several arguments travel as a map, so both sides must know them by the same names. One argument travels whole, and
/// none as an empty map; what Python makes of those shows at the call.
fn check_parameters(function: &FunctionSpec, info: &FunctionInfo) -> Result<()> {
    if function.parameters.len() < 2 || info.arguments != ArgumentStyle::Keywords {
        return Ok(());
    }
    // A stream finds its parameter by itself.
    let in_body = || info.parameters.iter().filter(|each| !each.is_stream);
    let takes = |name: &str| in_body().any(|parameter| parameter.name == name);
    if let Some(unknown) = function.parameters.iter().find(|name| !takes(name)) {
        let names: Vec<_> = in_body()
            .map(|parameter| format!("`{}`", parameter.name))
            .collect();
        let message = format!(
            "the Python function has no parameter `{unknown}`; it has {}",
            names.join(", ")
        );
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    let missing = in_body().find(|parameter| {
        parameter.required && !function.parameters.contains(&parameter.name.as_str())
    });
    match missing {
        Some(missing) => {
            let message = format!(
                "the trait's method lacks the required parameter `{}`",
                missing.name
            );
            Err(Error::new(ErrorKind::InvalidArgument, message))
        }
        None => Ok(()),
    }
}
