//! The JSON protocol by hand: a length, and a text.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

pub fn send(stream: &mut UnixStream, message: &Value) {
    send_text(stream, &message.to_string());
}

pub fn send_text(stream: &mut UnixStream, text: &str) {
    stream
        .write_all(&u32::try_from(text.len()).unwrap().to_be_bytes())
        .unwrap();
    stream.write_all(text.as_bytes()).unwrap();
}

pub fn receive(stream: &mut UnixStream) -> Value {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut text = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}
