"""`shaper serve` that tells how long each tick took, and requests of its API from another process.

`python -m tests.benchmarks.ticking serve OUT ARGUMENTS…` writes [seconds, seconds] of each step that brought a plan: from the
step's rows to the plan on the board, and of the pipeline alone. `… ask PORT MODEL CONTEXT WIDTH SECONDS` asks for plans and
inferences at a steady rate, and prints how many were answered.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.benchmarks.test_sidecar import REQUEST

PLANS_PER_S, INFERENCES_PER_S = 100, 20


def serve(out: Path, arguments: list[str]) -> int:
    """Run the command with its steps timed."""
    from serving.cli import main
    from serving.feeds import Step
    from serving.loop import Sidecar
    from serving.pipeline import Pipeline
    from serving.state import Board, Update

    begun, worked, took = [0.0], [0.0], list[tuple[float, float]]()
    advance, step, post = Sidecar.advance, Pipeline.step, Board.post

    async def advanced(self: Sidecar, given: Step) -> None:
        begun[0] = time.perf_counter()
        await advance(self, given)

    def stepped(self: Pipeline, *given: object) -> Update:
        since = time.perf_counter()
        update = step(self, *given)  # type: ignore[arg-type]
        worked[0] = time.perf_counter() - since
        return update

    def posted(self: Board, update: Update) -> None:
        post(self, update)
        if update.plan is not None:
            took.append((time.perf_counter() - begun[0], worked[0]))

    Sidecar.advance, Pipeline.step, Board.post = advanced, stepped, posted  # type: ignore[method-assign, assignment]
    try:
        return main(["serve", *arguments])
    finally:
        out.write_text(json.dumps(took))


async def ask(port: int, request: bytes, per_s: float, seconds: float) -> int:
    """Answers to a request sent at a steady rate on one connection; one that is late delays those after it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    since, answers = time.perf_counter(), 0
    while (due := since + answers / per_s) < since + seconds and time.perf_counter() < since + seconds:
        await asyncio.sleep(due - time.perf_counter())
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        answers += 1
    writer.close()
    await writer.wait_closed()
    return answers


def inference(model: str, context: int, width: int) -> bytes:
    """A request for one inference over a window of ones."""
    tensor = {"name": "window", "shape": [1, context, width], "datatype": "FP32", "data": [1.0] * (context * width)}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask_all(port: int, model: str, context: int, width: int, seconds: float) -> list[int]:
    """Plans and inferences that were answered."""
    requests = (REQUEST, PLANS_PER_S), (inference(model, context, width), INFERENCES_PER_S)
    return await asyncio.gather(*(ask(port, request, per_s, seconds) for request, per_s in requests))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(serve(Path(sys.argv[2]), sys.argv[3:]))
    number, name, *sizes, length_s = sys.argv[2:]
    print(json.dumps(asyncio.run(ask_all(int(number), name, int(sizes[0]), int(sizes[1]), float(length_s)))))
