//! The containers of [`Strict`](super::Strict): each passes the rules on to what it contains.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::{KeyOnly, Ruled, Rules};

/// A container that is being written, whichever it is.
pub(in crate::codec) struct Compound<C> {
    inner: C,
    rules: Rules,
}

impl<C> Compound<C> {
    pub(super) fn new(inner: C, rules: Rules) -> Self {
        Self { inner, rules }
    }
}

/// Containers whose parts have no names.
macro_rules! unnamed {
    ($($trait:ident::$method:ident),* $(,)?) => {
        $(impl<C: $trait> $trait for Compound<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let rules = self.rules;
                self.inner.$method(&Ruled { value, rules })
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

unnamed! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

/// Containers whose parts have names that the type gives them.
macro_rules! named {
    ($($trait:ident),* $(,)?) => {
        $(impl<C: $trait> $trait for Compound<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                let rules = self.rules;
                self.inner.serialize_field(key, &Ruled { value, rules })
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

named!(SerializeStruct, SerializeStructVariant);

impl<C: SerializeMap> SerializeMap for Compound<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&KeyOnly(key))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let rules = self.rules;
        self.inner.serialize_value(&Ruled { value, rules })
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), C::Error> {
        let rules = self.rules;
        self.inner
            .serialize_entry(&KeyOnly(key), &Ruled { value, rules })
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
