use serde::ser::{Serialize, SerializeMap, Serializer};

/// Arguments by name, encoded as a map: a tuple of (name, value) pairs, up to sixteen of them.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<T>(pub T);

impl Serialize for Arguments<()> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

macro_rules! serialize_arguments {
    ($count:literal: $($value:ident)+) => {
        impl<$($value: Serialize),+> Serialize for Arguments<($((&'static str, $value),)+)> {
            fn serialize<Ser: Serializer>(&self, serializer: Ser) -> Result<Ser::Ok, Ser::Error> {
                #[expect(non_snake_case, reason = "a value is named like its type parameter")]
                let ($($value,)+) = &self.0;
                let mut map = serializer.serialize_map(Some($count))?;
                $(map.serialize_entry($value.0, &$value.1)?;)+
                map.end()
            }
        }
    };
}

serialize_arguments!(1: A);
serialize_arguments!(2: A B);
serialize_arguments!(3: A B C);
serialize_arguments!(4: A B C D);
serialize_arguments!(5: A B C D E);
serialize_arguments!(6: A B C D E F);
serialize_arguments!(7: A B C D E F G);
serialize_arguments!(8: A B C D E F G H);
serialize_arguments!(9: A B C D E F G H I);
serialize_arguments!(10: A B C D E F G H I J);
serialize_arguments!(11: A B C D E F G H I J K);
serialize_arguments!(12: A B C D E F G H I J K L);
serialize_arguments!(13: A B C D E F G H I J K L M);
serialize_arguments!(14: A B C D E F G H I J K L M N);
serialize_arguments!(15: A B C D E F G H I J K L M N O);
serialize_arguments!(16: A B C D E F G H I J K L M N O P);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_a_map_by_name() {
        let arguments = Arguments((("flower", "iris"), ("k", 3)));
        assert_eq!(
            serde_json::to_string(&arguments).unwrap(),
            r#"{"flower":"iris","k":3}"#
        );
    }

    #[test]
    fn no_arguments_are_an_empty_map() {
        assert_eq!(serde_json::to_string(&Arguments(())).unwrap(), "{}");
    }
}
