from __future__ import annotations

import asyncio

import pytest

from trimtab.models.apart import Put, iterate_apart


async def count(put: Put[int]) -> None:
    for number in range(3):
        put(number)
        await asyncio.sleep(0)


def test_what_is_put_comes_in_order():
    assert list(iterate_apart(count)) == [0, 1, 2]


def test_it_works_where_a_loop_runs():
    async def caller() -> list[int]:
        return list(iterate_apart(count))

    assert asyncio.run(caller()) == [0, 1, 2]


def test_an_exception_comes_after_what_was_put_before_it():
    async def fail(put: Put[int]) -> None:
        put(1)
        raise LookupError("no more")

    numbers = iterate_apart(fail)
    assert next(numbers) == 1
    with pytest.raises(LookupError, match="no more"):
        next(numbers)


def test_closing_cancels_and_waits_for_the_clean_up():
    ended: list[str] = []

    async def work(put: Put[int]) -> None:
        try:
            put(1)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    numbers = iterate_apart(work)
    next(numbers)
    numbers.close()
    assert ended == ["cleaned up"]
