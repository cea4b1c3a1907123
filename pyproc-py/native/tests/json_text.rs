//! Looking for what has to be escaped, eight bytes at a time.

#[path = "../src/json/text.rs"]
mod text;

use text::plain_length;

#[test]
fn every_byte_is_judged_alike_at_every_place() {
    for byte in 0..=u8::MAX {
        let special = byte < 0x20 || byte == b'"' || byte == b'\\';
        for filler in [b'a', 0x20, 0x21, 0x23, 0x5B, 0x5D, 0x7F, 0x80, 0xFF] {
            for place in 0..20 {
                let mut bytes = [filler; 20];
                bytes[place] = byte;
                let expected = if special { place } else { 20 };
                assert_eq!(plain_length(&bytes), expected, "{byte:#x} at {place}");
            }
        }
    }
}

#[test]
fn nothing_is_plain_throughout() {
    assert_eq!(plain_length(b""), 0);
}
