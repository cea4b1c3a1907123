use crate::ast::{Interface, Method, Stream};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{FnArg, Token, parse_quote};

/// The trait, as the user wrote it but for what its methods return.
pub(crate) fn definition(interface: &Interface) -> TokenStream {
    let methods = interface.methods.iter().map(|method| {
        if interface.options.object_safe {
            let function = &method.function;
            quote!(#function)
        } else {
            declaration(method)
        }
    });
    around(interface, &quote!(#(#methods)*))
}

/// Puts the head of the trait around its items.
pub(crate) fn around(interface: &Interface, items: &TokenStream) -> TokenStream {
    let facade = interface.facade();
    let item = &interface.item;
    let (attributes, visibility, name) = (&item.attrs, &item.vis, &item.ident);
    let (unsafety, keyword) = (&item.unsafety, &item.trait_token);
    let (parameters, clause) = (&item.generics, &item.generics.where_clause);
    let supertraits = &item.supertraits;
    let (async_trait, supertraits) = if interface.options.object_safe {
        // There is no other place for these two bounds in `Arc<dyn Iris>`, and without them it
        // could not be shared between tasks.
        let bounds = quote!(: ::core::marker::Send + ::core::marker::Sync);
        let others = supertraits.iter();
        (
            quote!(#[#facade::private::async_trait]),
            quote!(#bounds #(+ #others)*),
        )
    } else {
        let colon = &item.colon_token;
        (TokenStream::new(), quote!(#colon #supertraits))
    };
    quote! {
        #(#attributes)*
        #async_trait
        #visibility #unsafety #keyword #name #parameters #supertraits #clause {
            #items
        }
    }
}

/// `async fn` and `impl Stream` in a trait promise no `Send`, without which a generic caller cannot be spawned.
fn declaration(method: &Method) -> TokenStream {
    let (attributes, signature) = (&method.function.attrs, &method.function.sig);
    let (keyword, name, inputs) = (&signature.fn_token, &signature.ident, inputs(method));
    let output = method.output();
    let output = match method.stream() {
        None => quote_spanned! {output.span()=>
            impl ::core::future::Future<Output = #output> + ::core::marker::Send
        },
        Some(Stream::Opaque(opaque)) => {
            quote_spanned!(output.span()=> #opaque + ::core::marker::Send)
        }
        Some(Stream::Boxed(boxed)) => quote!(#boxed),
    };
    quote! {
        #(#attributes)*
        #keyword #name(#inputs) -> #output;
    }
}

/// The arguments, of which a stream is `Send`: whoever polls the call moves its items.
pub(super) fn inputs(method: &Method) -> Punctuated<FnArg, Token![,]> {
    let mut inputs = method.function.sig.inputs.clone();
    for input in &mut inputs {
        if let FnArg::Typed(argument) = input {
            if let Some(opaque) = Stream::opaque_mut(&mut argument.ty) {
                opaque.bounds.push(parse_quote!(::core::marker::Send));
            }
        }
    }
    inputs
}
