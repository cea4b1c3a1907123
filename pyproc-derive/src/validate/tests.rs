use super::*;
use proc_macro2::TokenStream;
use quote::quote;

#[test]
fn a_good_trait_has_no_mistakes() {
    let nothing: [&str; 0] = [];
    check(quote!(), nothing);
    check(
        quote!(
            async fn f(&self) -> Result<()>;
        ),
        nothing,
    );
    check(
        quote!(
            async fn f(&self, a: &str, b: &[u8]) -> io::Result<()>;
        ),
        nothing,
    );
    check(
        quote!(
            async fn f(&self, a: Cow<'_, str>) -> IrisResult;
        ),
        nothing,
    );
}

#[test]
fn methods_under_conditions_may_share_a_name() {
    let methods = quote! {
        #[cfg(unix)]
        async fn f(&self) -> Result<()>;
        #[cfg(not(unix))]
        async fn f(&self) -> Result<()>;
    };
    check(methods, []);
}

#[test]
fn all_mistakes_of_a_method_are_found() {
    check(
        quote!(
            fn f<T>((a, b): (T, &mut T)) -> T {
                a
            }
        ),
        [
            "write `async fn f`",
            "write the concrete type",
            "write `f(&self, …)`",
            "write `&`",
            "write a name",
            "write `pyproc::Result<…>`",
            "end the method with `;`",
        ],
    );
}

#[test]
fn every_receiver_but_a_shared_reference_is_refused() {
    for receiver in [
        quote!(self),
        quote!(mut self),
        quote!(&mut self),
        quote!(self: &Self),
    ] {
        check(
            quote!(async fn f(#receiver) -> Result<()>;),
            ["write `&self`"],
        );
    }
}

#[test]
fn names_are_compared_as_in_python() {
    let methods = quote! {
        async fn r#type(&self) -> Result<()>;
        #[pyproc(name = "type")]
        async fn kind(&self) -> Result<()>;
    };
    check(methods, ["the Python function `type` already"]);
}

#[test]
fn sixteen_arguments_are_the_most() {
    let argument = |count: usize| {
        let names = (0..count).map(|number| quote::format_ident!("a{number}"));
        quote!(async fn f(&self #(, #names: u8)*) -> Result<()>;)
    };
    check(argument(16), []);
    check(argument(17), ["at most 16 arguments"]);
}

#[test]
fn a_condition_hides_no_option() {
    let method = quote!(
        async fn f(&self) -> Result<()>;
    );
    check(quote!(#[cfg_attr(unix, doc = "", inline)] #method), []);
    check(
        quote!(#[cfg_attr(unix, doc = "", pyproc(idempotent))] #method),
        ["on two versions"],
    );
    check(
        quote!(#[cfg_attr(unix, cfg(windows))] #method),
        ["on two versions"],
    );
}

/// Compares the mistakes in a trait of these methods with parts of the messages.
fn check<const N: usize>(methods: TokenStream, expected: [&str; N]) {
    let mut mistakes = Mistakes::default();
    let interface = Interface::parse(quote!(), quote!(trait Iris { #methods }), &mut mistakes);
    super::interface(&interface.expect("a trait"), &mut mistakes);
    let messages = mistakes.messages();
    assert_eq!(messages.len(), N, "{messages:#?}");
    for (message, part) in messages.iter().zip(expected) {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}
