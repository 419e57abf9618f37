"""Drawing what is learned next while the device still learns."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def prefetched(draw: Callable[[], Item], count: int) -> Generator[Item, None, None]:
    """Yield what `count` calls of `draw` return; a thread makes each call while the item before is used.

    What a call raises is raised where its item would come. The thread ends with the generator: close it.
    """
    coming: Future[Item] | None = None
    with ThreadPoolExecutor(1, "ahead") as thread:
        for left in reversed(range(count)):
            item = (coming or thread.submit(draw)).result()
            coming = thread.submit(draw) if left else None
            yield item
