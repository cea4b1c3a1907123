use crate::mistakes::Mistakes;
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, LitStr, Meta, Token};

/// The options that exist in one place, and how to write them.
pub(crate) struct Known {
    pub(crate) names: &'static [&'static str],
    pub(crate) usage: &'static str,
}

/// The known options of all lists; what is unknown, repeated or unreadable is a mistake.
pub(crate) fn read(
    lists: impl IntoIterator<Item = syn::Result<Punctuated<Meta, Token![,]>>>,
    known: Known,
    mistakes: &mut Mistakes,
) -> Vec<(&'static str, Meta)> {
    let mut options: Vec<(&'static str, Meta)> = Vec::new();
    for list in lists {
        let list = list.unwrap_or_else(|error| {
            let message = format!("{error}; the options are {}", known.usage);
            mistakes.extend(syn::Error::new(error.span(), message));
            Punctuated::new()
        });
        for option in list {
            let Some(name) = known.names.iter().find(|name| option.path().is_ident(name)) else {
                let unknown = option.path().to_token_stream();
                let message = format!(
                    "unknown option `{unknown}`; the options are {}",
                    known.usage
                );
                mistakes.add(unknown, message);
                continue;
            };
            if options.iter().any(|(earlier, _)| earlier == name) {
                mistakes.add(
                    option,
                    format!("the option `{name}` is given twice; remove one"),
                );
            } else {
                options.push((name, option));
            }
        }
    }
    options
}

/// Reads an option that has no value, and is meant by its name even where one is written.
pub(crate) fn flag(option: &Meta, is_given: &mut bool, mistakes: &mut Mistakes) {
    *is_given = true;
    if option.require_path_only().is_err() {
        let name = option.path().to_token_stream();
        mistakes.add(
            option,
            format!("`{name}` has no value; write `{name}` alone, or nothing"),
        );
    }
}

/// Reads an option whose value is a string that is not empty.
pub(crate) fn string(option: &Meta, usage: &str, mistakes: &mut Mistakes) -> Option<LitStr> {
    let value = match option {
        Meta::NameValue(pair) => Some(&pair.value),
        _ => None,
    };
    match value {
        Some(Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        })) if !text.value().is_empty() => Some(text.clone()),
        _ => {
            mistakes.add(
                option,
                format!("write a string that is not empty, as in `{usage}`"),
            );
            None
        }
    }
}

/// Reads an option whose value is a whole number from 1 on.
pub(crate) fn number(option: &Meta, usage: &str, mistakes: &mut Mistakes) -> Option<u32> {
    let value = match option {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Int(number),
                ..
            }) => number.base10_parse().ok(),
            _ => None,
        },
        _ => None,
    };
    let value = value.filter(|number| *number > 0);
    if value.is_none() {
        let message = format!("write a whole number from 1 on, as in `{usage}`");
        mistakes.add(option, message);
    }
    value
}
