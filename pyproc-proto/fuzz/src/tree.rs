//! Values of every shape that a codec meets.

use std::fmt;

use arbitrary::{Arbitrary, Result, Unstructured};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value with everything that serde has a word for.
#[derive(Clone, Debug)]
pub enum Tree {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    /// On its way out only: it comes back as one of the other integers.
    Wide(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// How deep its containers are nested; 0 for a scalar.
    pub fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(pairs) => {
                1 + pairs
                    .iter()
                    .map(|(_, item)| item.depth())
                    .max()
                    .unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether something in it fulfills the condition.
    pub fn any(&self, condition: &impl Fn(&Self) -> bool) -> bool {
        condition(self)
            || match self {
                Self::List(items) => items.iter().any(|item| item.any(condition)),
                Self::Map(pairs) => pairs.iter().any(|(_, item)| item.any(condition)),
                _ => false,
            }
    }

    /// An integer wherever it fits, else `None`.
    fn integer(&self) -> Option<i128> {
        match self {
            Self::Signed(value) => Some((*value).into()),
            Self::Unsigned(value) => Some((*value).into()),
            Self::Wide(value) => Some(*value),
            _ => None,
        }
    }
}

/// Equal as values: integers whatever their type, floats by their bits but for NaN.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (self.integer(), other.integer()) {
            return one == other;
        }
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Float(one), Self::Float(other)) => {
                one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan())
            }
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => one == other,
            _ => false,
        }
    }
}

impl<'a> Arbitrary<'a> for Tree {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let tree = grow(input, 0)?;
        // A tower reaches the depth limit, which branches hardly do.
        let mut tower = tree;
        for level in 0..u8::arbitrary(input).unwrap_or(0) {
            tower = if level % 2 == 0 {
                Self::List(vec![tower])
            } else {
                Self::Map(vec![("k".to_owned(), tower)])
            };
        }
        Ok(tower)
    }
}

fn grow(input: &mut Unstructured<'_>, depth: u8) -> Result<Tree> {
    let kinds = if depth < 5 { 10 } else { 8 };
    Ok(match input.int_in_range(0..=kinds - 1)? {
        0 => Tree::Null,
        1 => Tree::Bool(input.arbitrary()?),
        2 => Tree::Signed(input.arbitrary()?),
        3 => Tree::Unsigned(input.arbitrary()?),
        4 => Tree::Wide(input.arbitrary()?),
        5 => Tree::Float(input.arbitrary()?),
        6 => Tree::Text(input.arbitrary()?),
        7 => Tree::Bytes(input.arbitrary()?),
        8 => {
            let mut items = Vec::new();
            for _ in 0..input.int_in_range(0..=4)? {
                items.push(grow(input, depth + 1)?);
            }
            Tree::List(items)
        }
        _ => {
            let mut pairs = Vec::new();
            for _ in 0..input.int_in_range(0..=4)? {
                pairs.push((input.arbitrary()?, grow(input, depth + 1)?));
            }
            Tree::Map(pairs)
        }
    })
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Wide(value) => serializer.serialize_i128(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(pairs) => {
                serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_unit<E>(self) -> std::result::Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, value: bool) -> std::result::Result<Tree, E> {
                Ok(Tree::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> std::result::Result<Tree, E> {
                Ok(Tree::Signed(value))
            }

            fn visit_u64<E>(self, value: u64) -> std::result::Result<Tree, E> {
                Ok(Tree::Unsigned(value))
            }

            fn visit_f64<E>(self, value: f64) -> std::result::Result<Tree, E> {
                Ok(Tree::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }

            fn visit_bytes<E>(self, value: &[u8]) -> std::result::Result<Tree, E> {
                Ok(Tree::Bytes(value.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Tree, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Tree::Map(pairs))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
