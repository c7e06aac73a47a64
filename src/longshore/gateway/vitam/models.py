"""Models: bodies as the contract documents them, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JXPath = Annotated[str, Field(description="a location path, a quoted literal or concat(…)")]


class Error(BaseModel):
    """An error of a call or of work, with what led to it."""

    http_code: int = Field(examples=[404])
    code: str = Field(examples=["ingest"])
    state: str = Field(examples=["File_Not_Found"])
    message: str = Field(examples=["File is not found"])
    description: str = Field(examples=["Operation on file xxx cannot be done"])
    errors: list[Error] | None = None


class AsyncStatus(BaseModel):
    """How a task stands. What is unset is left out."""

    id: str
    type: str = Field(examples=["ingest"])
    state: Literal["pending", "running", "done", "failed", "canceled"]
    task_status: Literal["pending", "commit", "cancel"]
    start_date: str | None = Field(None, examples=["2014-01-10T03:06:17.396Z"])
    end_date: str | None = Field(None, examples=["2014-01-20T03:06:17.396Z"])
    expiration_date: str | None = Field(None, examples=["2014-02-20T03:06:17.396Z"])
    result_link: str | None = None
    error: Error | None = None


class Hits(BaseModel):
    """Which part of a list this is; `next` gets the one after it."""

    total: int = Field(examples=[10])
    size: int = Field(examples=[3])
    offset: int = Field(examples=[0])
    limit: int = Field(examples=[100])
    time_out: bool = Field(examples=[False])
    next: str | None = None


class Context(BaseModel):
    """What was asked."""

    query: str = Field(examples=["name='abcdef*'&since>'2015-07-14'"])


class CollectionList(BaseModel):
    """The ids of tasks, or a part of them."""

    hits: Hits
    context: Context
    results: list[str]


class Filter(BaseModel):
    """Which part of a list is wanted, and in which order; without one the newest come first."""

    limit: int | None = Field(None, alias="$limit", ge=1, le=1_000)
    offset: int | None = Field(None, alias="$offset", ge=0)
    orderby: dict[Literal["id", "name", "since"], Literal[1, -1]] | None = Field(
        None, alias="$orderby"
    )


class CollectionQuery(BaseModel):
    """What is listed: what a query finds, or what follows another part of a list."""

    query: str | None = Field(None, examples=["name='abcdef*'&since>'2015-07-14'"])
    next: str | None = None
    limit: int | None = Field(None, ge=1, le=1_000)
    offset: int | None = Field(None, ge=0)
    filter: Filter | None = Field(None, alias="$filter")


class PostAssign(BaseModel):
    """A value that is written to the context after an action."""

    target: JXPath
    result: JXPath


class Action(BaseModel):
    """One action of a step."""

    model_config = ConfigDict(extra="allow")

    action: str = Field(description="its id, or service/id")
    arguments: dict[str, JXPath] | None = None
    results: dict[str, None] | None = Field(None, description="those that are kept")
    status: str | None = Field(None, examples=["Running"])
    post_assign: list[PostAssign] | None = None
    start_time: str | None = Field(None, examples=["1990-12-31T23:59:60Z"])
    end_time: str | None = Field(None, examples=["1990-12-31T23:59:60Z"])


class CallbackRequest(BaseModel):
    """Whom to tell when the task has ended; the URI may hold `{id}` and `{status}`."""

    uri: str
    method: Literal["GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD"] | None = None


class StepDescription(BaseModel):
    """A step. The whole of it is the context of its actions, further members too."""

    model_config = ConfigDict(extra="allow")

    step: str | None = Field(None, alias="Step")
    other_info: Any = Field(None, alias="otherInfo")
    actions: list[Action]
    callback: CallbackRequest | None = None
    task_status: Literal["commit", "pending"] | None = None
    request_id: str | None = Field(None, alias="X-RequestId", max_length=64)


class Instructions(BaseModel):
    """What a task shall do. On the collection one of the ids says which."""

    task_status: Literal["cancel", "commit", "pending"]
    message: str | None = None
    id: str | None = None
    id_async: str | None = None
    request_id: str | None = Field(None, alias="X-RequestId")


class GenericObject(BaseModel):
    """The generic object of the contract, which cancels."""

    request_id: str = Field(alias="X-RequestId")
    code: int = Field(examples=[201])
    vitam_code: int = Field(alias="vitamCode", examples=[123456])
    timestamp: str = Field(examples=["2015-07-14T17:07:14Z"])
    message: str


class ServiceStatus(BaseModel):
    """How the service is."""

    id: str = Field(examples=["abcdef"])
    service: str = Field(examples=["serviceName"])
    start_date: str = Field(alias="startDate", examples=["2015-07-14T17:07:14Z"])
    status: Literal["Active", "Inactive", "ShutdownInProgress", "Unreachable"]
