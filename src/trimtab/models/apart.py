"""Asynchronous work seen from code that is not: an iterator over what it brings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Put = Callable[[T], None]


def iterate_apart(
    produce: Callable[[Put[T]], Coroutine[Any, Any, None]],
) -> Generator[T, None, None]:
    """What `produce` puts, as it comes, from a loop on a thread of its own; raises what it raises.

    So it works where the caller's thread runs a loop already. Closing the iterator cancels
    `produce`, as does an interrupt while it waits.
    """
    arrived: SimpleQueue[tuple[T] | None] = SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(produce(lambda item: arrived.put((item,))))
    task.add_done_callback(lambda _: arrived.put(None))

    def run() -> None:
        loop.run_until_complete(asyncio.wait([task]))
        loop.run_until_complete(loop.shutdown_asyncgens())

    thread = threading.Thread(target=run, name="apart", daemon=True)
    thread.start()
    try:
        while (held := arrived.get()) is not None:
            yield held[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
    task.result()
