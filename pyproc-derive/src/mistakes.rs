use proc_macro2::TokenStream;
use quote::ToTokens;
use std::fmt::Display;

/// Every mistake found so far, so that the user sees them all after one compilation.
#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    /// Notes a mistake at the user's `tokens`; the message says what to write instead.
    pub(crate) fn add(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.extend(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn extend(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// One `compile_error!` for each mistake, or `None` when there is none.
    pub(crate) fn into_compile_errors(self) -> Option<TokenStream> {
        self.0.map(syn::Error::into_compile_error)
    }

    /// The messages in the order in which they were found.
    #[cfg(test)]
    pub(crate) fn messages(self) -> Vec<String> {
        let errors = self.0.into_iter().flatten();
        errors.map(|error| error.to_string()).collect()
    }
}
