"""OHLCV arrays as CCXT returns them (`fetch_ohlcv`), saved as JSON: `[[milliseconds, o, h, l, c, v], …]`."""

from collections.abc import Iterator
from pathlib import Path

from data.imports.candles import bars, decoded, market, usual_step_s
from data.imports.chunk import Chunk, Options, require_option, unreadable


def read(path: Path, options: Options) -> Iterator[Chunk]:
    """Bars of one market; the file does not say which (`symbol`), its time frame is the usual step unless given."""
    require_option(options.symbol, "--symbol", path)
    try:
        prices = decoded(path.read_bytes(), path)
    except OSError as error:
        raise unreadable(path, error) from error
    interval = options.interval_s or usual_step_s(prices, path)
    yield Chunk("bars", bars(prices, market(str(options.symbol)), interval), options.origin or f"ccxt:{path.name}")
