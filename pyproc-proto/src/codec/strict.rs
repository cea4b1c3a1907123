//! A serializer around another that refuses what the wire does not carry, where the other would
//! write something similar in silence: `null` for NaN, text for a number used as a key, bytes for
//! an integer of more than 64 bits, or a value so deep that the other side cannot read it.

mod compound;
mod key;

use std::fmt::Display;

use serde::ser::{Error, Serialize, Serializer};

use self::compound::Compound;
use self::key::KeyOnly;
use super::MAX_DEPTH;

/// What is written underneath, since the formats cannot carry the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    #[cfg(feature = "msgpack")]
    MsgPack,
}

/// What holds for every value inside the one that is encoded.
#[derive(Clone, Copy)]
struct Rules {
    format: Format,
    /// How many containers may still be opened, plus one.
    depth: u8,
}

impl Rules {
    /// The rules inside one more container.
    fn deeper<E: Error>(mut self) -> Result<Self, E> {
        self.depth -= 1;
        if self.depth == 0 {
            let limit = MAX_DEPTH;
            return Err(E::custom(format_args!(
                "the value is nested {limit} levels deep or deeper"
            )));
        }
        Ok(self)
    }
}

/// The serializer `S`, under rules.
pub(super) struct Strict<S> {
    inner: S,
    rules: Rules,
}

impl<S> Strict<S> {
    pub(super) fn new(inner: S, format: Format) -> Self {
        let depth = MAX_DEPTH;
        Self {
            inner,
            rules: Rules { format, depth },
        }
    }
}

/// A value whose insides are to be serialized under the same rules.
struct Ruled<'a, T: ?Sized> {
    value: &'a T,
    rules: Rules,
}

impl<T: Serialize + ?Sized> Serialize for Ruled<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Strict {
            inner: serializer,
            rules: self.rules,
        })
    }
}

/// Methods that change nothing.
macro_rules! forward {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        })*
    };
}

impl<S: Serializer> Serializer for Strict<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<S::SerializeSeq>;
    type SerializeTuple = Compound<S::SerializeTuple>;
    type SerializeTupleStruct = Compound<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<S::SerializeTupleVariant>;
    type SerializeMap = Compound<S::SerializeMap>;
    type SerializeStruct = Compound<S::SerializeStruct>;
    type SerializeStructVariant = Compound<S::SerializeStructVariant>;

    forward! {
        serialize_bool(bool),
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_char(char), serialize_str(&str),
        serialize_unit_struct(&'static str),
    }

    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        if let Ok(value) = i64::try_from(value) {
            return self.inner.serialize_i64(value);
        }
        match u64::try_from(value) {
            Ok(value) => self.inner.serialize_u64(value),
            Err(_) => Err(too_large(value)),
        }
    }

    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        match u64::try_from(value) {
            Ok(value) => self.inner.serialize_u64(value),
            Err(_) => Err(too_large(value)),
        }
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        if self.rules.format == Format::Json && !value.is_finite() {
            return Err(not_finite(value));
        }
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        if self.rules.format == Format::Json && !value.is_finite() {
            return Err(not_finite(value));
        }
        self.inner.serialize_f64(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        if self.rules.format == Format::Json {
            // They become a list of numbers there, which is one container more.
            self.rules.deeper::<S::Error>()?;
        }
        self.inner.serialize_bytes(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let rules = self.rules;
        self.inner.serialize_some(&Ruled { value, rules })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let rules = self.rules;
        self.inner
            .serialize_newtype_struct(name, &Ruled { value, rules })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let rules = self.rules.deeper()?;
        self.inner
            .serialize_newtype_variant(name, index, variant, &Ruled { value, rules })
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let rules = self.rules.deeper()?;
        Ok(Compound::new(self.inner.serialize_seq(length)?, rules))
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        let rules = self.rules.deeper()?;
        Ok(Compound::new(self.inner.serialize_tuple(length)?, rules))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let rules = self.rules.deeper()?;
        let inner = self.inner.serialize_tuple_struct(name, length)?;
        Ok(Compound::new(inner, rules))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        // The map from the variant's name to its fields, and the list of them.
        let rules = self.rules.deeper()?.deeper()?;
        let inner = self
            .inner
            .serialize_tuple_variant(name, index, variant, length)?;
        Ok(Compound::new(inner, rules))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let rules = self.rules.deeper()?;
        Ok(Compound::new(self.inner.serialize_map(length)?, rules))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let rules = self.rules.deeper()?;
        let inner = self.inner.serialize_struct(name, length)?;
        Ok(Compound::new(inner, rules))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let rules = self.rules.deeper()?.deeper()?;
        let inner = self
            .inner
            .serialize_struct_variant(name, index, variant, length)?;
        Ok(Compound::new(inner, rules))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

#[cold]
fn not_finite<E: Error>(value: impl Display) -> E {
    E::custom(format_args!("JSON has no number for {value}"))
}

#[cold]
fn too_large<E: Error>(value: impl Display) -> E {
    E::custom(format_args!(
        "the integer {value} does not fit into 64 bits"
    ))
}
