"""The formats by name, and how files of one come into a lake."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from data.errors import UsageError
from data.imports import canonical, ccxt, cryo, freqtrade, mapping
from data.imports.chunk import Chunk, Options
from data.lake.append import Appended, append

Read = Callable[[Path, Options], Iterator[Chunk]]


@dataclass(frozen=True)
class Format:
    """A format: what it is, its reader, and which files of a folder are of it (none: the folder itself is read)."""

    summary: str
    read: Read
    patterns: tuple[str, ...] = ()


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "canonical": Format("canonical parquet: TABLE.parquet or a folder of tables", canonical.read),
        "ccxt": Format("OHLCV arrays of CCXT as JSON (needs --symbol)", ccxt.read, ("*.json",)),
        "cryo": Format("parquet of `cryo blocks` (needs --gas-limit)", cryo.read, ("*blocks__*.parquet",)),
        "freqtrade": Format(
            "candles and funding of freqtrade", freqtrade.read, ("*.feather", "*.json", "*.json.gz", "*.parquet")
        ),
        "mapped": Format(
            "any CSV or parquet, by a mapping file (needs --mapping)", mapping.read, ("*.csv", "*.csv.gz", "*.parquet")
        ),
    }
)


def inputs(kind: Format, paths: Sequence[Path]) -> list[Path]:
    """The files to read, sorted within a folder. Raises UsageError when a path is not there or a folder has none."""
    found = [file for path in paths for file in files(kind, path)]
    absent = [str(path) for path in paths if not path.exists() or not files(kind, path)]
    if absent:
        raise UsageError(
            ", ".join(absent),
            expected=f"a file, or a folder with {' or '.join(kind.patterns) or 'tables'}",
            found="none",
            remedy="correct the path",
        )
    return found


def files(kind: Format, path: Path) -> list[Path]:
    """A file itself, or the files of the format in a folder."""
    if not path.is_dir() or not kind.patterns:
        return [path]
    return sorted({file for pattern in kind.patterns for file in path.glob(pattern)})


def bring_in(folder: Path, chunks: Iterator[Chunk]) -> dict[str, Appended]:
    """Append chunks to a lake; what became of their rows, by table."""
    total: dict[str, Appended] = {}
    for chunk in chunks:
        total[chunk.table] = total.get(chunk.table, Appended()) + append(folder, chunk.table, chunk.frame, chunk.origin)
    return total
