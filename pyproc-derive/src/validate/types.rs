use crate::ast::mentions;
use crate::mistakes::Mistakes;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Path, Type, TypeImplTrait, TypeReference};

/// Refuses what cannot be sent: `impl Trait`, `Self` and, anywhere inside, `&mut`.
pub(crate) fn argument(argument: &Type, mistakes: &mut Mistakes) {
    Judge {
        mistakes,
        position: Position::Argument,
    }
    .visit_type(argument);
}

/// Refuses what cannot be received: `impl Trait`, `Self` and anything borrowed.
pub(crate) fn output(output: &Type, mistakes: &mut Mistakes) {
    Judge {
        mistakes,
        position: Position::Output,
    }
    .visit_type(output);
}

/// Whether `impl Trait` occurs anywhere in the type.
pub(crate) fn has_impl_trait(candidate: &Type) -> bool {
    mentions(&candidate.to_token_stream(), "impl")
}

/// Whether `Self` occurs anywhere in the type.
pub(crate) fn has_self(candidate: &Type) -> bool {
    mentions(&candidate.to_token_stream(), "Self")
}

struct Judge<'a> {
    mistakes: &'a mut Mistakes,
    position: Position,
}

#[derive(Clone, Copy)]
enum Position {
    Argument,
    Output,
}

impl<'ast> Visit<'ast> for Judge<'_> {
    fn visit_type_impl_trait(&mut self, found: &'ast TypeImplTrait) {
        let message = "a remote method is not generic; write a concrete type";
        self.mistakes.add(found, message);
    }

    fn visit_type_reference(&mut self, found: &'ast TypeReference) {
        match (self.position, found.mutability) {
            (Position::Output, _) => {
                let message = "a value from another process cannot be borrowed; write an owned \
                               type, as in `String` or `Vec<T>`";
                self.mistakes.add(found, message);
            }
            (Position::Argument, Some(_)) => {
                let message = "a worker cannot change a value of the host; write `&`, and return \
                               what changed";
                self.mistakes.add(found, message);
            }
            (Position::Argument, None) => {}
        }
        visit::visit_type_reference(self, found);
    }

    fn visit_path(&mut self, found: &'ast Path) {
        if found
            .segments
            .first()
            .is_some_and(|segment| segment.ident == "Self")
        {
            let message = "`Self` stays in this process and cannot be sent; write the type that is \
                           meant";
            self.mistakes.add(found, message);
        }
        visit::visit_path(self, found);
    }
}
