"""The worker of callbacks: what it takes is where to send, what it gives is the answer."""

from __future__ import annotations

import time
from typing import Final

import httpx
from grpc import StatusCode

from longshore.client import CallError, NotFound
from longshore.gateway.callbacks.addresses import Forbidden, Resolve, resolved
from longshore.gateway.callbacks.formats import Content, Ended, Unfit, content_of
from longshore.gateway.callbacks.sending import Answer, Sender, Unanswered
from longshore.gateway.callbacks.signing import key_of, marks
from longshore.gateway.dialects import Gateway
from longshore.v1.operation_service_pb2 import GetOperationRequest, GetOperationResponse
from longshore.worker import ActionError, Context, PermanentError, Worker

_QUEUE: Final = "longshore.callbacks"
_ACTION: Final = "longshore.callback"
_SLOTS: Final = 64  #: They mostly wait for others.

#: What means "not now", although it begins with a 4.
_PASSING: Final = frozenset({408, 425, 429})

#: Requests of these methods have no body.
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def callback_worker(gateway: Gateway, resolve: Resolve = resolved) -> Worker:
    """Return the worker that sends the callbacks of all tenants."""
    worker = Worker("gateway", queues=_QUEUE, slots=_SLOTS)
    post = _Post(gateway, resolve)

    @worker.action(_ACTION)
    async def call_back(
        operation_id: str,
        number: int,  # noqa: ARG001 - the contract's, as are the next two
        kind: str,  # noqa: ARG001
        state: str,  # noqa: ARG001
        url: str,
        method: str,
        format: str,  # noqa: A002
        context: Context,
    ) -> dict[str, str]:
        """Tell of the end of an operation."""
        content = await post.content(operation_id, url, format, context.tenant)
        return {"status": await post.send(method, content, context)}

    return worker


class _Post:
    """Reads, renders and sends; what goes wrong is said in the words of work that fails."""

    def __init__(self, gateway: Gateway, resolve: Resolve) -> None:
        self._gateway = gateway
        self._key = key_of(gateway.settings.callbacks.secret)
        self._sender = Sender(gateway.settings.callbacks, resolve)

    async def content(
        self,
        operation_id: str,
        url: str,
        format: str,  # noqa: A002
        tenant: str,
    ) -> Content:
        asking = self._gateway.way.itself(tenant=tenant)
        try:
            asked = GetOperationRequest(id=operation_id)
            operation = await asking.ask(asked, GetOperationResponse)
            return await content_of(format, Ended(operation, url, asking, self._gateway))
        except NotFound:
            gone = "the operation is not there any more"
            raise PermanentError(gone, code=StatusCode.NOT_FOUND) from None
        except Unfit as error:
            raise PermanentError(str(error), code=StatusCode.FAILED_PRECONDITION) from None
        except CallError as error:
            told = f"the operation cannot be read: {error}"
            raise ActionError(told, code=StatusCode.UNAVAILABLE) from None

    async def send(self, method: str, content: Content, context: Context) -> str:
        """Return the answer, if it is one of success."""
        body = b"" if method in _BODILESS else content.body
        headers = marks(self._key, context.operation_id, int(time.time()), body)
        if body:
            headers["content-type"] = content.type
        if context.traceparent:
            headers["traceparent"] = context.traceparent
        try:
            answer = await self._sender.send(method, _web(content.url), headers, body)
        except Forbidden as error:
            raise PermanentError(
                f"callbacks may not go there: {error}", code=StatusCode.PERMISSION_DENIED
            ) from None
        except Unanswered as error:
            raise ActionError(str(error), code=StatusCode.UNAVAILABLE) from None
        return _success(answer)


def _web(url: str) -> httpx.URL:
    """Return a URL whose host can be looked up, at least. Errors do not repeat it: passwords may
    stand in it.
    """
    try:
        found = httpx.URL(url)
        host = found.host
        found.raw_host.decode().encode("idna")  # as resolvers do
    except (httpx.InvalidURL, UnicodeError) as error:
        raise PermanentError(f"that is no URL: {error}") from None
    if found.scheme not in ("http", "https") or not host:
        raise PermanentError("that is no URL of http or https")
    return found


def _success(answer: Answer) -> str:
    """Return an answer of success. Raises `ActionError` for any other."""
    if 200 <= answer.status < 300:
        return str(answer)
    facts = {"http_code": str(answer.status)}
    if 400 <= answer.status < 500 and answer.status not in _PASSING:
        raise PermanentError(str(answer), code=StatusCode.FAILED_PRECONDITION, metadata=facts)
    raise ActionError(
        str(answer),
        code=StatusCode.UNAVAILABLE,
        metadata=facts,
        retry_after=answer.retry_after,
    )
