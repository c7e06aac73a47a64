"""Exceptions become trees of bounded size that tell what went wrong, and never fail themselves."""

from __future__ import annotations

from datetime import timedelta

from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from longshore.worker import ActionError, PermanentError
from longshore.worker.failures import Failure, failure_of
from longshore.worker.results import perform


def info(failure: Failure) -> ErrorInfo:
    found = ErrorInfo()
    assert failure.error.details[0].Unpack(found)
    return found


def causes(status: Status) -> list[Status]:
    found = [one for one in status.details if one.TypeName() == "google.rpc.Status"]
    return [Status.FromString(one.value) for one in found]


def raised(error: BaseException) -> Failure:
    def act() -> None:
        raise error

    outcome = perform("act", act, {})
    assert isinstance(outcome, Failure)
    return outcome


def test_an_unforeseen_error_is_internal_and_tried_again() -> None:
    failure = raised(ValueError("no such colour"))
    assert (failure.error.code, failure.error.message) == (13, "ValueError: no such colour")
    assert not failure.permanent
    assert info(failure).domain == "longshore.dev"
    assert failure.trace.startswith("Traceback")
    assert failure.trace.endswith("ValueError: no such colour\n")


def test_an_action_error_chooses_code_facts_and_words() -> None:
    failure = raised(
        ActionError("busy", code=StatusCode.UNAVAILABLE, metadata={"http_code": "503"})
    )
    assert (failure.error.code, failure.error.message) == (14, "busy")
    assert (failure.permanent, failure.trace) == (False, "")
    assert dict(info(failure).metadata) == {
        "action": "act",
        "type": "ActionError",
        "http_code": "503",
    }


def test_an_action_error_says_how_long_the_next_attempt_waits_at_least() -> None:
    failure = raised(ActionError("busy", retry_after=timedelta(seconds=90.5)))
    told = RetryInfo()
    assert [detail.Unpack(told) for detail in failure.error.details] == [False, True]
    assert told.retry_delay.ToTimedelta() == timedelta(seconds=90.5)


def test_errors_derived_from_a_permanent_one_are_permanent_and_named() -> None:
    class Gone(PermanentError):
        pass

    failure = raised(Gone("for good"))
    assert failure.permanent
    assert failure.error.message == "Gone: for good"


def test_an_error_without_words_is_named() -> None:
    assert raised(ValueError()).error.message == "ValueError"
    assert raised(PermanentError("")).error.message == "PermanentError"


def test_an_error_whose_words_cannot_be_had_is_named() -> None:
    class Shy(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert raised(Shy()).error.message == "Shy: (its text cannot be read)"


def test_a_tree_stays_within_its_bounds() -> None:
    error: Exception = ValueError("€" * 10_000)
    for _ in range(100):
        outer = RuntimeError("x" * 1_000)
        outer.__cause__ = ExceptionGroup("many", [error, *map(ValueError, range(10))])
        error = outer
    failure = raised(error)
    assert len(failure.status) <= 16 * 1024
    assert len(failure.trace.encode()) <= 16 * 1024
    assert causes(failure.error)


def test_text_that_is_no_unicode_is_told_all_the_same() -> None:
    failure = raised(PermanentError("a \udc80", metadata={"path \udc80": "b \udc80"}))
    assert failure.error.message == "a ?"
    assert info(failure).metadata["path ?"] == "b ?"


def test_causes_that_run_in_a_circle_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert len(failure_of(one, "act").status) <= 16 * 1024
