#[crate::vendored::python::private::async_trait]
trait Iris: ::core::marker::Send + ::core::marker::Sync + Debug {
    #[cfg(unix)]
    async fn classify(&self, flower: C) -> pyproc::Result<Verdict>;
    #[cfg(feature = "more")]
    #[cfg(not(windows))]
    async fn again(&self, flower: &str) -> pyproc::Result<Verdict>;
    async fn last(&self, r#type: &str) -> pyproc::Result<Verdict>;
}
/**Calls the methods of `Iris` as Python functions in the workers of a pool.

It is a handle: clones share the pool, and dropping one ends nothing.*/
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
#[allow(dead_code)]
struct IrisClient<
    C_: crate::vendored::python::Codec = crate::vendored::python::DefaultCodec,
> {
    remote: crate::vendored::python::private::Remote<C_>,
}
#[allow(dead_code)]
impl<C_: crate::vendored::python::Codec> IrisClient<C_> {
    /**Binds the methods of `Iris` to the functions that the pool's workers expose.

# Errors

The workers do not expose one of the functions.*/
    fn new(
        pool: &crate::vendored::python::Pool<C_>,
    ) -> crate::vendored::python::Result<Self> {
        const INTERFACE: crate::vendored::python::private::Interface = crate::vendored::python::private::Interface {
            name: "Iris",
            functions: &[
                #[cfg(unix)]
                crate::vendored::python::private::FunctionSpec {
                    name: "classify",
                    parameters: &["flower"],
                    idempotent: false,
                    deadline: ::core::option::Option::None,
                    priority: crate::vendored::python::Priority::Normal,
                    retry: ::core::option::Option::None,
                    is_stream: false,
                    takes_stream: false,
                },
                #[cfg(feature = "more")]
                #[cfg(not(windows))]
                crate::vendored::python::private::FunctionSpec {
                    name: "again",
                    parameters: &["flower"],
                    idempotent: false,
                    deadline: ::core::option::Option::None,
                    priority: crate::vendored::python::Priority::Normal,
                    retry: ::core::option::Option::None,
                    is_stream: false,
                    takes_stream: false,
                },
                crate::vendored::python::private::FunctionSpec {
                    name: "last",
                    parameters: &["type"],
                    idempotent: false,
                    deadline: ::core::option::Option::None,
                    priority: crate::vendored::python::Priority::Normal,
                    retry: ::core::option::Option::None,
                    is_stream: false,
                    takes_stream: false,
                },
            ],
        };
        let remote = crate::vendored::python::private::Remote::bind(pool, &INTERFACE)?;
        ::core::result::Result::Ok(Self { remote })
    }
}
#[automatically_derived]
#[allow(deprecated)]
#[crate::vendored::python::private::async_trait]
impl<C_: crate::vendored::python::Codec> Iris for IrisClient<C_> {
    #[cfg(unix)]
    async fn classify(&self, flower: C) -> pyproc::Result<Verdict> {
        ::core::result::Result::map_err(
            self.remote.call(0, flower).await,
            ::core::convert::Into::into,
        )
    }
    #[cfg(feature = "more")]
    #[cfg(not(windows))]
    async fn again(&self, flower: &str) -> pyproc::Result<Verdict> {
        ::core::result::Result::map_err(
            self.remote.call(0 + ::core::cfg!(all(unix)) as usize, flower).await,
            ::core::convert::Into::into,
        )
    }
    async fn last(&self, r#type: &str) -> pyproc::Result<Verdict> {
        ::core::result::Result::map_err(
            self
                .remote
                .call(
                    0 + ::core::cfg!(all(unix)) as usize
                        + ::core::cfg!(all(feature = "more", not(windows))) as usize,
                    r#type,
                )
                .await,
            ::core::convert::Into::into,
        )
    }
}
