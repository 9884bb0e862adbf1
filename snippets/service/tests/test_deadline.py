import asyncio
import gc
from weakref import WeakSet

import pytest

from assistant.deadline import DeadlineExceeded, within

pytestmark = pytest.mark.anyio


async def test_work_that_was_given_up_still_winds_up() -> None:
    waits: WeakSet[asyncio.Future[None]] = WeakSet()
    wound_up = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            wait = asyncio.get_running_loop().create_future()
            waits.add(wait)
            await wait
            wound_up.set()

    with pytest.raises(DeadlineExceeded):
        await within(0.01, work())
    await asyncio.sleep(0)
    gc.collect()
    waits.pop().set_result(None)
    await asyncio.wait_for(wound_up.wait(), timeout=1)
