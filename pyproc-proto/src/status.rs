//! Why a call, or the handshake, did not end with a value.

use std::fmt;

use crate::ProtocolError;

/// Why the worker answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Status {
    /// The Python function raised.
    Exception = 1,
    /// The worker has no function of this name or index.
    FunctionNotFound = 2,
    /// The arguments do not fit the function's parameters; it did not run.
    InvalidArgument = 3,
    /// The function ran, and its result cannot be encoded.
    InvalidResult = 4,
    /// The codec cannot decode the body, or the JSON message is malformed; nothing ran.
    InvalidBody = 5,
    /// The deadline had passed when the call's turn came; it did not run.
    Deadline = 6,
    /// The call was cancelled before its turn came; it did not run.
    Cancelled = 7,
    /// The worker is draining and refused the call; it did not run.
    Draining = 8,
    /// The function ran, and its reply is over the frame limit.
    TooLarge = 9,
    /// The function ran and was interrupted, because the host asked for it on the
    /// [state page](crate::state_page).
    Interrupted = 10,
    /// Handshake: the script could not be loaded, or a start hook raised.
    StartFailed = 16,
    /// Handshake: the worker has no codec of the name that the host asked for.
    UnsupportedCodec = 17,
    /// Handshake: the worker speaks no protocol version that the host speaks.
    UnsupportedVersion = 18,
    /// Handshake: the `Hello` cannot be understood.
    InvalidHello = 19,
}

impl Status {
    /// Every status, in the order of their numbers, with its name in the JSON protocol.
    const NAMES: [(Self, &'static str); 14] = [
        (Self::Exception, "exception"),
        (Self::FunctionNotFound, "function_not_found"),
        (Self::InvalidArgument, "invalid_argument"),
        (Self::InvalidResult, "invalid_result"),
        (Self::InvalidBody, "invalid_body"),
        (Self::Deadline, "deadline"),
        (Self::Cancelled, "cancelled"),
        (Self::Draining, "draining"),
        (Self::TooLarge, "too_large"),
        (Self::Interrupted, "interrupted"),
        (Self::StartFailed, "start_failed"),
        (Self::UnsupportedCodec, "unsupported_codec"),
        (Self::UnsupportedVersion, "unsupported_version"),
        (Self::InvalidHello, "invalid_hello"),
    ];

    /// The status with this number, if there is one.
    pub fn from_wire(number: u16) -> Option<Self> {
        let mut all = Self::NAMES.iter().map(|(status, _)| *status);
        all.find(|status| *status as u16 == number)
    }

    /// The status's name, as the JSON protocol writes it.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(status, _)| *status == self);
        named.map_or("exception", |(_, name)| name)
    }

    /// What an error reply of the JSON protocol means by its `error_type`: the name of a status,
    /// or else the type of a Python exception.
    pub(crate) fn from_error_type(error_type: &str) -> Self {
        if error_type == "invalid_request" {
            return Self::InvalidBody;
        }
        let named = Self::NAMES.iter().find(|(_, name)| *name == error_type);
        match named {
            Some((status, _)) if !status.refuses_handshake() => *status,
            _ => Self::Exception,
        }
    }

    /// Whether the status answers a `Hello` rather than a call.
    pub fn refuses_handshake(self) -> bool {
        self as u16 >= Self::StartFailed as u16
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The status that an `Error` frame carries, if it fits what the frame answers.
pub(crate) fn check_status(number: u16, call: u64) -> Result<Status, ProtocolError> {
    let status =
        Status::from_wire(number).ok_or(ProtocolError::UnknownStatus { status: number })?;
    if status.refuses_handshake() == (call == 0) {
        Ok(status)
    } else {
        Err(ProtocolError::StatusOutOfPlace { status, call })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_number_and_one_name() {
        for (status, name) in Status::NAMES {
            assert_eq!(Status::from_wire(status as u16), Some(status));
            assert_eq!(status.name(), name);
        }
        assert_eq!(Status::from_wire(0), None);
        assert_eq!(Status::from_wire(11), None);
    }

    #[test]
    fn an_exception_cannot_pose_as_a_refused_handshake() {
        assert_eq!(Status::from_error_type("start_failed"), Status::Exception);
        assert_eq!(Status::from_error_type("ValueError"), Status::Exception);
        assert_eq!(Status::from_error_type("draining"), Status::Draining);
        assert_eq!(
            Status::from_error_type("invalid_request"),
            Status::InvalidBody
        );
    }

    #[test]
    fn a_call_cannot_end_with_a_handshake_status_nor_the_other_way_round() {
        assert_eq!(check_status(1, 7), Ok(Status::Exception));
        assert_eq!(check_status(16, 0), Ok(Status::StartFailed));
        assert!(check_status(16, 7).is_err());
        assert!(check_status(1, 0).is_err());
        assert_eq!(
            check_status(99, 7),
            Err(ProtocolError::UnknownStatus { status: 99 })
        );
    }
}
