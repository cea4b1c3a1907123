use super::definition::inputs;
use crate::ast::{Method, Stream, argument_name, can_fail};
use crate::attr;
use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Path;
use syn::ext::IdentExt;

/// The client's implementation of the method at this position.
pub(crate) fn method(methods: &[Method], position: usize, facade: &Path) -> TokenStream {
    let method = &methods[position];
    let attributes = attr::repeated(&method.function.attrs);
    let mut signature = method.function.sig.clone();
    signature.inputs = inputs(method);
    // Written by the user, so that it means the receiver even if a `macro_rules!` wrote the trait.
    let this = method.receiver().map(|receiver| &receiver.self_token);
    let index = index(&methods[..position]);
    // What the compiler has to say about the call, it says at the method's name.
    let span = Span::mixed_site().located_at(method.ident().span());
    let facade = located_at(facade, span);
    let arguments = with_stream(method, arguments(method, &facade, span), &facade, span);
    let options = &method.options;
    let way = match (method.stream(), options.broadcast, options.one_way) {
        (Some(_), ..) => quote_spanned!(span=> stream),
        (None, true, _) => quote_spanned!(span=> broadcast),
        (None, false, true) => quote_spanned!(span=> one_way),
        (None, false, false) => quote_spanned!(span=> call),
    };
    let call = quote_spanned!(span=> #this.remote.#way(#index, #arguments));
    let call = with_extras(method, call, &facade, span);
    // The conversion is the identity for `pyproc::Result`; other errors are the trait's own.
    let body = match method.stream() {
        None => quote_spanned! {span=>
            ::core::result::Result::map_err(#call.await, ::core::convert::Into::into)
        },
        Some(Stream::Opaque(_)) => call,
        Some(Stream::Boxed(_)) => quote_spanned!(span=> #facade::private::Box::pin(#call)),
    };
    quote! {
        #(#attributes)*
        #signature {
            #body
        }
    }
}

/// The position among the functions that are there after `#[cfg(..)]`.
fn index(earlier: &[Method]) -> TokenStream {
    let mut unconditional = 0;
    let mut conditional = TokenStream::new();
    for method in earlier {
        let conditions = method.conditions();
        if conditions.is_empty() {
            unconditional += 1;
        } else {
            conditional.extend(quote!(+ ::core::cfg!(all(#(#conditions),*)) as usize));
        }
    }
    let unconditional = Literal::usize_unsuffixed(unconditional);
    quote!(#unconditional #conditional)
}

/// One argument is sent as it is, several as a map by name, none as an empty map.
fn arguments(method: &Method, facade: &TokenStream, span: Span) -> TokenStream {
    let names: Vec<_> = method.argument_names().collect();
    match names.as_slice() {
        [] => quote_spanned!(span=> #facade::private::Arguments(())),
        [argument] => argument.to_token_stream(),
        several => {
            let keys = several.iter().map(|name| name.unraw().to_string());
            quote_spanned!(span=> #facade::private::Arguments((#((#keys, #several)),*)))
        }
    }
}

/// The arguments together with the stream, where there is one.
fn with_stream(
    method: &Method,
    arguments: TokenStream,
    facade: &TokenStream,
    span: Span,
) -> TokenStream {
    let Some((argument, stream)) = method.streams().next() else {
        return arguments;
    };
    let name = argument_name(argument);
    let with = match stream.item() {
        Some(item) if can_fail(item) => quote_spanned!(span=> with_try_items),
        _ => quote_spanned!(span=> with_items),
    };
    quote_spanned!(span=> #facade::private::#with(#arguments, #name))
}

/// The call with its key and its metadata.
fn with_extras(
    method: &Method,
    call: TokenStream,
    facade: &TokenStream,
    span: Span,
) -> TokenStream {
    let metadata = method.metadata().map(|name| {
        let key = name.unraw().to_string();
        quote_spanned!(span=> .metadata(#key, #name))
    });
    let call = quote_spanned!(span=> #call #(#metadata)*);
    let Some(name) = method.keys().next() else {
        return call;
    };
    // Before the argument is moved. What cannot be hashed is an error at the argument.
    let hash = quote_spanned!(name.span()=> hash_key);
    quote_spanned! {span=> {
        let key = #facade::private::#hash(&#name);
        #call.hashed_key(key)
    }}
}

/// The path with its meaning where it was written and its errors where the span is.
fn located_at(path: &Path, span: Span) -> TokenStream {
    let relocated = path.to_token_stream().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(span));
        token
    });
    relocated.collect()
}
