mod deadline;
mod options;

use crate::mistakes::Mistakes;
use options::{Known, flag, number, read, string};
use proc_macro2::TokenStream;
use std::time::Duration;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, LitStr, Meta, Path, Token, parse_quote};

/// What stands in `#[pyproc::remote(..)]`.
pub(crate) struct TraitOptions {
    pub(crate) object_safe: bool,
    /// Where the facade is; `::pyproc` unless said otherwise.
    pub(crate) facade: Path,
}

/// What stands in the `#[pyproc(..)]` of a method.
#[derive(Default)]
pub(crate) struct MethodOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) idempotent: bool,
    pub(crate) priority: Option<Priority>,
    /// How often a call is tried.
    pub(crate) retry: Option<u32>,
    /// Every worker is called.
    pub(crate) broadcast: bool,
    /// Nobody waits.
    pub(crate) one_way: bool,
    /// Where each option is.
    pub(crate) places: Vec<(&'static str, Meta)>,
}

/// When the calls of a method have their turn.
#[derive(Clone, Copy)]
pub(crate) enum Priority {
    Low,
    Normal,
    High,
}

/// What stands in the `#[pyproc(..)]` of an argument.
#[derive(Default)]
pub(crate) struct ArgumentOptions {
    /// Calls with the same value go to the same worker.
    pub(crate) key: bool,
    /// It is sent beside the other arguments.
    pub(crate) metadata: bool,
}

impl TraitOptions {
    pub(crate) fn parse(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut options = Self {
            object_safe: false,
            facade: parse_quote!(::pyproc),
        };
        let list = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens);
        for (name, option) in read([list], TRAIT_OPTIONS, mistakes) {
            match name {
                "object_safe" => flag(&option, &mut options.object_safe, mistakes),
                _ => match facade(&option) {
                    Some(path) => options.facade = path,
                    None => mistakes.add(option, "write a path, as in `crate = ::my_pyproc`"),
                },
            }
        }
        options
    }
}

impl MethodOptions {
    /// Removes the `#[pyproc(..)]` attributes, which exist for this macro only, and reads them.
    pub(crate) fn take(attributes: &mut Vec<Attribute>, mistakes: &mut Mistakes) -> Self {
        let mut options = Self::default();
        let places = read(take_lists(attributes), METHOD_OPTIONS, mistakes);
        for (name, option) in &places {
            match *name {
                "idempotent" => flag(option, &mut options.idempotent, mistakes),
                "broadcast" => flag(option, &mut options.broadcast, mistakes),
                "one_way" => flag(option, &mut options.one_way, mistakes),
                "priority" => options.priority = priority(option, mistakes),
                "retry" => options.retry = number(option, "retry = 3", mistakes),
                "name" => options.name = string(option, r#"name = "predict_v2""#, mistakes),
                _ => {
                    let literal = string(option, r#"deadline = "250ms""#, mistakes);
                    let parsed = literal.map(|literal| deadline::parse(&literal));
                    match parsed.transpose() {
                        Ok(deadline) => options.deadline = deadline,
                        Err(error) => mistakes.extend(error),
                    }
                }
            }
        }
        options.places = places;
        options
    }

    /// Where an option is, if it is given.
    pub(crate) fn place(&self, name: &str) -> Option<&Meta> {
        let mut places = self.places.iter();
        Some(&places.find(|(given, _)| *given == name)?.1)
    }
}

impl ArgumentOptions {
    /// Removes the `#[pyproc(..)]` attributes and reads them.
    pub(crate) fn take(attributes: &mut Vec<Attribute>, mistakes: &mut Mistakes) -> Self {
        let mut options = Self::default();
        for (name, option) in read(take_lists(attributes), ARGUMENT_OPTIONS, mistakes) {
            match name {
                "key" => flag(&option, &mut options.key, mistakes),
                _ => flag(&option, &mut options.metadata, mistakes),
            }
        }
        options
    }
}

/// Removes the `#[pyproc(..)]` attributes; what stands in each.
fn take_lists(attributes: &mut Vec<Attribute>) -> Vec<syn::Result<Punctuated<Meta, Token![,]>>> {
    let mut lists = Vec::new();
    attributes.retain(|attribute| {
        let ours = is_ours(attribute);
        if ours {
            lists.push(attribute.parse_args_with(Punctuated::parse_terminated));
        }
        !ours
    });
    lists
}

fn priority(option: &Meta, mistakes: &mut Mistakes) -> Option<Priority> {
    let literal = string(option, r#"priority = "high""#, mistakes)?;
    match &*literal.value() {
        "low" => Some(Priority::Low),
        "normal" => Some(Priority::Normal),
        "high" => Some(Priority::High),
        other => {
            let message = format!(
                r#"`{other}` is no priority; there are "high", "normal" (the default) and "low""#
            );
            mistakes.add(literal, message);
            None
        }
    }
}

/// Whether this is `#[pyproc]`, with or without options.
pub(crate) fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("pyproc")
}

/// Whether the attribute is none of this macro's business.
pub(crate) fn is_foreign(attribute: &Attribute) -> bool {
    !is_ours(attribute) && !hides_option(attribute)
}

/// The attributes that generated items repeat: conditions, without which they would name what is
/// not there, and permissions, because they contain the user's own tokens. An expectation becomes a
/// permission, since it is fulfilled in the trait already.
pub(crate) fn repeated(attributes: &[Attribute]) -> Vec<Attribute> {
    let mut repeated = Vec::new();
    for attribute in attributes {
        let path = attribute.path();
        if path.is_ident("cfg") || path.is_ident("allow") {
            repeated.push(attribute.clone());
        } else if let (true, Meta::List(list)) = (path.is_ident("expect"), &attribute.meta) {
            let lints = &list.tokens;
            repeated.push(parse_quote!(#[allow(#lints)]));
        }
    }
    repeated
}

/// What stands in each `#[cfg(..)]`.
pub(crate) fn conditions(attributes: &[Attribute]) -> Vec<&TokenStream> {
    let cfgs = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    let lists = cfgs.filter_map(|attribute| attribute.meta.require_list().ok());
    lists.map(|list| &list.tokens).collect()
}

/// Whether a `#[cfg_attr(..)]` hides something that the macro has to see.
pub(crate) fn hides_option(attribute: &Attribute) -> bool {
    if !attribute.path().is_ident("cfg_attr") {
        return false;
    }
    let metas = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let hidden = ["pyproc", "cfg", "cfg_attr"];
    metas.is_ok_and(|metas| {
        let attributes = metas.iter().skip(1);
        attributes
            .map(Meta::path)
            .any(|path| hidden.iter().any(|name| path.is_ident(name)))
    })
}

fn facade(option: &Meta) -> Option<Path> {
    match option {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Path(path) if path.qself.is_none() => Some(path.path.clone()),
            _ => None,
        },
        _ => None,
    }
}

const TRAIT_OPTIONS: Known = Known {
    names: &["object_safe", "crate"],
    usage: "`object_safe` and `crate = path`",
};

const METHOD_OPTIONS: Known = Known {
    names: &[
        "idempotent",
        "name",
        "deadline",
        "priority",
        "retry",
        "broadcast",
        "one_way",
    ],
    usage: r#"`idempotent`, `name = "predict_v2"`, `deadline = "250ms"`, `priority = "high"`, `retry = 3`, `broadcast` and `one_way`"#,
};

const ARGUMENT_OPTIONS: Known = Known {
    names: &["key", "metadata"],
    usage: "`key` and `metadata`",
};
