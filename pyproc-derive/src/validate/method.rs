use super::types;
use crate::ast::{Method, Stream, argument_name, is_result, value};
use crate::mistakes::Mistakes;
use proc_macro2::Ident;
use quote::ToTokens;
use syn::{GenericParam, Receiver, Signature, Type};

/// Finds every mistake in a method.
pub(crate) fn method(method: &Method, object_safe: bool, mistakes: &mut Mistakes) {
    let signature = &method.function.sig;
    qualifiers(method, mistakes);
    generics(signature, mistakes);
    receiver(method, mistakes);
    arguments(method, object_safe, mistakes);
    options(method, mistakes);
    match method.stream() {
        Some(stream) => items(stream, object_safe, mistakes),
        None => output(method, mistakes),
    }
    if let Some(body) = &method.function.default {
        mistakes.add(
            body,
            "the body of a remote method is in Python; end the method with `;`",
        );
    }
}

fn qualifiers(method: &Method, mistakes: &mut Mistakes) {
    let signature = &method.function.sig;
    match (signature.asyncness, method.stream()) {
        (None, None) => {
            let message = format!(
                "a remote method is async; write `async fn {}`",
                signature.ident
            );
            mistakes.add(signature.fn_token, message);
        }
        (Some(keyword), Some(_)) => {
            let message = "a method that returns a stream is not async: the stream does nothing \
                           until it is polled; remove `async`";
            mistakes.add(keyword, message);
        }
        _ => {}
    }
    if let Some(keyword) = &signature.unsafety {
        mistakes.add(keyword, "a remote method is safe to call; remove `unsafe`");
    }
    if let Some(abi) = &signature.abi {
        mistakes.add(
            abi,
            "a remote method has no ABI of its own; remove `extern`",
        );
    }
    if let Some(variadic) = &signature.variadic {
        mistakes.add(
            variadic,
            "name each argument, or take a slice, as in `values: &[f64]`",
        );
    }
}

fn generics(signature: &Signature, mistakes: &mut Mistakes) {
    for parameter in &signature.generics.params {
        let hint = match parameter {
            GenericParam::Type(_) => "write the concrete type, or one method for each type",
            GenericParam::Const(_) => "write a slice or a `Vec` instead of an array",
            GenericParam::Lifetime(_) => "leave the lifetime out, as in `&str`",
        };
        mistakes.add(parameter, format!("a remote method is not generic; {hint}"));
    }
    if let Some(clause) = &signature.generics.where_clause {
        mistakes.add(
            clause,
            "a remote method is not generic; remove the `where` clause",
        );
    }
}

fn receiver(method: &Method, mistakes: &mut Mistakes) {
    let Some(receiver) = method.receiver() else {
        let name = method.ident();
        let message = format!("a remote method takes `&self`; write `{name}(&self, …)`");
        mistakes.add(name, message);
        return;
    };
    refuse_attributes(&receiver.attrs, mistakes);
    if !is_shared_reference(receiver) {
        let message = "a remote method takes `&self`, so that calls can run at the same time; \
                       write `&self`";
        mistakes.add(receiver, message);
    }
}

/// Whether this is `&self` without a lifetime.
fn is_shared_reference(receiver: &Receiver) -> bool {
    let plain = matches!(receiver.reference, Some((_, None)));
    plain && receiver.mutability.is_none() && receiver.colon_token.is_none()
}

fn arguments(method: &Method, object_safe: bool, mistakes: &mut Mistakes) {
    let mut seen: Vec<&Ident> = Vec::new();
    for argument in method.arguments() {
        refuse_attributes(&argument.attrs, mistakes);
        match Stream::of(&argument.ty) {
            Some(stream) => stream_argument(stream, object_safe, mistakes),
            None => types::argument(&argument.ty, mistakes),
        }
        match argument_name(argument) {
            None => {
                let message =
                    "write a name, because the value is sent under it; a pattern has none";
                mistakes.add(&argument.pat, message);
            }
            Some(name) if seen.contains(&name) => {
                mistakes.add(name, format!("another argument is called `{name}` already"));
            }
            Some(name) => seen.push(name),
        }
    }
    if let Some((second, _)) = method.streams().nth(1) {
        let message = "a remote method takes one stream; put what both bring into one, as in \
                       `impl Stream<Item = Either<…>>`";
        mistakes.add(&second.ty, message);
    }
    if let Some(first_too_many) = method.arguments().nth(MAX_ARGUMENTS) {
        let message = format!(
            "a remote method has at most {MAX_ARGUMENTS} arguments; put them into a struct and pass that"
        );
        mistakes.add(first_too_many, message);
    }
}

/// What it yields is sent item by item.
fn stream_argument(stream: Stream<'_>, object_safe: bool, mistakes: &mut Mistakes) {
    if let (Stream::Opaque(opaque), true) = (stream, object_safe) {
        let message = "a method of a trait object takes a stream in a box; write \
                       `pyproc::BoxStream<'static, …>`";
        mistakes.add(opaque, message);
        return;
    }
    match (stream, stream.item()) {
        (_, Some(item)) => types::argument(item, mistakes),
        (Stream::Opaque(opaque), None) => mistakes.add(opaque, NO_ITEM),
        (Stream::Boxed(boxed), None) => mistakes.add(boxed, NO_ITEM),
    }
}

const NO_ITEM: &str = "write what the stream yields, as in `impl Stream<Item = …>`";

fn refuse_attributes(attributes: &[syn::Attribute], mistakes: &mut Mistakes) {
    for attribute in attributes {
        mistakes.add(
            attribute,
            "an argument has no attributes but `#[pyproc(key)]` and `#[pyproc(metadata)]`; write others on the method",
        );
    }
}

/// Options that contradict each other, or the method.
fn options(method: &Method, mistakes: &mut Mistakes) {
    let options = &method.options;
    if let Some(second) = method.keys().nth(1) {
        let message = "a call has one key; take both as one argument, or mark only one of them";
        mistakes.add(second, message);
    }
    let ways = [options.place("broadcast"), options.place("one_way")];
    if let [Some(_), Some(one_way)] = ways {
        let message = "a broadcast waits for every worker, and a one-way call for none; remove one";
        mistakes.add(one_way, message);
    }
    for option in ways.into_iter().flatten() {
        if method.stream().is_some() {
            let name = option.path().to_token_stream();
            let message = format!("a stream is read from one worker; remove `{name}`");
            mistakes.add(option, message);
        }
        if method.streams().next().is_some() {
            let name = option.path().to_token_stream();
            let message = format!("a stream is sent to one worker, by its caller; remove `{name}`");
            mistakes.add(option, message);
        }
    }
    if options.broadcast {
        let contradicts = |name: &str| ["idempotent", "priority", "retry"].contains(&name);
        let places = options.places.iter();
        for (name, place) in places.filter(|(name, _)| contradicts(name)) {
            let message = format!(
                "a broadcast goes to every worker at once, and is not moved; remove `{name}`"
            );
            mistakes.add(place, message);
        }
        if let Some(key) = method.keys().next() {
            let message = "a broadcast goes to every worker, whatever the key; remove `key`";
            mistakes.add(key, message);
        }
    }
    if options.one_way {
        if let Some(place) = options.place("retry") {
            let message = "a one-way call says at once that it is refused, and is not tried again; \
                           remove `retry`";
            mistakes.add(place, message);
        }
        if let Some(value) = method.output().and_then(value) {
            if !matches!(value, Type::Tuple(tuple) if tuple.elems.is_empty()) {
                let message = "nobody waits for the value of a one-way call; write `()` here";
                mistakes.add(value, message);
            }
        }
    }
}

fn output(method: &Method, mistakes: &mut Mistakes) {
    match method.output() {
        None => {
            let message = "a call can fail on its way, so a remote method returns a Result; \
                           write `-> pyproc::Result<()>`, or with the type of the value";
            mistakes.add(method.ident(), message);
        }
        Some(output) if !is_result(output) => {
            let message = match output {
                Type::ImplTrait(_) => "write what the future yields, as in `pyproc::Result<…>`",
                _ => {
                    "a call can fail on its way, so a remote method returns a Result; write \
                     `pyproc::Result<…>` with this type inside"
                }
            };
            mistakes.add(output, message);
        }
        Some(output) => types::output(output, mistakes),
    }
}

/// Each item may be the error that ends the stream.
fn items(stream: Stream<'_>, object_safe: bool, mistakes: &mut Mistakes) {
    if let (Stream::Opaque(opaque), true) = (stream, object_safe) {
        let message = "a method of a trait object returns a stream in a box; write \
                       `pyproc::BoxStream<'_, pyproc::Result<…>>`";
        mistakes.add(opaque, message);
        return;
    }
    match stream.item() {
        None => {
            let message = "write what the stream yields, as in \
                           `impl Stream<Item = pyproc::Result<…>>`";
            match stream {
                Stream::Opaque(opaque) => mistakes.add(opaque, message),
                Stream::Boxed(boxed) => mistakes.add(boxed, message),
            }
        }
        Some(item) if !is_result(item) => {
            let message = "a stream can fail on its way, so it yields Results; write \
                           `pyproc::Result<…>` with this type inside";
            mistakes.add(item, message);
        }
        Some(item) => types::output(item, mistakes),
    }
}

/// As many as `Arguments` in the runtime serializes.
const MAX_ARGUMENTS: usize = 16;
