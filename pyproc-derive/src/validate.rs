mod method;
mod types;

use crate::ast::{Interface, Method};
use crate::attr;
use crate::mistakes::Mistakes;
use syn::{Attribute, TraitItem};

pub(crate) use types::{has_impl_trait, has_self};

/// Finds every mistake in the trait, each at the user's tokens.
pub(crate) fn interface(interface: &Interface, mistakes: &mut Mistakes) {
    let item = &interface.item;
    attributes(&item.attrs, mistakes);
    if let Some(keyword) = &item.unsafety {
        mistakes.add(
            keyword,
            "a remote trait is not unsafe: calling it is safe; remove `unsafe`",
        );
    }
    if let Some(keyword) = &item.auto_token {
        mistakes.add(
            keyword,
            "a remote trait is implemented explicitly; remove `auto`",
        );
    }
    if !item.generics.params.is_empty() {
        let message = "a remote trait has no parameters, because a Python function is one function \
                       for all types; write the concrete types in the methods";
        mistakes.add(&item.generics.params, message);
    }
    for other in &interface.others {
        mistakes.add(other, refusal(other));
    }
    for method in &interface.methods {
        attributes(&method.function.attrs, mistakes);
        method::method(method, interface.options.object_safe, mistakes);
    }
    names(&interface.methods, mistakes);
}

fn attributes(attributes: &[Attribute], mistakes: &mut Mistakes) {
    for attribute in attributes {
        if attr::is_ours(attribute) {
            let message = "`#[pyproc(..)]` goes on a method; options of the trait go into \
                           `#[pyproc::remote(..)]`";
            mistakes.add(attribute, message);
        }
        if attr::hides_option(attribute) {
            let message = "this cannot depend on a condition, because the macro runs before \
                           conditions are known; write `#[cfg(..)]` on two versions of the item";
            mistakes.add(attribute, message);
        }
    }
}

fn refusal(item: &TraitItem) -> &'static str {
    match item {
        TraitItem::Const(_) => {
            "a remote trait has no constants; write the constant beside the trait"
        }
        TraitItem::Type(_) => {
            "a remote trait has no associated types; write the concrete type in the methods"
        }
        _ => "a remote trait has methods only; write `async fn …(&self, …) -> pyproc::Result<…>;`",
    }
}

/// Two methods must not call one Python function. Methods under a condition may exclude each other,
/// which the macro cannot know, so they are left to the compiler.
fn names(methods: &[Method], mistakes: &mut Mistakes) {
    let mut seen: Vec<String> = Vec::new();
    for method in methods.iter().filter(|method| !method.is_conditional()) {
        let name = method.name();
        if seen.contains(&name) {
            let message = format!(
                "another method calls the Python function `{name}` already; \
                 remove one, or write another name with `#[pyproc(name = \"…\")]`"
            );
            match &method.options.name {
                Some(literal) => mistakes.add(literal, message),
                None => mistakes.add(method.ident(), message),
            }
        } else {
            seen.push(name);
        }
    }
}

#[cfg(test)]
mod tests;
