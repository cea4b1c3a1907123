//! The `#[pyproc::remote]` attribute, re-exported by `pyproc`, which is the crate to depend on.
//!
//! The rooms, in the order in which a trait passes through them: `attr` reads options, `ast` takes
//! the trait apart, `validate` finds every mistake, `expand` writes the trait and its client, and
//! `fallback` writes a stand-in for both when there are mistakes, so that only those are reported.

mod ast;
mod attr;
mod expand;
mod fallback;
mod mistakes;
mod validate;

use proc_macro2::TokenStream;

/// Turns a trait of async methods into calls of Python functions.
///
/// The trait is kept, so that code can be generic over it and be tested with an implementation
/// written by hand, and a client `<Trait>Client<C>` that implements it is added beside it.
///
/// ```ignore
/// #[pyproc::remote]
/// trait Iris {
///     #[pyproc(idempotent)]
///     async fn classify(&self, flower: Flower) -> pyproc::Result<Verdict>;
///     async fn nearest(&self, flower: &Flower, k: u32) -> pyproc::Result<Vec<Neighbour>>;
/// }
///
/// let iris = IrisClient::new(&pool)?; // refused if the workers expose no such function
/// let verdict = iris.classify(flower).await?;
/// ```
///
/// # Methods
///
/// A method is `async`, takes `&self` and up to 16 named arguments, by value or by shared
/// reference, and returns a `Result` with an owned value. Its error is `pyproc::Error`, or any type
/// that is `From<pyproc::Error>`. A method with one argument sends its value as it is; with several,
/// a map by argument name; with none, an empty map.
///
/// In the trait the method becomes `fn … -> impl Future<Output = …> + Send`, so that generic callers
/// can be spawned; implementations are still written `async fn`. Dropping the future of a call
/// cancels the call.
///
/// # Methods that return a stream
///
/// A Python function that yields, a generator, is a method without `async` that returns
/// `impl Stream<Item = pyproc::Result<T>>` (`Stream` is `pyproc::Stream`, that of the crate
/// `futures`), or in an `object_safe` trait `pyproc::BoxStream<'_, pyproc::Result<T>>`. It begins when
/// the stream is first polled. In the trait, `impl Stream` becomes `impl Stream + Send`.
///
/// ```ignore
/// #[pyproc::remote]
/// trait Model {
///     fn generate(&self, prompt: String) -> impl Stream<Item = pyproc::Result<Token>>;
/// }
/// ```
///
/// # Methods that take a stream
///
/// An argument of type `impl Stream<Item = T>`, or in an `object_safe` trait
/// `pyproc::BoxStream<'static, T>`, is sent item by item while the function reads it: in Python it is
/// the parameter that is annotated `Iterator[T]`, or `AsyncIterator[T]`, whatever its name. There is
/// one at most. The other arguments are sent as if it were not there. With `Item = Result<T, E>` the
/// stream can fail, and the call with it. In the trait, `impl Stream` becomes `impl Stream + Send`.
///
/// ```ignore
/// #[pyproc::remote]
/// trait Table {
///     async fn mean(&self, column: &str, rows: impl Stream<Item = Row>) -> pyproc::Result<f64>;
///     fn clean(&self, rows: impl Stream<Item = Row>) -> impl Stream<Item = pyproc::Result<Row>>;
/// }
/// ```
///
/// # Options of a method
///
/// - `#[pyproc(name = "predict_v2")]`: the name in Python; by default that of the method, without
///   `r#`.
/// - `#[pyproc(deadline = "250ms")]`: how long a call may take, waiting and running together, as a
///   whole number of `ms`, `s` or `min`; by default what the pool says.
/// - `#[pyproc(idempotent)]`: running the function twice does no harm, so a call whose worker died
///   is sent to another one. By default it is not, because the function may have run.
///
/// - `#[pyproc(retry = 3)]`: how often a call is tried that is refused for a cause that passes, or,
///   if it is idempotent, lost with its worker; by default what the pool says.
/// - `#[pyproc(priority = "high")]`: which calls have their turn first where calls wait: those with
///   `"high"`, then those with `"normal"`, which is the default, then those with `"low"`.
/// - `#[pyproc(broadcast)]`: the function is called in every worker, and the method returns
///   `pyproc::Result<pyproc::Answers<T>>`, which has the answer of each.
/// - `#[pyproc(one_way)]`: nobody waits for the call's end, and the method returns
///   `pyproc::Result<()>` when the call was accepted.
///
/// # Options of an argument
///
/// - `#[pyproc(key)]`: calls with the same value go to the same worker. Its type is `Hash`.
/// - `#[pyproc(metadata)]`: the value, a text, is sent beside the other arguments and not among
///   them; Python finds it in `Context.metadata` under the argument's name.
///
/// ```ignore
/// #[pyproc::remote]
/// trait Chat {
///     async fn say(
///         &self,
///         #[pyproc(key)] session: u64,
///         #[pyproc(metadata)] traceparent: &str,
///         text: &str,
///     ) -> pyproc::Result<String>;
///     #[pyproc(broadcast, deadline = "2min")]
///     async fn reload(&self, path: &str) -> pyproc::Result<pyproc::Answers<()>>;
///     #[pyproc(one_way)]
///     async fn audit(&self, entry: Entry) -> pyproc::Result<()>;
/// }
/// ```
///
/// # Options of the trait
///
/// - `#[pyproc::remote(object_safe)]`: the trait can be used as `Arc<dyn Iris>`, at the price of one
///   allocation per call. It becomes `Send + Sync`, and implementations written by hand need
///   `#[pyproc::async_trait]`, which, like the expansion here, expects that `Box` is the standard
///   one.
/// - `#[pyproc::remote(crate = path)]`: where this crate's facade is, if not at `::pyproc`.
#[proc_macro_attribute]
pub fn remote(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_remote(options.into(), item.into()).into()
}

fn expand_remote(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = mistakes::Mistakes::default();
    let interface = match ast::Interface::parse(options, item.clone(), &mut mistakes) {
        Ok(interface) => interface,
        Err(error) => {
            let error = error.into_compile_error();
            return quote::quote!(#error #item);
        }
    };
    validate::interface(&interface, &mut mistakes);
    match mistakes.into_compile_errors() {
        None => expand::interface(&interface),
        Some(errors) => fallback::interface(interface, errors),
    }
}
