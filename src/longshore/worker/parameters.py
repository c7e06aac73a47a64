"""Parameters: what a function takes, read from its signature, published and checked.

What a hint accepts is asked of pydantic: its JSON schema tells the type to publish, its
validator makes the value that the function is given. `Field(title=…, description=…)` tells
people more, `SecretStr` makes a password wherever it stands in a hint, `Literal` and
enumerations limit the values, `File` is a file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, cast, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, Secret, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from longshore.v1.catalog_service_pb2 import Parameter as ParameterMessage
from longshore.v1.catalog_service_pb2 import ParameterType
from longshore.worker.context import Context
from longshore.worker.errors import InvalidArguments, Violation
from longshore.worker.files import FORMAT, Reader

_Type: TypeAlias = ParameterType.ValueType

_TYPES: Final[Mapping[str, _Type]] = {
    "string": ParameterType.PARAMETER_TYPE_STRING,
    "integer": ParameterType.PARAMETER_TYPE_INTEGER,
    "number": ParameterType.PARAMETER_TYPE_NUMBER,
    "boolean": ParameterType.PARAMETER_TYPE_BOOLEAN,
    "array": ParameterType.PARAMETER_TYPE_LIST,
    "object": ParameterType.PARAMETER_TYPE_OBJECT,
}
_DATES: Final = ("date", "date-time")
_JSON_TYPES: Final = ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"))

#: Values of these types need no conversion where the hint is the type itself.
_EXACT: Final = (str, bool, int)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that an action takes, as it is published and as it is checked."""

    name: str
    title: str  #: The name for people; may be empty.
    shape: Shape
    password: bool  #: Whether a secret stands anywhere in its values.
    description: str
    optional: bool
    validate: Callable[..., Any]
    exact: type | None  #: Values of just this type are taken as they are.

    def check(self, value: Any, reader: Callable[[], Reader]) -> Any:
        """Return the value as the function takes it. Raises `pydantic.ValidationError`."""
        return value if type(value) is self.exact else self.validate(value, context=reader)

    def to_message(self) -> ParameterMessage:
        return ParameterMessage(
            slug=self.name,
            name=self.title,
            type=self.shape.type,
            description=self.description,
            optional=self.optional,
            password=self.password,
            values=self.shape.values,
        )


class Shape(NamedTuple):
    """What can be said about values without pydantic."""

    type: _Type
    values: tuple[str, ...] = ()


class Signature(NamedTuple):
    """What a function takes: its parameters, and the name under which it wants a context."""

    parameters: tuple[Parameter, ...]
    context: str | None


def signature_of(function: Callable[..., Any]) -> Signature:
    """Read a function's signature. Raises `TypeError` if it cannot be published."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"a type hint cannot be resolved: {error}") from error
    found: list[Parameter] = []
    context: str | None = None
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"parameter {name!r} cannot be given by name")
        if hints.get(name) is Context:
            context = name
        else:
            found.append(_parameter(name, hints.get(name), parameter.default))
    return Signature(tuple(found), context)


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    optional = default is not inspect.Parameter.empty
    if hint is None and optional and default is not None:
        hint = cast("type[object]", type(default))
    if hint is None:
        raise TypeError(f"parameter {name!r} needs a type hint")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        schema = adapter.json_schema()
        shape = _shape(schema, schema.get("$defs", {}))
    except (PydanticUserError, TypeError) as error:
        raise TypeError(f"parameter {name!r} is of no JSON type: {error}") from error
    return Parameter(
        name=name,
        title=_title(hint),
        shape=shape,
        password=_holds_secret(schema) or _is_secret(hint),
        description=schema.get("description", ""),
        optional=optional,
        validate=_validator(adapter, shape),
        exact=hint if hint in _EXACT else None,
    )


def _validator(adapter: TypeAdapter[Any], shape: Shape) -> Callable[..., Any]:
    dated = shape.type == ParameterType.PARAMETER_TYPE_DATE
    return partial(_dated, adapter) if dated else adapter.validate_python


def _dated(adapter: TypeAdapter[Any], value: Any, **more: Any) -> Any:
    """Return a date or a point in time. Submits take the latter for both: where a date is
    wanted, it stands for its day.
    """
    try:
        return adapter.validate_python(value, **more)
    except ValidationError as error:
        if error.errors()[0]["type"] != "date_from_datetime_inexact":
            raise
        return adapter.validate_python(str(value)[:10], **more)


def _title(hint: Any) -> str:
    """Return what a hint says itself; a schema also has the names of classes for titles."""
    return FieldInfo.from_annotation(hint).title or ""


def _is_secret(hint: Any) -> bool:
    """Tell whether a hint names a `Secret[…]`, of which its schema says nothing."""
    origin = get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, Secret):
        return True
    return any(map(_is_secret, get_args(hint)))


def _holds_secret(schema: object) -> bool:
    """Tell whether a JSON schema, or any part of one, describes a secret."""
    if isinstance(schema, dict):
        parts = cast("dict[str, object]", schema)
        return parts.get("format") == "password" or any(map(_holds_secret, parts.values()))
    return isinstance(schema, list) and any(map(_holds_secret, cast("list[object]", schema)))


def _shape(schema: Mapping[str, Any], models: Mapping[str, Any]) -> Shape:
    """Return what a JSON schema says. Raises `TypeError` if it allows several types."""
    if "$ref" in schema:
        return _shape(models[schema["$ref"].rpartition("/")[2]], models)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _joined([_shape(one, models) for one in choices if one.get("type") != "null"])
    if "const" in schema or "enum" in schema:
        return _enumeration(schema.get("enum") or [schema["const"]])
    name = schema.get("type", "")
    if name not in _TYPES:
        raise TypeError("it takes anything: say str, int, float, bool, date, list or dict")
    if schema.get("format") in _DATES:
        return Shape(ParameterType.PARAMETER_TYPE_DATE)
    if schema.get("format") == FORMAT:
        return Shape(ParameterType.PARAMETER_TYPE_FILE)
    if name == "array":
        items: dict[str, Any] = schema.get("items") or {}
        return Shape(_TYPES[name], _shape(items, models).values if items else ())
    return Shape(_TYPES[name])


def _enumeration(values: list[Any]) -> Shape:
    members = [value for value in values if value is not None]
    shape = _joined([Shape(_TYPES[_json_type(value)]) for value in members])
    if shape.type != ParameterType.PARAMETER_TYPE_STRING:
        return shape
    return shape._replace(values=tuple(members))


def _json_type(value: Any) -> str:
    return next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "object")


def _joined(shapes: list[Shape]) -> Shape:
    """Return the shape of what may be one of several."""
    types = {shape.type for shape in shapes}
    if types == {_TYPES["integer"], _TYPES["number"]}:
        types = {_TYPES["number"]}
    if len(types) != 1:
        raise TypeError("it takes several types")
    limited = all(shape.values for shape in shapes)
    values = tuple(value for shape in shapes for value in shape.values) if limited else ()
    return Shape(types.pop(), values)


def checked(
    parameters: tuple[Parameter, ...], values: dict[str, Any], reader: Callable[[], Reader]
) -> dict[str, Any]:
    """Return arguments as the function takes them. Raises `InvalidArguments`, naming all faults.

    Null stands for what is left out, unless the function knows it.
    """
    arguments: dict[str, Any] = {}
    faults: list[Violation] = []
    for parameter in parameters:
        name = parameter.name
        if name in values:
            try:
                arguments[name] = parameter.check(values[name], reader)
            except ValidationError as error:
                if values[name] is not None or not parameter.optional:
                    faults += _faults(parameter, error)
        elif not parameter.optional:
            faults.append(Violation(f"arguments.{name}", "is missing", "MISSING"))
    if len(arguments) < len(values):
        known = {parameter.name for parameter in parameters}
        faults += [
            Violation(f"arguments.{name}", "is no parameter of the action", "UNKNOWN")
            for name in values.keys() - known
        ]
    if faults:
        raise InvalidArguments(faults)
    return arguments


def _faults(parameter: Parameter, error: ValidationError) -> list[Violation]:
    """Return pydantic's findings without the values.

    The words of a validator may repeat a value, and the way to it may be made of keys: of a
    password no more is told than of what kind the first fault is.
    """
    name = parameter.name
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if parameter.password:
        why = f"is not taken ({found[0]['type']})"
        return [Violation(f"arguments.{name}", why, "INVALID")]
    return [
        Violation(".".join(["arguments", name, *map(str, one["loc"])]), one["msg"], "INVALID")
        for one in found
    ]
