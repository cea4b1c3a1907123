use crate::attr::{self, ArgumentOptions, MethodOptions, TraitOptions};
use crate::mistakes::Mistakes;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    FnArg, GenericArgument, ItemTrait, Pat, PatType, Path, PathArguments, Receiver, TraitItem,
    TraitItemFn, Type, TypeImplTrait, TypeParamBound,
};

/// The trait taken apart but not yet judged; what the user wrote is kept for its spans.
pub(crate) struct Interface {
    pub(crate) options: TraitOptions,
    /// The trait without its items.
    pub(crate) item: ItemTrait,
    pub(crate) methods: Vec<Method>,
    /// Items that are no methods, all of which are refused.
    pub(crate) others: Vec<TraitItem>,
}

/// One method, without its `#[pyproc(..)]` attributes.
pub(crate) struct Method {
    pub(crate) options: MethodOptions,
    /// Those of each argument but `self`.
    pub(crate) argument_options: Vec<ArgumentOptions>,
    pub(crate) function: TraitItemFn,
}

impl Interface {
    /// # Errors
    ///
    /// The attribute is not on a trait; nothing can be said about the methods then.
    pub(crate) fn parse(
        options: TokenStream,
        item: TokenStream,
        mistakes: &mut Mistakes,
    ) -> syn::Result<Self> {
        let mut item: ItemTrait = match syn::parse2(item.clone()) {
            Ok(item) => item,
            Err(error) if mentions(&item, "trait") => return Err(error),
            Err(_) => {
                let message = "`#[pyproc::remote]` goes on a trait, as in `#[pyproc::remote] trait Iris { … }`";
                return Err(syn::Error::new_spanned(item, message));
            }
        };
        let options = TraitOptions::parse(options, mistakes);
        let mut methods = Vec::new();
        let mut others = Vec::new();
        for member in std::mem::take(&mut item.items) {
            match member {
                TraitItem::Fn(mut function) => {
                    let options = MethodOptions::take(&mut function.attrs, mistakes);
                    let inputs = function.sig.inputs.iter_mut();
                    let arguments = inputs.filter_map(|input| match input {
                        FnArg::Typed(argument) => Some(&mut argument.attrs),
                        FnArg::Receiver(_) => None,
                    });
                    let argument_options = arguments
                        .map(|attributes| ArgumentOptions::take(attributes, mistakes))
                        .collect();
                    methods.push(Method {
                        options,
                        argument_options,
                        function,
                    });
                }
                other => others.push(other),
            }
        }
        Ok(Self {
            options,
            item,
            methods,
            others,
        })
    }

    /// Where the facade is.
    pub(crate) fn facade(&self) -> &Path {
        &self.options.facade
    }

    pub(crate) fn client(&self) -> Ident {
        format_ident!("{}Client", self.item.ident)
    }

    /// A name for the client's codec parameter that is no type of the user's.
    pub(crate) fn codec_parameter(&self) -> Ident {
        let (ident, generics) = (&self.item.ident, &self.item.generics);
        let signatures = self.methods.iter().map(|method| &method.function.sig);
        let written = quote!(#ident #generics #(#signatures)*);
        let mut name = String::from("C");
        while mentions(&written, &name) {
            name.push('_');
        }
        format_ident!("{name}")
    }
}

impl Method {
    pub(crate) fn ident(&self) -> &Ident {
        &self.function.sig.ident
    }

    /// The name of the function in Python.
    pub(crate) fn name(&self) -> String {
        match &self.options.name {
            Some(name) => name.value(),
            None => self.ident().unraw().to_string(),
        }
    }

    /// Whether the method may be absent; the macro runs before that is known.
    pub(crate) fn is_conditional(&self) -> bool {
        !self.conditions().is_empty()
    }

    /// What stands in each `#[cfg(..)]`.
    pub(crate) fn conditions(&self) -> Vec<&TokenStream> {
        attr::conditions(&self.function.attrs)
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.function.sig.receiver()
    }

    /// All arguments but `self`.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &PatType> {
        let inputs = self.function.sig.inputs.iter();
        inputs.filter_map(|input| match input {
            FnArg::Typed(argument) => Some(argument),
            FnArg::Receiver(_) => None,
        })
    }

    /// The names of the arguments that are sent in the body; in a valid method each has one.
    pub(crate) fn argument_names(&self) -> impl Iterator<Item = &Ident> {
        self.names_where(|argument, options| {
            !options.metadata && Stream::of(&argument.ty).is_none()
        })
    }

    /// The names of the arguments that are sent beside the body.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = &Ident> {
        self.names_where(|_, options| options.metadata)
    }

    /// The names of the arguments that say which worker is called; in a valid method there is one
    /// at most.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Ident> {
        self.names_where(|_, options| options.key)
    }

    fn names_where(
        &self,
        is_meant: impl Fn(&PatType, &ArgumentOptions) -> bool,
    ) -> impl Iterator<Item = &Ident> {
        let arguments = self.arguments().zip(&self.argument_options);
        let meant = arguments.filter(move |(argument, options)| is_meant(argument, options));
        meant.filter_map(|(argument, _)| argument_name(argument))
    }

    /// The arguments that are streams; in a valid method there is one at most.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&PatType, Stream<'_>)> {
        self.arguments()
            .filter_map(|argument| Some((argument, Stream::of(&argument.ty)?)))
    }

    pub(crate) fn output(&self) -> Option<&Type> {
        match &self.function.sig.output {
            syn::ReturnType::Default => None,
            syn::ReturnType::Type(_, output) => Some(output),
        }
    }

    /// The stream that the method returns, if it returns one.
    pub(crate) fn stream(&self) -> Option<Stream<'_>> {
        Stream::of(self.output()?)
    }
}

/// What yields items, and is returned by a method or given to one.
#[derive(Clone, Copy)]
pub(crate) enum Stream<'a> {
    /// `impl Stream<Item = …>`.
    Opaque(&'a TypeImplTrait),
    /// `BoxStream<'_, …>`, or as an argument `BoxStream<'static, …>`.
    Boxed(&'a Type),
}

impl<'a> Stream<'a> {
    pub(crate) fn of(output: &'a Type) -> Option<Self> {
        match output {
            Type::ImplTrait(opaque) if opaque.bounds.iter().any(is_stream_bound) => {
                Some(Self::Opaque(opaque))
            }
            Type::Path(path) if path.path.segments.last()?.ident == "BoxStream" => {
                Some(Self::Boxed(output))
            }
            Type::Group(group) => Self::of(&group.elem),
            Type::Paren(paren) => Self::of(&paren.elem),
            _ => None,
        }
    }

    /// The `impl Stream<Item = …>` in the same places, to be given more bounds.
    pub(crate) fn opaque_mut(argument: &mut Type) -> Option<&mut TypeImplTrait> {
        match argument {
            Type::ImplTrait(opaque) if opaque.bounds.iter().any(is_stream_bound) => Some(opaque),
            Type::Group(group) => Self::opaque_mut(&mut group.elem),
            Type::Paren(paren) => Self::opaque_mut(&mut paren.elem),
            _ => None,
        }
    }

    /// What it yields, if that is written.
    pub(crate) fn item(self) -> Option<&'a Type> {
        match self {
            Self::Opaque(opaque) => opaque.bounds.iter().find_map(|bound| {
                arguments(bound_path(bound)?)?.find_map(|argument| match argument {
                    GenericArgument::AssocType(item) if item.ident == "Item" => Some(&item.ty),
                    _ => None,
                })
            }),
            Self::Boxed(Type::Path(path)) => {
                arguments(&path.path)?.find_map(|argument| match argument {
                    GenericArgument::Type(item) => Some(item),
                    _ => None,
                })
            }
            Self::Boxed(_) => None,
        }
    }
}

/// Whether the type looks like a `Result`, or an alias of one such as `io::Result` or `IrisResult`.
/// The compiler knows better later; this is for a message that says what to write.
pub(crate) fn is_result(candidate: &Type) -> bool {
    match candidate {
        Type::Path(path) => match path.path.segments.last() {
            Some(segment) => segment.ident.to_string().ends_with("Result"),
            None => false,
        },
        Type::Group(group) => is_result(&group.elem),
        Type::Paren(paren) => is_result(&paren.elem),
        _ => false,
    }
}

/// Whether the type of an item is a `Result`, so that the stream that yields it can fail. A name that
/// only ends so, as `SearchResult` does, is that of a value, unless it says of what it is a result.
pub(crate) fn can_fail(item: &Type) -> bool {
    match item {
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| {
            segment.ident == "Result" || (is_result(item) && !segment.arguments.is_none())
        }),
        Type::Group(group) => can_fail(&group.elem),
        Type::Paren(paren) => can_fail(&paren.elem),
        _ => false,
    }
}

fn is_stream_bound(bound: &TypeParamBound) -> bool {
    let last = bound_path(bound).and_then(|path| path.segments.last());
    last.is_some_and(|segment| segment.ident == "Stream")
}

fn bound_path(bound: &TypeParamBound) -> Option<&Path> {
    match bound {
        TypeParamBound::Trait(bound) => Some(&bound.path),
        _ => None,
    }
}

/// The arguments in angle brackets behind the last segment.
fn arguments(path: &Path) -> Option<impl Iterator<Item = &GenericArgument>> {
    match &path.segments.last()?.arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments.args.iter()),
        _ => None,
    }
}

/// The type of the value in a `Result`, if it is written.
pub(crate) fn value(result: &Type) -> Option<&Type> {
    match result {
        Type::Path(path) => arguments(&path.path)?.find_map(|argument| match argument {
            GenericArgument::Type(value) => Some(value),
            _ => None,
        }),
        Type::Group(group) => value(&group.elem),
        Type::Paren(paren) => value(&paren.elem),
        _ => None,
    }
}

/// The argument's name, unless its pattern is more than a name.
pub(crate) fn argument_name(argument: &PatType) -> Option<&Ident> {
    match &*argument.pat {
        Pat::Ident(name)
            if name.by_ref.is_none() && name.mutability.is_none() && name.subpat.is_none() =>
        {
            Some(&name.ident)
        }
        _ => None,
    }
}

/// Whether the identifier occurs anywhere in the tokens.
pub(crate) fn mentions(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => ident == name,
        proc_macro2::TokenTree::Group(group) => mentions(&group.stream(), name),
        _ => false,
    })
}
