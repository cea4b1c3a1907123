//! Where in a value something is wrong. It is worked out only after a failure, by doing the same
//! again while keeping track, so that success pays nothing for it.

use std::fmt::{Display, Write};

use serde_path_to_error::Segment;

use super::CodecError;

/// The codec's error for one that came with a path.
pub(super) fn locate<E: Display>(error: &serde_path_to_error::Error<E>) -> CodecError {
    CodecError::new(error.inner().to_string()).at(render(error.path()))
}

/// A longer path is shown by its two ends, as the worker does it.
const MAX_SEGMENTS: usize = 24;

/// A longer key is cut: keys may come from the other side, and paths end up in logs.
const MAX_KEY_CHARS: usize = 64;

/// Writes a path the way the worker writes it: `$.flowers[3].petal_length`.
fn render(path: &serde_path_to_error::Path) -> String {
    let mut rendered = String::from("$");
    let length = path.iter().count();
    let left_out = match length.checked_sub(MAX_SEGMENTS) {
        None | Some(0) => 0..0,
        Some(_) => MAX_SEGMENTS / 2..length - MAX_SEGMENTS / 2,
    };
    for (position, segment) in path.iter().enumerate() {
        if left_out.contains(&position) {
            if position == left_out.start {
                rendered.push('…');
            }
            continue;
        }
        // Writing to a string cannot fail.
        let _ = match segment {
            Segment::Seq { index } => write!(rendered, "[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } => render_key(&mut rendered, key),
            // The place is there, and has no name that serde would tell.
            Segment::Unknown => rendered.write_str(".?"),
        };
    }
    rendered
}

/// Writes `.name`, or `['odd name']`.
fn render_key(rendered: &mut String, key: &str) -> std::fmt::Result {
    if let Some((end, _)) = key.char_indices().nth(MAX_KEY_CHARS) {
        return write!(rendered, "['{}'…]", key[..end].escape_debug());
    }
    let is_name = |key: &str| {
        let is_part = |character: char| character == '_' || character.is_alphanumeric();
        key.chars().all(is_part) && !key.starts_with(|first: char| first.is_numeric())
    };
    if is_name(key) && !key.is_empty() {
        write!(rendered, ".{key}")
    } else {
        write!(rendered, "['{}']", key.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn path_of_failure<T: DeserializeOwned>(body: &Value) -> String {
        match serde_path_to_error::deserialize::<_, T>(body) {
            Ok(_) => panic!("{body} has no failure"),
            Err(error) => render(error.path()),
        }
    }

    #[test]
    fn odd_keys_are_quoted_and_long_ones_are_cut() {
        let path = |key: &str| path_of_failure::<BTreeMap<String, u8>>(&json!({ key: "x" }));
        assert_eq!(path("petal_length"), "$.petal_length");
        assert_eq!(path("länge_2"), "$.länge_2");
        for (key, shown) in [
            ("odd name", "$['odd name']"),
            ("2nd", "$['2nd']"),
            ("", "$['']"),
            ("a'\n", "$['a\\'\\n']"),
        ] {
            assert_eq!(path(key), shown);
        }
        let cut = format!("$['{}'…]", "k".repeat(64));
        assert_eq!(path(&"k".repeat(1000)), cut);
    }

    #[test]
    fn a_long_path_is_shown_by_its_two_ends() {
        #[derive(Deserialize)]
        struct Lists(#[expect(dead_code, reason = "only its path counts")] Vec<Lists>);

        let path = |depth| {
            let body = (0..depth).fold(json!("not a list"), |inner, _| json!([inner]));
            path_of_failure::<Lists>(&body)
        };
        assert_eq!(path(24), format!("${}", "[0]".repeat(24)));
        let ends = "[0]".repeat(12);
        assert_eq!(path(25), format!("${ends}…{ends}"));
        assert_eq!(path(100), format!("${ends}…{ends}"));
    }
}
