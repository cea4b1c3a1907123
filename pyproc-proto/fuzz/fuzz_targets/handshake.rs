//! Any body of a first frame is either understood, and then comes back the same when it is written
//! again, or refused in words that the other side understands; never half of each.
//!
//! Input: a byte for the side that receives it, then the body.

#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use pyproc_proto::{
    Body, HostConnection, HostEvent, Kind, Metadata, Request, Status, WorkerConnection, WorkerEvent,
};
use pyproc_proto_fuzz::{Script, frame, hello, limits, peak_of, welcome};

fuzz_target!(|input: &[u8]| {
    let mut script = Script::new(input);
    let to_host = script.byte() % 2 == 0;
    let body = script.rest();
    let (_, peak) = peak_of(|| match to_host {
        true => welcome_the_host(body),
        false => greet_the_worker(body),
    });
    assert!(peak <= 256 * body.len() + 64 * 1024, "{peak} bytes");
});

fn greet_the_worker(body: &[u8]) {
    let now = Instant::now();
    let mut host = HostConnection::<()>::binary(&hello(), limits(), now);
    let mut worker = WorkerConnection::new(limits(), now);
    let first = frame(Kind::Hello as u8, 0, 0, 0, body);
    worker.input_mut().extend_from_slice(&first);
    if let Err(error) = worker.handle_input(now) {
        assert_eq!(worker.poll_event(), None);
        assert_eq!(worker.handle_input(now), Err(error));
        if first.len() > 4 + limits().max_frame {
            return;
        }
        host.input_mut().extend_from_slice(worker.output());
        host.handle_input(now).expect("a refusal is well formed");
        let Some(HostEvent::Refused(error)) = host.poll_event() else {
            panic!("a refused host hears why");
        };
        let expected = [Status::InvalidHello, Status::UnsupportedVersion];
        assert!(expected.contains(&error.status));
        return;
    }
    let Some(WorkerEvent::Hello(hello)) = worker.poll_event() else {
        panic!("a Hello that is not refused is told");
    };
    let written = serde_json::to_vec(&hello).expect("plain data");
    assert_eq!(
        serde_json::from_slice::<pyproc_proto::Hello>(&written).ok(),
        Some(*hello)
    );
    worker.welcome(&welcome());
    assert!(!worker.output().is_empty());
}

fn welcome_the_host(body: &[u8]) {
    let now = Instant::now();
    let mut host = HostConnection::<u8>::binary(&hello(), limits(), now);
    host.input_mut()
        .extend_from_slice(&frame(Kind::Welcome as u8, 0, 0, 0, body));
    if let Err(error) = host.handle_input(now) {
        assert!(!host.is_ready() && host.welcome().is_none());
        assert_eq!(host.poll_event(), None);
        assert_eq!(host.handle_input(now), Err(error));
        return;
    }
    let Some(HostEvent::Ready(welcome)) = host.poll_event() else {
        panic!("a Welcome that is not refused makes ready");
    };
    assert!(host.is_ready());
    assert_eq!((welcome.protocol, welcome.codec.as_str()), (1, "json"));
    let written = serde_json::to_vec(&welcome).expect("plain data");
    let again = serde_json::from_slice::<pyproc_proto::Welcome>(&written);
    assert_eq!(again.as_ref().ok(), Some(&*welcome));
    for (place, function) in welcome.functions.iter().enumerate() {
        let index = host.function(&function.name).expect("it is in the table");
        assert_eq!(usize::from(index.0), place);
        let mut parameters = function.parameters.iter();
        let takes_items = parameters.any(|parameter| parameter.is_stream);
        let request = Request {
            function: &function.name,
            body: Body::Borrowed(b"{}"),
            deadline: None,
            metadata: &Metadata::new(),
            credit: function.is_stream.then_some(1000),
            has_items: takes_items,
        };
        host.request(request, 7, now).expect("it can be called");
    }
}
