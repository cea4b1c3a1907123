//! MessagePack bodies: none panics or costs more memory than its length explains, nothing may
//! follow the value; and every value comes back as it was, floats and bytes included.
//!
//! Input: a byte; where it is even, a body to decode; else a value to encode.

#![no_main]

use std::collections::HashMap;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use pyproc_proto::{Codec, MsgPack};
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
    let (decoded, peak) = peak_of(|| {
        let _ = MsgPack.decode::<Vec<u64>>(body);
        let _ = MsgPack.decode::<HashMap<String, Vec<String>>>(body);
        MsgPack.decode::<Tree>(body)
    });
    assert!(peak <= 512 * body.len() + 64 * 1024, "{peak} bytes");
    let tree = match decoded {
        Ok(tree) => tree,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(tree.depth() < 128);
    for follower in [0x00, 0x90, 0x92, 0xC1, 0xDD] {
        let mut followed = body.to_vec();
        followed.push(follower);
        assert!(MsgPack.decode::<Tree>(&followed).is_err());
    }
    encode(&tree);
}

fn encode(tree: &Tree) {
    let mut body = b"before".to_vec();
    let result = MsgPack.encode(tree, &mut body);
    let too_wide = tree.any(&|part| {
        matches!(part, Tree::Wide(value) if u64::try_from(*value).is_err() && i64::try_from(*value).is_err())
    });
    if let Err(error) = result {
        assert!(too_wide || tree.depth() >= 128, "{error}");
        assert_eq!(body, b"before");
        assert!(error.path().is_some_and(|path| path.starts_with('$')));
        return;
    }
    assert!(!too_wide && tree.depth() < 128);
    let again: Tree = MsgPack
        .decode(&body[6..])
        .expect("what was encoded decodes");
    assert_eq!(&again, tree);
}
