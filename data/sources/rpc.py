"""JSON-RPC 2.0 over HTTP in batches (https://www.jsonrpc.org/specification), as EVM nodes and their resellers speak it.

Decided here: which errors a node recovers from, that answers are matched by id (their order is free), and that an
address is shown without its path, which often is a key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from data.errors import DataError
from data.sources.web import TransientError, Web, host

METHOD_NOT_FOUND = -32601
LIMITED = frozenset({-32005, -32007, -32029, 429})  # request limits, as resellers number them
SERVER_ERROR = -32000  # also "header not found" from a node that is a block behind


class RefusedError(DataError):
    """The node understood a call and will not answer it; `code` is JSON-RPC's."""

    def __init__(self, where: str, method: str, code: int, message: str) -> None:
        super().__init__(
            where,
            expected=f"an answer to {method}",
            found=f"error {code}: {message}",
            remedy="use a node that offers the method (an archive node for old blocks)",
        )
        self.code = code


@dataclass(frozen=True)
class Call:
    """One call."""

    method: str
    parameters: tuple[object, ...] = ()


@dataclass(frozen=True)
class Rpc:
    """A node behind one address."""

    web: Web
    url: str

    @property
    def where(self) -> str:
        """The address as it may be shown."""
        return host(self.url)

    async def call(self, method: str, *parameters: object) -> object:
        """Result of one call; raises like `batch`."""
        return (await self.batch([Call(method, parameters)]))[0]

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        """Results of the calls in their order, tried again while one of them fails in passing.

        Raises RefusedError when the node refuses a call, DataError when its answer is none.
        """

        async def once() -> list[object]:
            answers = await self.web.post(self.url, [request(number, call) for number, call in enumerate(calls)])
            found = by_id(answers, self.where)
            return [self.result(found.get(number), call) for number, call in enumerate(calls)]

        return await self.web.tried(self.where, once)

    def result(self, answer: Mapping[str, object] | None, call: Call) -> object:
        """The result in an answer, or its error raised."""
        if answer is None:
            raise TransientError(f"no answer to {call.method} in a batch")
        if "error" not in answer or answer["error"] is None:
            return answer.get("result")
        error = fields(answer["error"], self.where)
        code, message = whole(error.get("code")), str(error.get("message"))[:200]
        if code in LIMITED or code == SERVER_ERROR:
            raise TransientError(f"error {code}: {message}")
        raise RefusedError(self.where, call.method, code, message)


def request(number: int, call: Call) -> dict[str, object]:
    """One call as JSON-RPC wants it."""
    return {"jsonrpc": "2.0", "id": number, "method": call.method, "params": list(call.parameters)}


def by_id(answers: object, where: str) -> dict[int, Mapping[str, object]]:
    """Answers by id. A node that rejects the whole batch sends one object instead of a list."""
    if isinstance(answers, list):
        found = [fields(answer, where) for answer in answers]
        return {whole(answer.get("id")): answer for answer in found}
    error = fields(fields(answers, where).get("error") or {}, where)
    code, message = whole(error.get("code")), str(error.get("message"))[:200]
    if code in LIMITED:
        raise TransientError(f"error {code}: {message}")
    raise RefusedError(where, "a batch (see --batch)", code, message)


def fields(value: object, where: str) -> Mapping[str, object]:
    """A JSON object, or DataError."""
    if isinstance(value, dict):
        return cast("Mapping[str, object]", value)
    raise DataError(
        where, expected="a JSON object", found=repr(value)[:80], remedy="check that the address is of a node"
    )


def items(value: object, where: str) -> list[object]:
    """A JSON array, or DataError."""
    if isinstance(value, list):
        return value
    raise DataError(
        where, expected="a JSON array", found=repr(value)[:80], remedy="check that the address is of a node"
    )


def whole(value: object) -> int:
    """A JSON number as int; -1 for anything else."""
    return value if isinstance(value, int) else -1


def quantity(value: object, where: str, name: str) -> int:
    """A hexadecimal quantity such as 0x1a, or DataError that names the field."""
    if isinstance(value, str):
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise DataError(
        where,
        expected=f"a hexadecimal {name}",
        found=repr(value)[:80],
        remedy="check that the address is of an EIP-1559 node",
    )
