//! The expansion is documented and free of warnings, whatever the user asks the compiler to see.
//! (Clippy sees this file as a module of `tests/derive.rs`.)

#![deny(
    missing_docs,
    missing_debug_implementations,
    missing_copy_implementations
)]
#![deny(unused, unused_qualifications, unused_lifetimes, single_use_lifetimes)]
#![deny(
    deprecated,
    nonstandard_style,
    rust_2018_idioms,
    let_underscore_drop,
    elided_lifetimes_in_paths
)]
#![deny(clippy::all, clippy::pedantic)]

/// Nothing here needs to run.
pub(crate) fn main() {}

/// Uses the clients, so that the traits are no dead code.
#[allow(dead_code, deprecated)]
async fn calls(pool: &pyproc::Pool) -> pyproc::Result<()> {
    use old::{Iris, Shared};
    let flower = old::Flower { petal_length: 1.4 };
    let verdicts = old::SharedClient::new(pool)?.classify(&flower, 3).await?;
    old::IrisClient::new(pool)?
        .wait(verdicts.is_empty(), "")
        .await
}

/// Documented, deprecated and expected things.
pub mod old {
    /// Replaced.
    #[deprecated]
    #[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
    pub struct Flower {
        /// In centimeters.
        pub petal_length: f64,
    }

    /// Replaced.
    #[deprecated = "old"]
    #[pyproc::remote]
    pub trait Iris {
        /// Classifies a flower.
        #[deprecated]
        #[expect(deprecated)]
        async fn classify(&self, flower: Flower) -> pyproc::Result<Flower>;
        /// Comes and goes.
        #[cfg(debug_assertions)]
        async fn debug(&self) -> pyproc::Result<()>;
        /// Waits.
        #[must_use = "a call that nobody awaits does nothing"]
        async fn wait(&self, short: bool, long: &str) -> pyproc::Result<()>;
    }

    /// Shared.
    #[expect(deprecated)]
    #[pyproc::remote(object_safe)]
    pub trait Shared {
        /// Classifies a flower.
        async fn classify(&self, flower: &Flower, k: u32) -> pyproc::Result<Vec<Flower>>;
    }
}

/// Its client is not used, and nothing in it is more visible than the trait.
#[deny(unreachable_pub)]
mod unused {
    #[allow(unused)]
    #[pyproc::remote]
    pub(crate) trait Iris {
        async fn classify(&self, flower: u32) -> pyproc::Result<u32>;
    }
}
