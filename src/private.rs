//! The only names that the output of `#[pyproc::remote]` may use. Not part of the public interface.

pub use async_trait::async_trait;
pub use pyproc_runtime::{
    Arguments, FunctionSpec, Interface, Remote, hash_key, with_items, with_try_items,
};
pub use std::boxed::Box;

/// Stands where a trait has mistakes, and is never called.
pub fn no_stream<T>() -> crate::BoxStream<'static, T> {
    unreachable!()
}
