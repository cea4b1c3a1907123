//! What several tests need.

#![allow(dead_code, reason = "each test uses its own part of it")]

use std::time::{Duration, Instant};

use pyproc_proto::{
    Codec, FunctionInfo, Hello, HostConnection, HostEvent, Json, Limits, Metadata, Package,
    ParameterInfo, ProtocolError, Request, Welcome, WorkerConnection, WorkerEvent,
};

/// The bytes that a hex string stands for.
pub(crate) fn from_hex(hex: &str) -> Vec<u8> {
    assert_eq!(hex.len() % 2, 0);
    let digits = |place| u8::from_str_radix(&hex[place..place + 2], 16);
    let places = (0..hex.len()).step_by(2);
    places.map(|place| digits(place).expect("hex")).collect()
}

/// The bytes of a frame without flags, well formed or not.
pub(crate) fn frame(kind: u8, index: u16, call: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = (12 + body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[kind, 0]);
    bytes.extend_from_slice(&index.to_be_bytes());
    bytes.extend_from_slice(&call.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The name of an error's variant, in snake case.
pub(crate) fn snake_case(error: &ProtocolError) -> String {
    let debug = format!("{error:?}");
    let variant = debug.split([' ', '{']).next().unwrap_or_default();
    let mut name = String::new();
    for (place, letter) in variant.char_indices() {
        if letter.is_ascii_uppercase() && place > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

pub(crate) fn limits() -> Limits {
    Limits {
        max_frame: 4096,
        handshake_timeout: Duration::from_secs(5),
        progress_timeout: Duration::from_secs(2),
        overdue_after: Duration::from_secs(1),
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        protocol: pyproc_proto::PROTOCOL_VERSION,
        codec: Json.name().to_owned(),
        max_frame: 4096,
        max_in_flight: 1,
        deadline_clock: pyproc_proto::DeadlineClock::Monotonic,
        pool: "iris".to_owned(),
        slot: 2,
        generation: 1,
        log_level: 20,
        spin_us: 0,
        threads: 1,
        descriptors: vec!["lifeline".to_owned()],
        capabilities: Vec::new(),
    }
}

pub(crate) fn welcome() -> Welcome {
    let function = |name: &str| FunctionInfo {
        name: name.to_owned(),
        ..FunctionInfo::default()
    };
    let scale = ParameterInfo {
        name: "scale".to_owned(),
        ..ParameterInfo::default()
    };
    let values = ParameterInfo {
        name: "values".to_owned(),
        is_stream: true,
        ..ParameterInfo::default()
    };
    Welcome {
        protocol: pyproc_proto::PROTOCOL_VERSION,
        codec: Json.name().to_owned(),
        pid: 123,
        python: "3.11.7".to_owned(),
        package: Package::default(),
        functions: vec![
            function("classify"),
            function("health"),
            FunctionInfo {
                is_stream: true,
                ..function("generate")
            },
            FunctionInfo {
                parameters: vec![scale, values.clone()],
                ..function("total")
            },
            FunctionInfo {
                is_stream: true,
                parameters: vec![values],
                ..function("echo")
            },
            FunctionInfo {
                is_async: true,
                ..function("fetch")
            },
            FunctionInfo {
                batch: 8,
                ..function("score")
            },
        ],
    }
}

pub(crate) fn request<'a>(function: &'a str, body: &'a [u8]) -> Request<'a> {
    const NO_METADATA: &Metadata = &Metadata::new();
    Request {
        function,
        body: body.into(),
        deadline: None,
        metadata: NO_METADATA,
        credit: None,
        has_items: false,
    }
}

/// A host and a worker with a lane between them that carries bytes when it is told to.
pub(crate) struct Pair {
    pub(crate) host: HostConnection<u64>,
    pub(crate) worker: WorkerConnection,
    pub(crate) now: Instant,
}

impl Pair {
    /// A pair in the binary protocol, before any byte has moved.
    pub(crate) fn binary() -> Self {
        Self::greeting(&hello())
    }

    fn greeting(hello: &Hello) -> Self {
        let now = Instant::now();
        Self {
            host: HostConnection::binary(hello, limits(), now),
            worker: WorkerConnection::new(limits(), now),
            now,
        }
    }

    /// A pair in the binary protocol with the handshake done.
    pub(crate) fn ready() -> Self {
        Self::with_threads(1)
    }

    /// A pair with the handshake done, whose worker is to run its functions in so many threads.
    pub(crate) fn with_threads(threads: u32) -> Self {
        let mut pair = Self::greeting(&Hello { threads, ..hello() });
        pair.carry();
        let event = pair.worker.poll_event();
        assert!(matches!(event, Some(WorkerEvent::Hello(_))), "{event:?}");
        pair.worker.welcome(&welcome());
        pair.carry();
        let event = pair.host.poll_event();
        assert!(matches!(event, Some(HostEvent::Ready(_))), "{event:?}");
        pair
    }

    /// A pair in the JSON protocol.
    pub(crate) fn json() -> Self {
        let now = Instant::now();
        Self {
            host: HostConnection::json(limits(), now),
            worker: WorkerConnection::new(limits(), now),
            now,
        }
    }

    /// Carries everything that is pending, both ways.
    pub(crate) fn carry(&mut self) {
        self.carry_to_worker(usize::MAX).expect("a good host");
        self.carry_to_host(usize::MAX).expect("a good worker");
    }

    pub(crate) fn carry_to_worker(&mut self, at_most: usize) -> Result<(), ProtocolError> {
        let length = self.host.output().len().min(at_most);
        let bytes = self.host.output()[..length].to_vec();
        self.host.advance_output(length);
        self.worker.input_mut().extend_from_slice(&bytes);
        self.worker.handle_input(self.now)
    }

    pub(crate) fn carry_to_host(&mut self, at_most: usize) -> Result<(), ProtocolError> {
        let length = self.worker.output().len().min(at_most);
        let bytes = self.worker.output()[..length].to_vec();
        self.worker.advance_output(length);
        self.deliver(&bytes)
    }

    /// Gives the host bytes that the worker never wrote.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.host.input_mut().extend_from_slice(bytes);
        self.host.handle_input(self.now)
    }

    /// Lets time pass for both.
    pub(crate) fn advance(&mut self, time: Duration) -> Result<(), ProtocolError> {
        self.now += time;
        self.host.handle_timeout(self.now)?;
        self.worker.handle_timeout(self.now)
    }

    /// Makes a call and takes its request in at the worker.
    pub(crate) fn call(&mut self, token: u64) -> pyproc_proto::CallId {
        self.make(request("classify", b"{}"), token)
    }

    /// Asks for a stream and takes its request in at the worker.
    pub(crate) fn stream(&mut self, token: u64, credit: u32) -> pyproc_proto::CallId {
        let request = Request {
            credit: Some(credit),
            ..request("generate", b"{}")
        };
        self.make(request, token)
    }

    /// Calls with an argument whose items follow, and takes the request in at the worker.
    pub(crate) fn call_with_items(&mut self, token: u64) -> pyproc_proto::CallId {
        let request = Request {
            has_items: true,
            ..request("total", b"{}")
        };
        self.make(request, token)
    }

    fn make(&mut self, request: Request<'_>, token: u64) -> pyproc_proto::CallId {
        let now = self.now;
        let call = self.host.request(request, token, now).expect("accepted");
        self.carry();
        while let Some(event) = self.worker.poll_event() {
            if matches!(event, WorkerEvent::Request { .. }) {
                return call;
            }
        }
        panic!("the worker saw no request");
    }
}
