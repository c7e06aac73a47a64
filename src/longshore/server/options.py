"""Options: how an operation is to be run, checked and made what decisions read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from longshore.core import limits, policies
from longshore.core.errors import Violation
from longshore.core.installation import DEFAULT_QUEUE
from longshore.core.policies import Policy
from longshore.server.checks import (
    Flaws,
    at_most,
    is_web_url,
    not_reserved,
    printable,
    slug,
    span_of,
    time_of,
)
from longshore.server.directory import Offers
from longshore.v1.operation_pb2 import (
    Callback,
    CallbackFormat,
    DeliveryMode,
    Options,
    RetryPolicy,
)

_OF_POLICY: Final = frozenset(
    {
        "retry",
        "run_timeout",
        "expire_after",
        "start_time",
        "concurrency_limit",
        "delivery",
        "callback",
    }
)
_KEYED: Final = frozenset({"concurrency_key", "concurrency_limit", "fairness_key"})
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD")  #: Of callbacks.
_MULTIPLIER_HIGHEST: Final = 1_000.0  #: More would overflow after enough attempts.


class Wanted(NamedTuple):
    """What the options of a submit ask for. Times are milliseconds since 1970."""

    queue: str = DEFAULT_QUEUE
    priority: int = 0
    suspended: bool = False
    allow_unregistered: bool = False
    policy: str | None = None
    not_before: int | None = None
    labels: Mapping[str, str] | None = None
    concurrency_key: str | None = None
    fairness_key: str | None = None


DEFAULTS: Final = Wanted()


def read_options(
    options: Options, offers: Offers, flaws: Flaws, queue: str = DEFAULT_QUEUE
) -> Wanted:
    """Return what is asked for, in that queue if no other; adds every violation.

    Raises `LimitExceeded`.
    """
    given = {field.name for field, _ in options.ListFields()}
    if not given.isdisjoint(_KEYED):
        _check_keys(options, flaws)
    queue = options.queue or queue
    if queue not in offers.queues:
        slug(queue, "options.queue", flaws)
    not_reserved(queue, "options.queue", flaws)
    priority = options.priority
    if not 0 <= priority <= limits.PRIORITY_HIGHEST:
        allowed = f"from 0 to {limits.PRIORITY_HIGHEST}"
        flaws.append(Violation("options.priority", allowed))
    policy = None if given.isdisjoint(_OF_POLICY) else _policy(options, flaws)
    return Wanted(
        queue,
        priority,
        options.suspended,
        options.allow_unregistered,
        policy and _encoded(policy),
        policy and policy.not_before,
        _labels(options.labels, flaws) if "labels" in given else None,
        options.concurrency_key or None,
        options.fairness_key or None,
    )


def no_delivery(options: Options, flaws: Flaws) -> None:
    """Jobs and launches keep their results: deliveries are for tasks."""
    if options.delivery > DeliveryMode.DELIVERY_MODE_NONE:
        flaws.append(Violation("options.delivery", "for tasks only", "NOT_PERMITTED"))


def _check_keys(options: Options, flaws: Flaws) -> None:
    for field in ("concurrency_key", "fairness_key"):
        key: str = getattr(options, field)
        at_most(f"options.{field}", limits.NAME_CHARACTERS, len(key))
        printable(key, f"options.{field}", flaws)
    field, limit = "options.concurrency_limit", options.concurrency_limit
    if limit and not options.concurrency_key:
        flaws.append(Violation(field, "goes with a concurrency_key only"))
    elif limit < 0:
        flaws.append(Violation(field, "at least 1"))
    elif options.concurrency_key and not limit:
        flaws.append(Violation(field, "a concurrency_key needs one, at least 1", "MISSING"))


@lru_cache(maxsize=1_024)
def _encoded(policy: Policy) -> str | None:
    return policy.encode()


def _policy(options: Options, flaws: Flaws) -> Policy:
    has = options.HasField
    policy = _retry(options.retry, flaws) if has("retry") else policies.DEFAULT
    timeout, expire_after, start_time = None, policy.expire_after, None
    if has("run_timeout"):
        timeout = span_of(options.run_timeout, "options.run_timeout", flaws, least=1)
    if has("expire_after"):
        field, least = "options.expire_after", limits.EXPIRE_AFTER_LEAST_MS
        expire_after = span_of(options.expire_after, field, flaws, least=least)
    if has("start_time"):
        start_time = time_of(options.start_time, "options.start_time", flaws)
    if has("callback"):
        _check_callback(options.callback, flaws)
    return Policy(
        *policy[:4],
        timeout,
        expire_after,
        start_time,
        max(0, options.concurrency_limit),
        _delivery(options, flaws),
        has("callback"),
    )


def _retry(retry: RetryPolicy, flaws: Flaws) -> Policy:
    path, has = "options.retry", retry.HasField
    attempts, initial, multiplier, longest = policies.DEFAULT[:4]
    if has("max_attempts"):
        attempts = retry.max_attempts
        if not 1 <= attempts <= limits.MAX_ATTEMPTS:
            allowed = f"from 1 to {limits.MAX_ATTEMPTS}"
            flaws.append(Violation(f"{path}.max_attempts", allowed))
    if has("backoff_multiplier"):
        multiplier = retry.backoff_multiplier
        if not (math.isfinite(multiplier) and 1 <= multiplier <= _MULTIPLIER_HIGHEST):
            allowed = f"from 1 to {_MULTIPLIER_HIGHEST:g}"
            flaws.append(Violation(f"{path}.backoff_multiplier", allowed))
    if has("initial_backoff"):
        initial = span_of(retry.initial_backoff, f"{path}.initial_backoff", flaws)
    if has("max_backoff"):
        longest = span_of(retry.max_backoff, f"{path}.max_backoff", flaws)
    return Policy(attempts, initial, multiplier, longest)


def _labels(labels: Mapping[str, str], flaws: Flaws) -> dict[str, str]:
    at_most("options.labels", limits.LABELS, len(labels))
    for key, value in labels.items():
        field = f"options.labels[{key}]"
        at_most(field, limits.LABEL_CHARACTERS, max(len(key), len(value)))
        if not key:
            flaws.append(Violation(field, "a key is needed", "MISSING"))
        if not (key.isprintable() and value.isprintable()):
            flaws.append(Violation(field, "only printable characters are allowed"))
    return dict(labels)


def _delivery(options: Options, flaws: Flaws) -> int:
    """Return how the result is to be delivered; 0: not at all."""
    way = options.delivery
    if way not in DeliveryMode.values():
        flaws.append(Violation("options.delivery", "NONE, STORE or CHANNEL"))
    return way if way > DeliveryMode.DELIVERY_MODE_NONE else 0


def _check_callback(callback: Callback, flaws: Flaws) -> None:
    field = "options.callback"
    at_most(f"{field}.url", limits.URL_CHARACTERS, len(callback.url))
    if not callback.url:
        flaws.append(Violation(f"{field}.url", "a URL is needed", "MISSING"))
    elif not is_web_url(callback.url):
        flaws.append(Violation(f"{field}.url", "an absolute http or https URL"))
    if callback.method and callback.method not in _METHODS:
        flaws.append(Violation(f"{field}.method", f"one of {', '.join(_METHODS)}"))
    if callback.format not in CallbackFormat.values():
        flaws.append(Violation(f"{field}.format", "NATIVE, MDWORKBENCH or VITAM"))
