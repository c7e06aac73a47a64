"""The application: a request is asked of a server as the call that it stands for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from longshore.client import CallError, Relayed
from longshore.gateway.canonical.bindings import Binding, Routes
from longshore.gateway.canonical.departures import Departure
from longshore.gateway.canonical.faults import JSON, of_call, of_fault, status, told
from longshore.gateway.canonical.framings import framing_of
from longshore.gateway.canonical.printing import printed
from longshore.gateway.canonical.reading import message_of
from longshore.gateway.canonical.streams import send_stream
from longshore.gateway.dialects import Gateway
from longshore.gateway.faults import Fault

log = structlog.get_logger()

_HEAD: Final = "HEAD"


class Canonical:
    """Serves every binding, and answers whatever else is asked as `google.rpc.Status`."""

    def __init__(self, gateway: Gateway, bindings: Iterable[Binding]) -> None:
        self._gateway = gateway
        self._routes = Routes(bindings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; one whose client has gone away is not answered."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request, send)
        except CallError as error:
            response = of_call(error)
        except Fault as fault:
            response = of_fault(fault)
        except ClientDisconnect:
            return  # In the midst of its body.
        except Exception:
            log.exception("request failed", request_id=request.state.request_id)
            response = told(status(Code.INTERNAL, "internal error"))
        if response is not None:
            await response(scope, receive, send)

    async def _answer(self, request: Request, send: Send) -> Response | None:
        """Return the answer; None if it is sent already, or not wanted any more."""
        path = request.scope["raw_path"].decode("ascii", "replace")
        by_verb = self._routes.find(path)
        if by_verb is None:
            return told(status(Code.NOT_FOUND, f"there is nothing at {request.url.path}"))
        verb = request.method
        binding = by_verb.get(verb) or (by_verb.get("GET") if verb == _HEAD else None)
        if binding is None:
            return _other(verb, by_verb)
        limits = self._gateway.settings.limits
        message = await message_of(request, binding, binding.template.bind(path), limits)
        relayed = self._gateway.way.of(request, request.headers.get("authorization"))
        with Departure(request.receive):
            if binding.streams:
                await _stream(request, binding, message, relayed, send)
                return None
            answer = await relayed.ask(message, Message)
            return Response(printed(answer), media_type=JSON)
        return None


async def _stream(
    request: Request, binding: Binding, message: Message, relayed: Relayed, send: Send
) -> None:
    framing = framing_of(binding, request.headers.get("accept", ""))
    stream = await relayed.open(message)
    await send_stream(stream, framing, request.scope, send)


def _other(verb: str, by_verb: Iterable[str]) -> Response:
    """Return the answer to a verb that a path does not have."""
    verbs = {*by_verb, "OPTIONS"}
    if "GET" in verbs:
        verbs.add(_HEAD)
    allow = {"allow": ", ".join(sorted(verbs))}
    if verb == "OPTIONS":
        return Response(status_code=204, headers=allow)
    return told(status(Code.UNIMPLEMENTED, f"there is no {verb} here"), 405, allow)
