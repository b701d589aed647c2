"""The Python client against a server without room."""

import asyncio

import pytest
from tests.api.conftest import Site

from statekeep.client import AsyncClient, Patience, Unavailable
from statekeep.controller.api import admission


async def test_who_finds_no_room_waits_as_long_as_is_asked(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await site.spawn("a")
    monkeypatch.setattr(admission, "MAX_REQUESTS", 0)
    hasty = Patience(total_s=0.9)
    async with AsyncClient(site.url, patience=hasty, namespace=site.namespace) as client:
        with pytest.raises(Unavailable, match="overloaded") as refused:
            await client.send("a", "START")
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1.0)
    assert refused.value.key is not None
    async with AsyncClient(site.url, namespace=site.namespace) as client:
        begin = asyncio.get_running_loop().time()
        sending = asyncio.create_task(client.send("a", "START"))
        while "refused_total 2.0" not in await _metrics(site):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        monkeypatch.setattr(admission, "MAX_REQUESTS", 2000)
        assert (await sending).seq == 1
        assert asyncio.get_running_loop().time() - begin >= 1.0


async def _metrics(site: Site) -> str:
    async with site.session.get(site.url + "/metrics") as response:
        return await response.text()
