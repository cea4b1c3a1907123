/// Knows irises.
pub trait Iris: Send {
    ///Classifies.
    fn classify(
        &self,
        flower: Flower,
    ) -> impl ::core::future::Future<
        Output = pyproc::Result<Verdict>,
    > + ::core::marker::Send;
    fn nearest(
        &self,
        flower: &Flower,
        r#in: u32,
    ) -> impl ::core::future::Future<
        Output = Result<Vec<Verdict>>,
    > + ::core::marker::Send;
    fn warm_up(
        &self,
    ) -> impl ::core::future::Future<Output = pyproc::Result<()>> + ::core::marker::Send;
}
/**Calls the methods of `Iris` as Python functions in the workers of a pool.

It is a handle: clones share the pool, and dropping one ends nothing.*/
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
#[allow(dead_code)]
pub struct IrisClient<C: ::pyproc::Codec = ::pyproc::DefaultCodec> {
    remote: ::pyproc::private::Remote<C>,
}
#[allow(dead_code)]
impl<C: ::pyproc::Codec> IrisClient<C> {
    /**Binds the methods of `Iris` to the functions that the pool's workers expose.

# Errors

The workers do not expose one of the functions.*/
    pub fn new(pool: &::pyproc::Pool<C>) -> ::pyproc::Result<Self> {
        const INTERFACE: ::pyproc::private::Interface = ::pyproc::private::Interface {
            name: "Iris",
            functions: &[
                ::pyproc::private::FunctionSpec {
                    name: "classify",
                    parameters: &["flower"],
                    idempotent: true,
                    deadline: ::core::option::Option::Some(
                        ::core::time::Duration::from_millis(2000u64),
                    ),
                    priority: ::pyproc::Priority::Normal,
                    retry: ::core::option::Option::None,
                    is_stream: false,
                    takes_stream: false,
                },
                ::pyproc::private::FunctionSpec {
                    name: "nearest",
                    parameters: &["flower", "in"],
                    idempotent: false,
                    deadline: ::core::option::Option::None,
                    priority: ::pyproc::Priority::Normal,
                    retry: ::core::option::Option::None,
                    is_stream: false,
                    takes_stream: false,
                },
                ::pyproc::private::FunctionSpec {
                    name: "start",
                    parameters: &[],
                    idempotent: false,
                    deadline: ::core::option::Option::None,
                    priority: ::pyproc::Priority::Normal,
                    retry: ::core::option::Option::None,
                    is_stream: false,
                    takes_stream: false,
                },
            ],
        };
        let remote = ::pyproc::private::Remote::bind(pool, &INTERFACE)?;
        ::core::result::Result::Ok(Self { remote })
    }
}
#[automatically_derived]
#[allow(deprecated)]
impl<C: ::pyproc::Codec> Iris for IrisClient<C> {
    async fn classify(&self, flower: Flower) -> pyproc::Result<Verdict> {
        ::core::result::Result::map_err(
            self.remote.call(0, flower).await,
            ::core::convert::Into::into,
        )
    }
    async fn nearest(&self, flower: &Flower, r#in: u32) -> Result<Vec<Verdict>> {
        ::core::result::Result::map_err(
            self
                .remote
                .call(
                    1,
                    ::pyproc::private::Arguments((("flower", flower), ("in", r#in))),
                )
                .await,
            ::core::convert::Into::into,
        )
    }
    async fn warm_up(&self) -> pyproc::Result<()> {
        ::core::result::Result::map_err(
            self.remote.call(2, ::pyproc::private::Arguments(())).await,
            ::core::convert::Into::into,
        )
    }
}
