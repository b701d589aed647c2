"""A release with another interpreter refuses the events that it would take elsewhere, and answers everything else."""

from sqlalchemy.ext.asyncio import AsyncConnection
from tests.api.conftest import Site
from tests.store.next_interpreter import pays_for_review, release

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.engine.ids import VersionName
from statekeep.engine.store import versions


async def test_events_that_would_lead_elsewhere_get_503_and_the_reason(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    await site.spawn("b", "v1", "START")
    with release(2, pays_for_review):
        app = create(site.database, site.namespace)
        async with listening(app, "127.0.0.1", 0) as url:
            for path in ("versions", "versions/v1"):
                async with site.session.get(f"{url}/v1/{path}") as read:
                    body = await read.json()
                [shown] = body.get("versions", [body])
                assert (shown["standing"], shown["actors"]) == ("Reinterpreted", 2)
            actors = f"{url}/v1/actors"
            sending = site.session.post(f"{actors}/b/events", json={"type": "WAIVE"})
            async with sending as refused:
                problem = await refused.json()
                assert refused.status == 503
                assert refused.headers["Retry-After"] == "1"
            assert problem["type"].endswith("/semantics-differ")
            assert "version v1 of machine loan" in problem["detail"]
            assert "in fee, PAY led to documents and would lead to review" in problem["detail"]
            several = [{"actor": "b", "type": "PAY"}, {"actor": "nobody", "type": "PAY"}]
            async with site.session.post(f"{url}/v1/events", json=several) as batch:
                assert [one["status"] for one in await batch.json()] == [503, 404]
            async with site.session.post(actors, json={"id": "c", "version": "v1"}) as spawned:
                assert spawned.status == 503
            async with site.session.get(f"{actors}/b") as read:
                assert (read.status, (await read.json())["state"]) == (200, "fee")
    assert (await site.get("/v1/versions/v1")).body["standing"] == "Applied"
    assert (await site.send("b", "PAY")).body["state"] == "documents"


async def test_who_only_reads_takes_nothing_over(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    with release(2):
        app = create(site.database, site.namespace)
        async with listening(app, "127.0.0.1", 0) as url:
            for _ in range(2):
                async with site.session.get(f"{url}/v1/versions/v1") as read:
                    assert (await read.json())["standing"] == "Applied"
            assert await _kept_under(site) == 1
            events = f"{url}/v1/actors/a/events"
            async with site.session.post(events, json={"type": "WAIVE"}) as sent:
                assert sent.status == 200
    assert await _kept_under(site) == 2


async def _kept_under(site: Site) -> int:
    async def work(connection: AsyncConnection) -> int:
        found = await versions.find(connection, site.namespace, VersionName("v1"))
        assert found is not None
        return found.semantics

    return await site.database.read(work)
