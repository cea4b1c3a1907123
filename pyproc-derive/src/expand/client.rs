use crate::ast::{Interface, Method};
use crate::attr::{self, Priority};
use proc_macro2::TokenStream;
use quote::quote;
use syn::Path;
use syn::ext::IdentExt;

/// The client and how it is made. It has the visibility of the trait, and so has `new`.
pub(crate) fn client(interface: &Interface, functions: &TokenStream) -> TokenStream {
    let facade = interface.facade();
    let (client, codec) = (interface.client(), interface.codec_parameter());
    let (attributes, visibility) = (attr::repeated(&interface.item.attrs), &interface.item.vis);
    let name = interface.item.ident.unraw().to_string();
    let about = format!(
        "Calls the methods of `{name}` as Python functions in the workers of a pool.\n\n\
         It is a handle: clones share the pool, and dropping one ends nothing."
    );
    let about_new = format!(
        "Binds the methods of `{name}` to the functions that the pool's workers expose.\n\n\
         # Errors\n\n\
         The workers do not expose one of the functions."
    );
    quote! {
        #(#attributes)*
        #[doc = #about]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #[allow(dead_code)]
        #visibility struct #client<#codec: #facade::Codec = #facade::DefaultCodec> {
            remote: #facade::private::Remote<#codec>,
        }

        #(#attributes)*
        #[allow(dead_code)]
        impl<#codec: #facade::Codec> #client<#codec> {
            #[doc = #about_new]
            #visibility fn new(pool: &#facade::Pool<#codec>) -> #facade::Result<Self> {
                const INTERFACE: #facade::private::Interface = #facade::private::Interface {
                    name: #name,
                    functions: &[#functions],
                };
                let remote = #facade::private::Remote::bind(pool, &INTERFACE)?;
                ::core::result::Result::Ok(Self { remote })
            }
        }
    }
}

/// What `new` tells the runtime about each method, in order.
pub(crate) fn functions(methods: &[Method], facade: &Path) -> TokenStream {
    methods
        .iter()
        .map(|method| function(method, facade))
        .collect()
}

fn function(method: &Method, facade: &Path) -> TokenStream {
    let conditions = method.conditions();
    let name = method.name();
    let parameters = method.argument_names().map(|name| name.unraw().to_string());
    let idempotent = method.options.idempotent;
    let is_stream = method.stream().is_some();
    let takes_stream = method.streams().next().is_some();
    let priority = match method.options.priority {
        Some(Priority::High) => quote!(High),
        Some(Priority::Low) => quote!(Low),
        Some(Priority::Normal) | None => quote!(Normal),
    };
    let retry = match method.options.retry {
        None => quote!(::core::option::Option::None),
        Some(attempts) => quote!(::core::option::Option::Some(#attempts)),
    };
    let deadline = match method.options.deadline {
        None => quote!(::core::option::Option::None),
        Some(deadline) => {
            let milliseconds = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            quote!(::core::option::Option::Some(::core::time::Duration::from_millis(#milliseconds)))
        }
    };
    quote! {
        #(#[cfg(#conditions)])*
        #facade::private::FunctionSpec {
            name: #name,
            parameters: &[#(#parameters),*],
            idempotent: #idempotent,
            deadline: #deadline,
            priority: #facade::Priority::#priority,
            retry: #retry,
            is_stream: #is_stream,
            takes_stream: #takes_stream,
        },
    }
}
