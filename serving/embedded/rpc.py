"""JSON-RPC 2.0 as wallets and bots speak it to a node, as far as a gateway has to understand it.

Decided here: which methods pass (sending a signed transaction, and reads that any node answers alike; nothing that signs, mines,
administers or leaves state on one node), and when a node's answer counts. An answer to a transaction counts only when it names the
transaction's own hash, which is known before it is sent: a node that makes things up is found out.
"""

import re
from binascii import Error as HexError
from binascii import unhexlify

import msgspec
from Crypto.Hash import keccak

from serving.embedded.refusals import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Refused,
    invalid,
)

SEND = "eth_sendRawTransaction"
READS = frozenset(
    [
        "eth_blobBaseFee",
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_createAccessList",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getBlockReceipts",
        "eth_getBlockTransactionCountByHash",
        "eth_getBlockTransactionCountByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getProof",
        "eth_getStorageAt",
        "eth_getTransactionByBlockHashAndIndex",
        "eth_getTransactionByBlockNumberAndIndex",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_maxPriorityFeePerGas",
        "eth_syncing",
        "net_version",
        "web3_clientVersion",
    ]
)
# What clients say of a transaction they have already: geth, erigon, nethermind, besu, reth, openethereum.
KNOWN = re.compile(
    rb"already.?known|known transaction|already.?exists|already imported|already in mempool", re.IGNORECASE
)
JSON_SPACE = b" \t\r\n"


class Call(msgspec.Struct):
    """One call; one without an id is a notification, which is not answered."""

    method: str
    params: msgspec.Raw = msgspec.Raw(b"[]")
    id: msgspec.Raw = msgspec.Raw()


class Reply(msgspec.Struct):
    """What an upstream answers: a result or an error."""

    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class Fault(msgspec.Struct):
    """An error object."""

    code: int = 0


CALL = msgspec.json.Decoder(Call)
REPLY = msgspec.json.Decoder(Reply)
BATCH = msgspec.json.Decoder(list[msgspec.Raw])
SIGNED = msgspec.json.Decoder(tuple[str])


def is_batch(body: bytes) -> bool:
    """Whether a body is an array."""
    return body.lstrip(JSON_SPACE)[:1] == b"["


def read_call(raw: bytes | msgspec.Raw) -> Call | Refused:
    """One call, or why it is none."""
    try:
        call = CALL.decode(raw)
    except msgspec.ValidationError as error:
        return invalid(INVALID_REQUEST, f"expected a call with method, params and id; found {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return invalid(PARSE_ERROR, f"expected JSON; found {error}")
    if bytes(call.id)[:1] in (b"{", b"[", b"t", b"f"):
        return invalid(INVALID_REQUEST, "expected an id that is a string, a number or null")
    return call


def read_batch(body: bytes, most: int) -> list[msgspec.Raw] | Refused:
    """The parts of a batch, or why it is none."""
    try:
        parts = BATCH.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return invalid(PARSE_ERROR, f"expected JSON; found {error}")
    if not 1 <= len(parts) <= most:
        return invalid(INVALID_REQUEST, f"expected 1 to {most} calls in a batch; found {len(parts)}")
    return parts


def read_transaction(params: msgspec.Raw) -> tuple[str, str] | Refused:
    """A signed transaction in hexadecimal and its hash (Keccak-256, EIP-2718), or why it is none."""
    try:
        (signed,) = SIGNED.decode(params)
        if signed[:2] != "0x" or len(signed) < 4:
            raise HexError
        content = unhexlify(signed[2:])
    except (msgspec.DecodeError, HexError, ValueError, RecursionError):
        return invalid(INVALID_PARAMS, "expected one signed transaction, 0x and hexadecimal digits")
    return signed, "0x" + keccak.new(digest_bits=256, data=content).hexdigest()


def method_refused(method: str) -> Refused | None:
    """Why a method does not pass, None if it does."""
    if method == SEND or method in READS:
        return None
    return invalid(METHOD_NOT_FOUND, "expected a method this gateway passes on: sending signed transactions, and reads")


def transaction_request(signed: str) -> bytes:
    """The body that sends a transaction."""
    return f'{{"jsonrpc":"2.0","id":1,"method":"{SEND}","params":["{signed}"]}}'.encode()


def read_request(call: Call) -> bytes:
    """The body of a read, made anew: an upstream sees nothing of the client but method and parameters."""
    return b'{"jsonrpc":"2.0","id":1,"method":"%b","params":%b}' % (call.method.encode(), bytes(call.params))


def read_reply(body: bytes) -> Reply | None:
    """What an upstream answered; None when that is no answer of JSON-RPC."""
    try:
        reply = REPLY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return reply if has_error(reply) or bytes(reply.result) != b"" else None


def has_error(reply: Reply) -> bool:
    """Whether a reply is an error."""
    return bytes(reply.error) not in (b"", b"null")


def is_busy(reply: Reply) -> bool:
    """Whether a node refuses because it is asked too much."""
    if not has_error(reply):
        return False
    try:
        return msgspec.json.decode(reply.error, type=Fault).code == LIMIT_EXCEEDED
    except msgspec.DecodeError:
        return False


def is_accepted(reply: Reply, digest: str) -> bool:
    """Whether a reply says that the transaction of a hash is in: the hash itself, or that it was known already."""
    if has_error(reply):
        return KNOWN.search(bytes(reply.error)) is not None
    return bytes(reply.result).lower() == b'"%b"' % digest.encode()


def answered(call_id: msgspec.Raw | bytes, result: bytes) -> bytes:
    """An answer with a result."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (bytes(call_id) or b"null", result)


def failed(call_id: msgspec.Raw | bytes, error: bytes) -> bytes:
    """An answer with an error object."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (bytes(call_id) or b"null", error)
