"""The JSON protocol, from the worker's side: for people, and for other programs."""

from __future__ import annotations

import json

from ._codec import Codec, codec
from ._connection import Connection, refusal
from ._errors import InvalidBody
from ._failure import encode_cut
from ._protocol import MAX_CALL, STATUS_NAMES, Status
from ._request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._failure import Failure

INVALID_REQUEST = "invalid_request"
"""Names a request that is not understood; the binary protocol has no such thing."""


class JsonConnection(Connection):
    """A connection with a host that speaks the JSON protocol."""

    def __init__(self) -> None:
        super().__init__(min_frame=0)
        self._json = codec("json")
        # A body is decoded with the message around it.
        self.codec = Codec("json", self._json.encode, lambda body: body, binary=False)

    def _take(self, payload: bytes | memoryview) -> None:
        payload = bytes(payload)
        try:
            message: Any = self._json.decode(payload)
        except InvalidBody as error:
            self._reject(payload, str(error))
            return
        call = call_id(message)
        if call is None:
            self._write_error(0, INVALID_REQUEST, _NO_ID)
        elif not isinstance(message.get("method"), str):
            self._write_error(call, INVALID_REQUEST, "a request needs a `method`, a text")
        else:
            self._accept(Request(self, call, message["method"], message.get("body", {})))

    def reply(self, call: int, body: bytes) -> None:
        message = b'{"id":%d,"ok":true,"body":%b}' % (call, body)
        if len(message) > self.max_frame:
            text = f"the reply has {len(message)} bytes, more than the limit of {self.max_frame}"
            self.fail(call, Status.TOO_LARGE, refusal(text))
            return
        self._write_message(message)

    def fail(self, call: int, status: int, failure: Failure) -> None:
        name = failure.type if status == Status.EXCEPTION else STATUS_NAMES[status]
        self._write_error(call, name, failure.message, failure.traceback)

    def _reject(self, payload: bytes, reason: str) -> None:
        """Answer a message that is not accepted, under its id where it has one for certain."""
        try:
            # Not `dict`, which would take the second of two ids for the one.
            entries = json.loads(payload, object_pairs_hook=list, parse_constant=_no_json)
            call = call_id(_unique(entries, "id"))
        except (ValueError, TypeError, RecursionError):
            call = None
        if call is None:
            self._write_error(0, INVALID_REQUEST, reason)
        elif reason.startswith(("$.body:", "$.body.", "$.body[")):
            self._write_error(call, STATUS_NAMES[Status.INVALID_BODY], "$" + reason[6:])
        else:
            self._write_error(call, INVALID_REQUEST, reason)

    def _write_error(
        self, call: int, error_type: str, message: str, traceback: str | None = None
    ) -> None:
        entries = {"id": call, "ok": False, "error": message, "error_type": error_type}
        if traceback is not None:
            entries["traceback"] = traceback
        self._write_message(encode_cut(entries, self.max_frame))

    def _write_message(self, message: bytes) -> None:
        self._write(len(message).to_bytes(4, "big") + message)


def call_id(message: Any) -> int | None:
    """Return the id of a message, if it has one."""
    found = message["id"] if isinstance(message, dict) and "id" in message else None
    return found if type(found) is int and 0 <= found <= MAX_CALL else None


def _unique(entries: Any, name: str) -> dict[str, Any]:
    """Return the entry `name` of an object, given as its pairs, if there is just one."""
    found = [value for key, value in entries if key == name]
    return {name: found[0]} if len(found) == 1 else {}


_NO_ID = f"a request needs an `id`, an integer from 0 to {MAX_CALL}"


def _no_json(text: str) -> None:
    raise ValueError(text)
