"""How values of :mod:`synthema.spi.model` cross a process boundary: one JSON document, and files beside it.

The expected type, taken from the hook's annotation, leads both directions: the
registry of types is closed, nothing in a document can name a class, and
nothing is pickled. Tables travel as Arrow IPC files, arrays as ``.npy`` files,
everything else as JSON. A reader takes only plain files of a checked name and
a bounded size, directly inside its folder.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import math
import os
import re
import stat
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import polars as pl
from pydantic import ValidationError

from synthema.datasets.codebook import Codebook
from synthema.errors import InputError
from synthema.spi import model
from synthema.spi.hookspecs import HOOKS, Hooks

MAX_FILE_BYTES = 512 * 1024**2
MAX_CELLS = 200_000_000
MAX_ITEMS = 5_000_000

_NAME = re.compile(r"^[0-9]{1,9}-[0-9]{1,6}\.(arrow|npy)$")
_ARRAY_TYPES = (np.int64, np.uint32, np.uint64, np.float64)
_COLUMN_TYPES = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
    *(pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Date),
)
_RECORDS: frozenset[type] = frozenset(
    (
        model.Anonymised,
        model.Generated,
        model.Plan,
        model.State,
        model.Contribution,
        model.Aggregate,
        model.Metric,
        model.Evaluation,
    )
)


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """A hook's arguments and its answer, by type."""

    arguments: Mapping[str, Any]
    returns: Any


@cache
def signature(hook: str) -> Signature:
    """The types of a hook; raises :class:`InputError` for a name that is no hook."""
    if hook not in HOOKS:
        raise InputError(f"there is no hook named '{hook[:60]}'", fix="use a hook of synthema.spi.hookspecs.Hooks")
    hints = get_type_hints(getattr(Hooks, hook))
    names = [name for name in inspect.signature(getattr(Hooks, hook)).parameters if name != "self"]
    return Signature({name: hints[name] for name in names}, hints["return"])


class Folder:
    """Where the files of a message lie; names are given by the writer and checked by the reader."""

    def __init__(
        self, path: Path, *, prefix: int = 0, max_file_bytes: int = MAX_FILE_BYTES, shared: bool = False
    ) -> None:
        self.path = path
        self.shared = shared  # whether the reader runs under another identity
        self.prefix = prefix
        self.max_file_bytes = max_file_bytes
        self.names: list[str] = []

    def write(self, suffix: str, data: bytes) -> str:
        """Write the bytes as a new file that nobody may change, and return its name."""
        self._bound(len(data))
        name = f"{self.prefix}-{len(self.names)}.{suffix}"
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444)
        with os.fdopen(descriptor, "wb") as stream:
            if self.shared:
                os.fchmod(stream.fileno(), 0o444)  # whatever the umask took away
            stream.write(data)
        self.names.append(name)
        return name

    def read(self, name: Any, suffix: str) -> bytes:
        """The bytes of a file; raises :class:`InputError` unless it is a plain file of a proper name and size."""
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.endswith(f".{suffix}"):
            raise InputError("a message names a file in a wrong way", fix="name files as the exchange wrote them")
        try:
            descriptor = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise InputError(
                f"the file {name} cannot be read: {error.strerror}", fix="write the file before naming it"
            ) from error
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{name} is not a plain file", fix="write a plain file")
            self._bound(status.st_size)
            data = stream.read(self.max_file_bytes + 1)
        self._bound(len(data))
        return data

    def remove(self) -> None:
        """Delete the files that were written here."""
        for name in self.names:
            (self.path / name).unlink(missing_ok=True)
        self.names.clear()

    def _bound(self, size: int) -> None:
        if size > self.max_file_bytes:
            raise InputError(f"a file has {size} bytes", fix=f"write at most {self.max_file_bytes} bytes")


def encode_arguments(hook: str, arguments: Mapping[str, Any], folder: Folder) -> dict[str, Any]:
    """All arguments of a hook; raises :class:`InputError` when one is missing, unknown or of another type."""
    wanted = signature(hook).arguments
    if set(arguments) != set(wanted):
        raise InputError(
            f"{hook} takes {', '.join(wanted)}, not {', '.join(sorted(arguments)) or 'nothing'}",
            fix="give exactly the arguments of the hook",
        )
    return {name: encode(arguments[name], type_, folder, name) for name, type_ in wanted.items()}


def decode_arguments(hook: str, document: Any, folder: Folder) -> dict[str, Any]:
    """The reverse of :func:`encode_arguments`."""
    wanted = signature(hook).arguments
    if not isinstance(document, dict) or set(document) != set(wanted):
        raise InputError(f"{hook} takes {', '.join(wanted)}", fix="give exactly the arguments of the hook")
    return {name: decode(document[name], type_, folder, name) for name, type_ in wanted.items()}


def encode(value: Any, type_: Any, folder: Folder, where: str = "value") -> Any:
    """The JSON document of a value of the expected type; tables and arrays go into files of the folder."""
    return _walk(value, type_, folder, where, _ENCODERS)


def decode(document: Any, type_: Any, folder: Folder, where: str = "value") -> Any:
    """The value of a document; raises :class:`InputError` unless it is exactly of the expected type."""
    return _walk(document, type_, folder, where, _DECODERS)


Leaf = Callable[[Any, Any, Folder, str], Any]


def _walk(value: Any, type_: Any, folder: Folder, where: str, leaves: Mapping[str, Leaf]) -> Any:
    """Follow the expected type down to its leaves; both directions share this path."""
    origin, arguments = get_origin(type_), get_args(type_)
    if type_ is pl.DataFrame:
        return leaves["table"](value, type_, folder, where)
    if origin is np.ndarray:
        kind = get_args(arguments[1])[0]
        return leaves["array"](value, get_origin(kind) or kind, folder, where)
    if type_ is Codebook:
        return leaves["codebook"](value, type_, folder, where)
    if type_ in _RECORDS:
        return _walk_record(value, type_, folder, where, leaves)
    if origin in (dict, list, tuple):
        return _walk_items(value, type_, folder, where, leaves)
    return _plain(value, type_, where)


def _walk_record(value: Any, type_: Any, folder: Folder, where: str, leaves: Mapping[str, Leaf]) -> Any:
    hints = _fields(type_)
    if leaves is _ENCODERS:
        if type(value) is not type_:
            raise _wrong(where, type_.__name__, value)
        return {
            name: _walk(getattr(value, name), hint, folder, f"{where}.{name}", leaves) for name, hint in hints.items()
        }
    if not isinstance(value, dict) or set(value) != set(hints):
        raise _wrong(where, type_.__name__, value)
    return type_(**{name: _walk(value[name], hint, folder, f"{where}.{name}", leaves) for name, hint in hints.items()})


@cache
def _fields(type_: type) -> dict[str, Any]:
    return get_type_hints(type_)


def _walk_items(value: Any, type_: Any, folder: Folder, where: str, leaves: Mapping[str, Leaf]) -> Any:
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise _wrong(where, "object", value)
        _bound_items(value, where)
        return {key: _walk(item, arguments[1], folder, f"{where}.{key[:40]}", leaves) for key, item in value.items()}
    make = origin if leaves is _DECODERS else list
    if not isinstance(value, list if leaves is _DECODERS else list | tuple):
        raise _wrong(where, origin.__name__, value)
    _bound_items(value, where)
    return make(_walk(item, arguments[0], folder, f"{where}[{i}]", leaves) for i, item in enumerate(value))


def _bound_items(value: Any, where: str) -> None:
    if len(value) > MAX_ITEMS:
        raise InputError(f"{where} has {len(value)} items", fix=f"give at most {MAX_ITEMS}", where=where)


def _plain(value: Any, type_: Any, where: str) -> Any:
    if get_origin(type_) in (Union, types.UnionType):
        choices = get_args(type_)
        if value is None and type(None) in choices:
            return None
        return _plain(value, next(choice for choice in choices if choice is not type(None)), where)
    if get_origin(type_) is Literal:
        if value not in get_args(type_):
            raise _wrong(where, " or ".join(map(str, get_args(type_))), value)
        return value
    if type_ is Any:
        return _json(value, where, depth=0)
    if type_ is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(float(value), where)
    if type_ in (str, int, bool) and type(value) is type_:
        return value
    raise _wrong(where, getattr(type_, "__name__", str(type_)), value)


def _json(value: Any, where: str, *, depth: int) -> Any:
    if depth > 40:
        raise InputError(f"{where} is nested too deeply", fix="nest at most 40 levels", where=where)
    if value is None or isinstance(value, str | bool):
        return value
    if type(value) in (int, float):
        return _finite(value, where)
    if isinstance(value, list | tuple):
        _bound_items(value, where)
        return [_json(item, where, depth=depth + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        _bound_items(value, where)
        return {key: _json(item, where, depth=depth + 1) for key, item in value.items()}
    raise _wrong(where, "JSON value", value)


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise InputError(f"{where} is {value}", fix="give a finite number", where=where)
    return value


def _wrong(where: str, wanted: str, value: Any) -> InputError:
    return InputError(f"{where} must be {wanted}, not {type(value).__name__}", fix=f"give {wanted}", where=where)


# leaves ---------------------------------------------------------------------------


def _table_out(value: Any, _type: Any, folder: Folder, where: str) -> Any:
    if not isinstance(value, pl.DataFrame):
        raise _wrong(where, "a polars table", value)
    plain = value.with_columns(
        pl.col(name).cast(pl.String)
        for name, kind in value.schema.items()
        if isinstance(kind, pl.Categorical | pl.Enum)
    )
    _check_columns(plain, where)
    stream = io.BytesIO()
    plain.write_ipc(stream, compression="uncompressed")
    return {"table": folder.write("arrow", stream.getvalue()), "rows": plain.height, "columns": plain.columns}


def _table_in(document: Any, _type: Any, folder: Folder, where: str) -> pl.DataFrame:
    data = folder.read(_keyed(document, "table", where), "arrow")
    try:
        table = pl.read_ipc(io.BytesIO(data), use_pyarrow=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise InputError(f"{where} is not an Arrow table", fix="write the table as Arrow IPC", where=where) from error
    _check_columns(table, where)
    if table.height != document.get("rows") or table.columns != document.get("columns"):
        raise InputError(f"{where} is not the table its message describes", fix="send the table again", where=where)
    return table


def _check_columns(table: pl.DataFrame, where: str) -> None:
    for name, kind in table.schema.items():
        if kind not in _COLUMN_TYPES:
            raise InputError(
                f"{where}: column '{name[:60]}' is of type {kind}",
                fix="use numbers, booleans, texts or dates",
                where=where,
            )
    if table.height * table.width > MAX_CELLS:
        raise InputError(f"{where} has too many cells", fix=f"give at most {MAX_CELLS} cells", where=where)


def _array_out(value: Any, kind: Any, folder: Folder, where: str) -> Any:
    if not isinstance(value, np.ndarray) or not _is_of(value, kind):
        found = f"{type(value).__name__} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise InputError(f"{where} must be an array of {kind.__name__}, not {found}", fix="convert it", where=where)
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=False)
    return {"array": folder.write("npy", stream.getvalue())}


def _array_in(document: Any, kind: Any, folder: Folder, where: str) -> Any:
    data = folder.read(_keyed(document, "array", where), "npy")
    try:
        value = np.load(io.BytesIO(data), allow_pickle=False, max_header_size=1000)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{where} is not a plain array", fix="write it with numpy.save", where=where) from error
    if not isinstance(value, np.ndarray) or not _is_of(value, kind):
        raise InputError(f"{where} must be an array of {kind.__name__}", fix="convert it", where=where)
    return value


def _is_of(value: np.ndarray[Any, Any], kind: Any) -> bool:
    """Whether the array has a type that may travel, and the one expected or one of its kind."""
    return value.dtype in _ARRAY_TYPES and np.issubdtype(value.dtype, kind)


def _codebook_out(value: Any, _type: Any, _folder: Folder, where: str) -> Any:
    if not isinstance(value, Codebook):
        raise _wrong(where, "a codebook", value)
    return value.model_dump(mode="json")


def _codebook_in(document: Any, _type: Any, _folder: Folder, where: str) -> Codebook:
    try:
        return Codebook.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{where} is no codebook: {first['msg'][:200]}", fix="give a codebook", where=where) from error


def _keyed(document: Any, key: str, where: str) -> Any:
    if not isinstance(document, dict) or key not in document:
        raise _wrong(where, f"a document with '{key}'", document)
    return document[key]


_ENCODERS: dict[str, Leaf] = {"table": _table_out, "array": _array_out, "codebook": _codebook_out}
_DECODERS: dict[str, Leaf] = {"table": _table_in, "array": _array_in, "codebook": _codebook_in}
