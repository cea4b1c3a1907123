use crate::ast::{Interface, Method, Stream};
use crate::attr;
use crate::expand::{client, definition};
use crate::validate::{has_impl_trait, has_self};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Generics, Path, TraitItem, Type, parse_quote};

/// A stand-in for the trait and its client that follows the mistakes, so that code that uses them
/// gets no errors of its own. It is compiled but can never run.
pub(crate) fn interface(mut interface: Interface, mistakes: TokenStream) -> TokenStream {
    interface.item.attrs.retain(attr::is_foreign);
    for method in &mut interface.methods {
        method.function.attrs.retain(attr::is_foreign);
    }
    let others = interface
        .others
        .iter()
        .filter(|other| !matches!(other, TraitItem::Macro(_)));
    let methods = distinct(&interface.methods).into_iter();
    let object_safe = interface.options.object_safe;
    let methods = methods.map(|method| declaration(method, interface.facade(), object_safe));
    let definition = definition::around(&interface, &quote!(#(#others)* #(#methods)*));
    let client = client::client(&interface, &TokenStream::new());
    let implementation = implementation(&interface);
    quote! {
        #mistakes
        #definition
        #client
        #implementation
    }
}

/// Every method has a body in the trait, so none is needed here.
fn implementation(interface: &Interface) -> TokenStream {
    let facade = interface.facade();
    let (name, unsafety) = (&interface.item.ident, &interface.item.unsafety);
    let (client, codec) = (interface.client(), interface.codec_parameter());
    let (_, arguments, clause) = interface.item.generics.split_for_impl();
    let mut generics: Generics = interface.item.generics.clone();
    generics.params.push(parse_quote!(#codec: #facade::Codec));
    let (parameters, _, _) = generics.split_for_impl();
    let others = interface.others.iter().map(other);
    let attributes = attr::repeated(&interface.item.attrs);
    quote! {
        #(#attributes)*
        #unsafety impl #parameters #name #arguments for #client<#codec> #clause {
            #(#others)*
        }
    }
}

fn other(other: &TraitItem) -> TokenStream {
    match other {
        TraitItem::Const(constant) => {
            let (name, kind) = (&constant.ident, &constant.ty);
            quote!(const #name: #kind = ::core::unreachable!();)
        }
        TraitItem::Type(kind) => {
            let (name, generics) = (&kind.ident, &kind.generics);
            quote!(type #name #generics = ();)
        }
        _ => TokenStream::new(),
    }
}

/// The methods without those that repeat an earlier name, which the compiler would report again.
fn distinct(methods: &[Method]) -> Vec<&Method> {
    let mut distinct: Vec<&Method> = Vec::new();
    for method in methods {
        let repeats = |earlier: &&Method| {
            let unconditional = !earlier.is_conditional() && !method.is_conditional();
            unconditional && earlier.ident() == method.ident()
        };
        if !distinct.iter().any(repeats) {
            distinct.push(method);
        }
    }
    distinct
}

/// The method as it should have been written, as far as that can be known.
fn declaration(method: &Method, facade: &Path, object_safe: bool) -> TokenStream {
    if let Some(item) = method.stream().and_then(Stream::item) {
        return stream(method, item, facade, object_safe);
    }
    let attributes = &method.function.attrs;
    let name = method.ident();
    let types = types(method, facade, object_safe);
    let output = match method.output() {
        Some(output) if !has_impl_trait(output) => quote!(#output),
        _ => quote!(()),
    };
    let mut generics = method.function.sig.generics.clone();
    if is_generic(method) {
        // Otherwise `dyn Iris` would be an error, and not the user's.
        generics
            .make_where_clause()
            .predicates
            .push(parse_quote!(Self: ::core::marker::Sized));
    }
    let clause = &generics.where_clause;
    let inputs = quote!(&self #(, _: #types)*);
    let body = quote!(::core::unreachable!());
    if object_safe {
        quote!(#(#attributes)* async fn #name #generics(#inputs) -> #output #clause { #body })
    } else {
        let future = quote!(impl ::core::future::Future<Output = #output> + ::core::marker::Send);
        quote!(#(#attributes)* fn #name #generics(#inputs) -> #future #clause { async { #body } })
    }
}

/// The same for a method that returns a stream.
fn stream(method: &Method, item: &Type, facade: &Path, object_safe: bool) -> TokenStream {
    let attributes = &method.function.attrs;
    let name = method.ident();
    let types = types(method, facade, object_safe);
    let output = match method.stream() {
        Some(Stream::Opaque(_)) if object_safe => quote!(#facade::BoxStream<'_, #item>),
        _ => method.output().to_token_stream(),
    };
    quote! {
        #(#attributes)*
        fn #name(&self #(, _: #types)*) -> #output {
            #facade::private::no_stream::<#item>()
        }
    }
}

/// The types of the arguments, as they should have been written.
fn types(method: &Method, facade: &Path, object_safe: bool) -> Vec<TokenStream> {
    let types = method.arguments().map(|argument| {
        let stream = Stream::of(&argument.ty);
        match (stream, stream.and_then(Stream::item)) {
            (Some(Stream::Opaque(_)), Some(item)) if object_safe => {
                quote!(#facade::BoxStream<'static, #item>)
            }
            _ => argument.ty.to_token_stream(),
        }
    });
    types.collect()
}

/// Whether the method cannot be called on an object, or only where `Self` has a known size.
fn is_generic(method: &Method) -> bool {
    let arguments = method.arguments().map(|argument| &*argument.ty);
    let mut types = arguments.chain(method.output());
    !method.function.sig.generics.params.is_empty()
        || types.any(|candidate| has_impl_trait(candidate) || has_self(candidate))
}
