//! A Python function as a service of `tower`, so that layers of that ecosystem can be put around its calls.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll};
use std::time::Duration;

use pyproc_proto::{Codec, DefaultCodec};
use serde::de::DeserializeOwned;
use tower_service::Service;

use crate::call::{Argument, Call, CallOptions};
use crate::error::{Error, Result};
use crate::pool::{Pool, Priority};

/// A Python function of a pool as a [`tower_service::Service`]; made by [`Pool::service`].
///
/// It is a handle of the pool with a function's name: clone it as you like. Its futures are [`Call`]s that borrow nothing:
/// they do nothing until they are polled, and dropping one cancels the call, which is what a layer with a timeout does.
///
/// # Readiness
///
/// It is always ready, until nothing will ever be called again: then `poll_ready` fails with
/// [`ErrorKind::Closed`](crate::ErrorKind::Closed) when the pool shuts down, and with
/// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when all its slots were given up. Readiness reserves nothing.
/// A call that finds all workers busy waits in the pool's own line, where its deadline counts and from where it goes to
/// whichever worker is free first; and at the end of a full line it is refused at once as
/// [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded). So a pool sheds load without a layer. Where callers of this
/// service are to have less than the whole pool, put a `ConcurrencyLimit` around it: that is not ready while it is full,
/// and a `LoadShed` around that refuses.
pub struct FunctionService<A, R, C: Codec = DefaultCodec> {
    pool: Pool<C>,
    function: Cow<'static, str>,
    options: CallOptions,
    call: PhantomData<fn(A) -> R>,
}

impl<C: Codec> Pool<C> {
    /// A Python function as a [`tower_service::Service`], around which the layers of `tower` can be put: see
    /// [`FunctionService`]. Functions and arguments are named as for [`call`](Self::call).
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use tower::{Service, ServiceBuilder, ServiceExt};
    ///
    /// # async fn example(pool: pyproc_runtime::Pool) -> Result<(), tower::BoxError> {
    /// let mut area = ServiceBuilder::new()
    ///     .timeout(Duration::from_secs(1))
    ///     .concurrency_limit(8)
    ///     .service(pool.service::<[f64; 2], f64>("area"));
    /// let area = area.ready().await?.call([3.0, 4.0]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn service<A, R>(
        &self,
        function: impl Into<Cow<'static, str>>,
    ) -> FunctionService<A, R, C> {
        FunctionService {
            pool: self.clone(),
            function: function.into(),
            options: CallOptions::new(self.shared().deadline()),
            call: PhantomData,
        }
    }
}

impl<A, R, C: Codec> FunctionService<A, R, C> {
    /// The time that each call may take: see [`Call::deadline`]. Unlike a timeout around the service, it is known to the
    /// worker, and the error says whether the function may have run.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.options.deadline = Some(time);
        self
    }

    /// When the turn of its calls comes among those that wait: see [`Call::priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = priority;
        self
    }

    /// Says that the function may run more than once for one call: see [`Call::idempotent`].
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }
}

impl<A: Argument, R: DeserializeOwned, C: Codec> Service<A> for FunctionService<A, R, C> {
    type Response = R;
    type Error = Error;
    type Future = Call<'static, C, A, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.pool.check_open(&self.function))
    }

    fn call(&mut self, argument: A) -> Self::Future {
        let pool = Cow::Owned(self.pool.clone());
        Call::new(pool, self.function.clone(), argument, self.options.clone())
    }
}

impl<A, R, C: Codec> Clone for FunctionService<A, R, C> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            function: self.function.clone(),
            options: self.options.clone(),
            call: PhantomData,
        }
    }
}

impl<A, R, C: Codec> fmt::Debug for FunctionService<A, R, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FunctionService")
            .field("pool", &self.pool.name())
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}
