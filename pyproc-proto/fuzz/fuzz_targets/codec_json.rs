//! JSON bodies: none panics or costs more memory than its length explains, no integer loses a
//! digit, nothing may follow the value; and every value comes back as it was, or is refused
//! because JSON cannot express it.
//!
//! Input: a byte; where it is even, a body to decode; else a value to encode.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use pyproc_proto::{Codec, Json};
use pyproc_proto_fuzz::{Script, Tree, peak_of};

fuzz_target!(|input: &[u8]| {
    let mut script = Script::new(input);
    if script.byte() % 2 == 0 {
        decode(script.rest());
    } else if let Ok(tree) = Tree::arbitrary(&mut Unstructured::new(script.rest())) {
        encode(&tree);
    }
});

fn decode(body: &[u8]) {
    let (decoded, peak) = peak_of(|| Json.decode::<Tree>(body));
    assert!(peak <= 512 * body.len() + 64 * 1024, "{peak} bytes");
    let tree = match decoded {
        Ok(tree) => tree,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(tree.depth() < 128);
    for number in integers(body) {
        let fits = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
        assert!(fits, "{number} was decoded");
    }
    let mut followed = body.to_vec();
    followed.extend_from_slice(b" 0");
    assert!(Json.decode::<Tree>(&followed).is_err());
    encode(&tree);
}

fn encode(tree: &Tree) {
    let mut body = b"before".to_vec();
    let result = Json.encode(tree, &mut body);
    let not_finite = tree.any(&|part| matches!(part, Tree::Float(float) if !float.is_finite()));
    let too_wide = tree.any(&|part| {
        matches!(part, Tree::Wide(value) if u64::try_from(*value).is_err() && i64::try_from(*value).is_err())
    });
    // Bytes become a list of numbers, which is one level more, and no longer bytes.
    let bytes = tree.any(&|part| matches!(part, Tree::Bytes(_)));
    if let Err(error) = result {
        assert!(not_finite || too_wide || tree.depth() >= 127, "{error}");
        assert_eq!(body, b"before");
        assert!(error.path().is_some_and(|path| path.starts_with('$')));
        return;
    }
    assert!(!not_finite && !too_wide && tree.depth() < 128);
    if !bytes {
        let again: Tree = Json.decode(&body[6..]).expect("what was encoded decodes");
        assert_eq!(&again, tree);
    }
}

/// The integers outside of strings in a text that is known to be JSON.
fn integers(body: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(body).expect("JSON is text");
    let mut outside = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    let mut start = 0;
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'\\' if quoted && !escaped => {
                escaped = true;
                continue;
            }
            b'"' if !escaped => {
                if !quoted {
                    outside.push(&text[start..place]);
                }
                quoted = !quoted;
                start = place + 1;
            }
            _ => {}
        }
        escaped = false;
    }
    outside.push(&text[start..]);
    outside
        .into_iter()
        .flat_map(|part| part.split(|letter: char| "[]{}:, \t\r\n".contains(letter)))
        .filter(|word| word.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit()))
        .filter(|word| !word.contains(['.', 'e', 'E']))
        .collect()
}
