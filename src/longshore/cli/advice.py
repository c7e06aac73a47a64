"""What to tell somebody whose call failed: what is wrong, where, and what to do next."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from grpc import StatusCode

from longshore.client import CallError, InvalidArgument, TlsFailed

#: What to do about a refusal, by its reason. Braces hold what the error tells by name.
_HINTS: Final = {
    "ACCOUNT_EXISTS": "`longshore accounts` shows those that you have",
    "ACCOUNT_NOT_FOUND": "`longshore accounts` shows those that you have, "
    "`longshore accounts register SERVICE USERNAME` makes one",
    "CONTRACT_NOT_FOUND": "`longshore contracts list` shows what there is",
    "FILE_DAMAGED": "whoever keeps the server's files knows more; `longshore resubmit` or "
    "`longshore upload` makes it anew",
    "FILE_NOT_FOUND": "`longshore files ID` shows those of an operation; uploaded ones are kept "
    "for 30 minutes, or as `longshore upload --expire-after` says",
    "FILTER_FIELD_CHANGES": "a watch takes names that never change; `longshore list` takes all",
    "INVALID_FILTER": "an example: --filter 'state = FAILED AND labels.team = \"north\"'",
    "LIMIT_EXCEEDED": "ask for less at once",
    "MAINTENANCE": "try again when the maintenance is over; `longshore mode active` ends it",
    "OPERATION_NOT_FOUND": "`longshore list tasks`, `jobs` or `launches` shows what there is",
    "QUEUE_NOT_FOUND": "`longshore queue list` shows what there is, and a submit with "
    "`--allow-unregistered` takes queues that no worker serves yet",
    "REQUEST_ID_REUSED": "`longshore get {operation_id}` shows what it was used for",
    "RATE_LIMITED": "whoever runs the server sets how often you may call",
    "RESULT_CONSUMED": "a result is handed out until it is acknowledged; "
    "`longshore resubmit {operation_id}` makes it anew",
    "REVISION_COMPACTED": "`longshore watch` without --after begins with how things stand",
    "REVISION_IN_FUTURE": "`longshore watch` without --after begins with how things stand",
    "ROLE_MISSING": "whoever runs the server can give you the role",
    "SCHEDULE_NOT_FOUND": "`longshore schedules list` shows what there is",
    "SERVICE_NOT_FOUND": "`longshore services` shows what there is, and a submit with "
    "`--allow-unregistered` takes what no worker has offered yet",
    "STORE_UNAVAILABLE": "the server's disk may be full; its log tells more",
    "STREAM_NOT_FOUND": "`longshore results` without a name follows your own stream",
    "STREAM_TAKEN": "only the latest listener gets results; `longshore results` takes them back",
    "TENANT_NOT_PERMITTED": "--tenant names another; without it, it is your first",
    "UNAUTHENTICATED": "LONGSHORE_TOKEN, --token-file or --cert and --key say who you are; "
    "whoever runs the server can give you a token",
    "WRONG_STATE": "`longshore history {operation_id}` shows what has happened to it, "
    "`longshore watch {operation_id}` what happens yet",
}

#: The same for what the transport says, without a reason.
_NEXT_STEPS: Final = {
    StatusCode.DEADLINE_EXCEEDED: "--timeout gives it more time",
    StatusCode.UNIMPLEMENTED: "this server does not serve it: `longshore status` tells its version",
}

_NO_ACTION: Final = (
    "`longshore services` shows what there is, and a submit with `--allow-unregistered` takes "
    "what no worker has offered yet"
)
_NO_ACTION_OF_CONTRACT: Final = "`longshore contracts show {contract}` shows what there is"


_OF_TLS: Final = (
    "--tls or --ca FILE speaks TLS and says whom to trust, --cert and --key show who you are, "
    "--server-name expects another's certificate"
)


def advice(error: CallError, server: str) -> str:
    """Say what went wrong with a call, and what to do."""
    if isinstance(error, TlsFailed):
        return f"{error}\n{_OF_TLS}"
    if error.code is StatusCode.UNAVAILABLE and not error.reason:
        return (
            f"no server answers at {server}: start one with `longshore serve`, "
            "or name another with --server"
        )
    lines = [str(error)]
    if isinstance(error, InvalidArgument) and error.violations:
        lines = [f"{fault.field}: {fault.description}" for fault in error.violations]
    # Which of several things was refused, where somebody has noted it.
    place = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    lines = [place + line for line in lines]
    if error.correlation_id:
        lines.append(f"the server's log tells more under {error.correlation_id}")
    if error.retry_after is not None:
        lines.append(f"try again in {error.retry_after:g} s")
    if error.code in _NEXT_STEPS:
        lines.append(_NEXT_STEPS[error.code])
    if hint := _hint(error):
        lines.append(hint.format_map(defaultdict(lambda: "…", error.metadata)))
    return "\n".join(lines)


def _hint(error: CallError) -> str:
    if error.reason == "ACTION_NOT_FOUND":
        return _NO_ACTION_OF_CONTRACT if error.metadata.get("contract") else _NO_ACTION
    return _HINTS.get(error.reason, "")
