use super::*;
use crate::expand_remote;

#[test]
fn a_trait_becomes_a_trait_and_a_client() {
    let item = quote! {
        /// Knows irises.
        pub trait Iris: Send {
            #[doc = "Classifies."]
            #[pyproc(idempotent, deadline = "2s")]
            async fn classify(&self, flower: Flower) -> pyproc::Result<Verdict>;
            async fn nearest(&self, flower: &Flower, r#in: u32) -> Result<Vec<Verdict>>;
            #[pyproc(name = "start")]
            async fn warm_up(&self) -> pyproc::Result<()>;
        }
    };
    check(quote!(), item, include_str!("../../testdata/iris.rs"));
}

#[test]
fn an_object_safe_trait_goes_through_async_trait() {
    let item = quote! {
        trait Iris: Debug {
            #[cfg(unix)]
            async fn classify(&self, flower: C) -> pyproc::Result<Verdict>;
            #[cfg(feature = "more")]
            #[cfg(not(windows))]
            async fn again(&self, flower: &str) -> pyproc::Result<Verdict>;
            async fn last(&self, r#type: &str) -> pyproc::Result<Verdict>;
        }
    };
    let options = quote!(object_safe, crate = crate::vendored::python);
    check(options, item, include_str!("../../testdata/object_safe.rs"));
}

#[test]
fn the_facade_is_named_by_the_given_path_only() {
    let item = quote! {
        trait Iris {
            async fn none(&self) -> Result<()>;
            async fn one(&self, a: u8) -> Result<()>;
            async fn two(&self, a: u8, b: u8) -> Result<()>;
        }
    };
    for options in [
        quote!(crate = renamed),
        quote!(object_safe, crate = renamed),
    ] {
        let expansion = expand_remote(options, item.clone()).to_string();
        assert!(!expansion.contains("pyproc"), "{expansion}");
    }
}

fn check(options: TokenStream, item: TokenStream, expected: &str) {
    let expansion = expand_remote(options, item);
    let file = syn::parse2(expansion).expect("the expansion is Rust");
    let actual = prettyplease::unparse(&file);
    assert!(actual == expected, "the expansion is now:\n{actual}");
}
