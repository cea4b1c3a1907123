pub(crate) mod client;
pub(crate) mod definition;
mod method;

use crate::ast::Interface;
use crate::attr;
use proc_macro2::TokenStream;
use quote::quote;

/// The trait and its client.
pub(crate) fn interface(interface: &Interface) -> TokenStream {
    let definition = definition::definition(interface);
    let client = client::client(
        interface,
        &client::functions(&interface.methods, interface.facade()),
    );
    let implementation = implementation(interface);
    quote! {
        #definition
        #client
        #implementation
    }
}

fn implementation(interface: &Interface) -> TokenStream {
    let facade = interface.facade();
    let (name, client) = (&interface.item.ident, interface.client());
    let codec = interface.codec_parameter();
    let attributes = attr::repeated(&interface.item.attrs);
    let async_trait = interface
        .options
        .object_safe
        .then(|| quote!(#[#facade::private::async_trait]));
    let methods = &interface.methods;
    let methods = (0..methods.len()).map(|position| method::method(methods, position, facade));
    quote! {
        #(#attributes)*
        #[automatically_derived]
        #[allow(deprecated)]
        #async_trait
        impl<#codec: #facade::Codec> #name for #client<#codec> {
            #(#methods)*
        }
    }
}

#[cfg(test)]
mod tests;
