//! Any bytes, cut in any way, decode to the same frames and end in the same error; what decodes
//! encodes and decodes again; and nothing is allocated for lengths that are only claimed.
//!
//! Input: the sizes of the pieces (a length, then a byte for each), then the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pyproc_proto::{Decoder, Frame, ProtocolError};
use pyproc_proto_fuzz::{MAX_FRAME, Script, peak_of};

/// What came out of a stream, and how far it got.
#[derive(Debug, PartialEq)]
struct Decoded<T> {
    items: Vec<T>,
    error: Option<ProtocolError>,
    left: usize,
}

fn decode<'a, T>(
    pieces: impl Iterator<Item = &'a [u8]>,
    next: impl Fn(&mut Decoder) -> Result<Option<T>, ProtocolError>,
) -> Decoded<T> {
    let mut decoder = Decoder::new(MAX_FRAME);
    let mut items = Vec::new();
    for piece in pieces {
        decoder.extend(piece);
        loop {
            match next(&mut decoder) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => {
                    let (error, left) = (Some(error), 0);
                    return Decoded { items, error, left };
                }
            }
        }
    }
    let (error, left) = (None, decoder.buffered_len());
    Decoded { items, error, left }
}

/// Cuts the stream into pieces of the given sizes, over and over.
fn cut<'a>(stream: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut rest = stream;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let size = sizes
            .next()
            .map_or(rest.len(), |size| usize::from(*size).max(1));
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fuzz_target!(|input: &[u8]| {
    let mut script = Script::new(input);
    let sizes = script.bytes();
    let stream = script.rest();

    let (whole, peak) = peak_of(|| decode(std::iter::once(stream), Decoder::next_frame));
    // The longest claim gets room for itself at most once; everything else was really there.
    assert!(peak <= 64 * stream.len() + 4 * MAX_FRAME, "{peak} bytes");
    assert_eq!(
        whole,
        decode(cut(stream, sizes).into_iter(), Decoder::next_frame)
    );
    assert_eq!(whole, decode(stream.chunks(1), Decoder::next_frame));

    let mut consumed = 0;
    for frame in &whole.items {
        assert!(frame.header.length as usize <= MAX_FRAME);
        consumed += 4 + frame.header.length as usize;
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        let again = Frame::parse(encoded.into(), MAX_FRAME).expect("what was encoded decodes");
        assert_eq!((&again.body, again.deadline), (&frame.body, frame.deadline));
        assert_eq!(
            (again.header.kind, again.header.call),
            (frame.header.kind, frame.header.call)
        );
        assert_eq!(again.header.index, frame.header.index);
        assert_eq!(again.metadata, frame.metadata);
    }
    if whole.error.is_none() {
        assert_eq!(consumed + whole.left, stream.len());
    }

    let payloads = decode(std::iter::once(stream), Decoder::next_payload);
    assert_eq!(
        payloads,
        decode(cut(stream, sizes).into_iter(), Decoder::next_payload)
    );
    assert!(
        payloads
            .items
            .iter()
            .all(|payload| payload.len() <= MAX_FRAME)
    );
});
