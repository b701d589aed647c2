"""Who may call: every route with every kind of caller, over real HTTP, with a real Postgres."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import psycopg
import pytest
from tests.api.conftest import MEMBERS, PROBLEM, Reply, Site
from tests.api.reviews import OWN_TOKEN, FakeCluster, fake_cluster

from statekeep.controller.access import kubernetes, secret
from statekeep.controller.access.callers import Guard
from statekeep.controller.access.keys import KNOWN_S, KeyGuard
from statekeep.controller.access.kubernetes import ClusterGuard, Reviews
from statekeep.controller.access.modes import Mode
from statekeep.controller.access.scopes import SCOPES, scope_of
from statekeep.controller.api import changes
from statekeep.controller.api.app import create
from statekeep.controller.api.routes import ROUTES, Route
from statekeep.controller.api.server import listening
from statekeep.controller.kubernetes.session import Session
from statekeep.engine.ids import Namespace
from statekeep.engine.store import api_keys

AUDIENCE = "statekeep"

BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/actors"): {"id": "new", "version": "v1"},
    ("POST", "/actors/{id}/events"): {"type": "START"},
    ("POST", "/events"): [{"actor": "a", "type": "START"}],
}
"""What a route is sent; those that are not here get an empty object."""

QUERIES = {"/changes": {"follow": "false"}}
"""What stands behind a path, so that every answer comes to an end."""


@dataclass
class Clock:
    """Seconds, as a test counts them."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """An API that asks everybody at the door, and everything that it asks."""

    site: Site
    """The same database and namespace, where nobody is asked."""

    url: str
    cluster: FakeCluster
    clock: Clock = field(default_factory=Clock)

    @property
    def namespace(self) -> str:
        return self.site.namespace

    async def call(self, method: str, path: str, token: str | None, **options: Any) -> Reply:
        """Send a request with a bearer token; check that a refusal is a problem."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        headers |= options.pop("headers", {})
        async with self.site.session.request(
            method, self.url + path, headers=headers, **options
        ) as response:
            reply = Reply(response.status, response.headers, await response.read())
        if reply.status >= 400:
            assert response.content_type == PROBLEM, reply
            assert set(reply.body) >= MEMBERS, reply
            assert token is None or token.encode() not in reply.raw
        return reply

    async def ask(self, route: Route, token: str | None, namespace: str | None) -> Reply:
        """Make the call of a route; without a namespace the path names none."""
        prefix = "/v1" if namespace is None else f"/v1/namespaces/{namespace}"
        path = route.path.replace("{id}", "a").replace("{name}", "v1")
        body = BODIES.get((route.method, route.path), {}) if route.method == "POST" else None
        query = QUERIES.get(route.path, {})
        return await self.call(route.method, prefix + path, token, json=body, params=query)

    def user(self, name: str, *, audience: str = AUDIENCE) -> str:
        """Return a token that the cluster knows; like a real one it says when it expires."""
        token = jwt(name, expires=time.time() + 3_600)
        self.cluster.users[token] = (name, audience)
        return token

    def account(self, name: str, namespace: str | None = None) -> tuple[str, str]:
        """Return (user name, token) of a service account; it lives in the site's namespace unless told."""
        user = f"system:serviceaccount:{namespace or self.namespace}:{name}"
        return user, self.user(user)

    def grant(self, user: str, route: Route, namespace: str | None = None) -> None:
        right = (user, route.verb, route.resource, namespace or self.namespace, None)
        self.cluster.grants.add(right)

    def grant_all(self, user: str, namespace: str | None = None) -> None:
        for route in ROUTES:
            self.grant(user, route, namespace)

    async def key(
        self,
        *scopes: str,
        namespace: str | None = None,
        lifetime: timedelta | None = None,
        revoked: bool = False,
    ) -> str:
        """Return a new key."""
        key_id, text = secret.new_key()

        async def work(connection: Any) -> None:
            await api_keys.create(
                connection,
                key_id,
                secret.digest(text),
                Namespace(namespace or self.namespace),
                scopes or tuple(SCOPES),
                note="",
                lifetime=lifetime,
            )
            if revoked:
                await api_keys.revoke(connection, key_id)

        await self.site.database.transact(work)
        return text

    async def revoke(self, key: str) -> None:
        await self.site.database.transact(
            lambda connection: api_keys.revoke(connection, secret.public_id(key) or "")
        )


def jwt(name: str, *, expires: float) -> str:
    """Return what looks like a token of a service account; nobody here checks signatures."""
    claims = json.dumps({"sub": name, "exp": expires}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


@pytest.fixture
async def house(site: Site) -> AsyncIterator[House]:
    await site.spawn("a")
    async with fake_cluster() as cluster:
        session = Session(cluster.login, agent="test")
        clock = Clock()
        posted: dict[Mode, Guard] = {
            Mode.KUBERNETES: ClusterGuard(Reviews(session, AUDIENCE), clock),
            Mode.KEYS: KeyGuard(site.database, clock),
        }
        app = create(site.database, site.namespace, posted)
        async with listening(app, "127.0.0.1", 0) as url:
            yield House(site, url, cluster, clock)
        await session.close()


IN, UNKNOWN, FORBIDDEN, UNTOLD = "gets in", 401, 403, 503


def gets_in(reply: Reply) -> bool:
    """Return whether a handler has answered; what, is a matter of other tests."""
    return reply.status not in (UNKNOWN, FORBIDDEN) and reply.status < 500


Prepared = tuple[str | None, int | str]
"""A token, and what becomes of a call with it."""


async def nobody(house: House) -> Prepared:
    return None, UNKNOWN


async def garbage(house: House) -> Prepared:
    return "garbage", UNKNOWN


async def expired(house: House) -> Prepared:
    return jwt("once", expires=time.time() - 60), UNKNOWN


async def wrong_audience(house: House) -> Prepared:
    user = f"system:serviceaccount:{house.namespace}:x"
    house.grant_all(user)
    return house.user(user, audience="https://kubernetes.default.svc"), UNKNOWN


async def no_audience(house: House) -> Prepared:
    user, token = house.account("x")
    house.grant_all(user)
    house.cluster.knows_audiences = False
    return token, UNKNOWN


async def revoked(house: House) -> Prepared:
    user, token = house.account("x")
    house.grant_all(user)
    for route in ROUTES:
        assert (await house.ask(route, token, house.namespace)).status < 500
    del house.cluster.users[token]
    house.clock.now += 60.0
    return token, UNKNOWN


async def no_grant(house: House) -> Prepared:
    return house.account("x")[1], FORBIDDEN


async def grant_elsewhere(house: House) -> Prepared:
    user, token = house.account("x")
    house.grant_all(user, "elsewhere")
    return token, FORBIDDEN


async def grant_of_another_user(house: House) -> Prepared:
    user, _ = house.account("x")
    house.grant_all(user)
    return house.account("y")[1], FORBIDDEN


async def grant_taken_away(house: House) -> Prepared:
    user, token = house.account("x")
    house.grant_all(user)
    for route in ROUTES:
        assert (await house.ask(route, token, house.namespace)).status < 500
    house.cluster.grants.clear()
    house.clock.now += 60.0
    return token, FORBIDDEN


async def full_grant(house: House) -> Prepared:
    user, token = house.account("x")
    house.grant_all(user)
    return token, IN


async def full_grant_of_a_person(house: House) -> Prepared:
    house.grant_all("ann@example.com")
    return house.user("ann@example.com"), IN


async def full_grant_from_another_namespace(house: House) -> Prepared:
    user, token = house.account("x", "elsewhere")
    house.grant_all(user)
    return token, IN


async def key(house: House) -> Prepared:
    return await house.key(), IN


async def key_elsewhere(house: House) -> Prepared:
    return await house.key(namespace="elsewhere"), FORBIDDEN


async def key_expired(house: House) -> Prepared:
    return await house.key(lifetime=timedelta(0)), UNKNOWN


async def key_revoked(house: House) -> Prepared:
    return await house.key(revoked=True), UNKNOWN


async def key_revoked_later(house: House) -> Prepared:
    text = await house.key()
    assert (await house.ask(ROUTES[0], text, house.namespace)).status == 200
    await house.revoke(text)
    house.clock.now += KNOWN_S
    return text, UNKNOWN


async def key_of_nobody(house: House) -> Prepared:
    return secret.new_key()[1], UNKNOWN


async def key_with_another_secret(house: House) -> Prepared:
    """The public id is known, and the checksum is right."""
    real = await house.key()
    body = real[: real.rindex("_") + 1] + "x" * 40
    return body + secret._checksum(body), UNKNOWN


async def key_with_a_typing_error(house: House) -> Prepared:
    text = await house.key()
    return text[:20] + ("a" if text[20] != "a" else "b") + text[21:], UNKNOWN


async def cluster_away(house: House) -> Prepared:
    token = house.account("x")[1]
    await house.cluster.stop()
    return token, UNTOLD


async def cluster_refuses_us(house: House) -> Prepared:
    token = house.account("x")[1]
    house.cluster.forbids = True
    return token, UNTOLD


async def cluster_away_after_all_was_asked(house: House) -> Prepared:
    user, token = house.account("x")
    house.grant_all(user)
    for route in ROUTES:
        await house.ask(route, token, house.namespace)
    await house.cluster.stop()
    house.clock.now += 59.0
    return token, IN


async def cluster_away_for_too_long(house: House) -> Prepared:
    _, _ = await cluster_away_after_all_was_asked(house)
    house.clock.now += 1.0
    return next(iter(house.cluster.users)), UNTOLD


async def cluster_away_for_a_key(house: House) -> Prepared:
    await house.cluster.stop()
    return await house.key(), IN


Prepare = Callable[[House], Awaitable[Prepared]]

CALLERS: tuple[Prepare, ...] = (
    nobody,
    garbage,
    expired,
    wrong_audience,
    no_audience,
    revoked,
    no_grant,
    grant_elsewhere,
    grant_of_another_user,
    grant_taken_away,
    full_grant,
    full_grant_of_a_person,
    full_grant_from_another_namespace,
    key,
    key_elsewhere,
    key_expired,
    key_revoked,
    key_revoked_later,
    key_of_nobody,
    key_with_another_secret,
    key_with_a_typing_error,
    cluster_away,
    cluster_refuses_us,
    cluster_away_after_all_was_asked,
    cluster_away_for_too_long,
    cluster_away_for_a_key,
)


@pytest.mark.parametrize("prepare", CALLERS, ids=lambda p: p.__name__.replace("_", " "))
async def test_every_route_treats_a_caller_alike(house: House, prepare: Prepare) -> None:
    token, expected = await prepare(house)
    before = (await house.site.get("/v1/actors")).raw
    for route in ROUTES:
        reply = await house.ask(route, token, house.namespace)
        if expected == IN:
            assert gets_in(reply), (route, reply)
            continue
        assert reply.status == expected, (route, reply)
        if expected == UNKNOWN:
            challenge = reply.headers["WWW-Authenticate"]
            assert challenge.startswith('Bearer realm="statekeep"')
            assert ("invalid_token" in challenge) == (token is not None)
        elif expected == FORBIDDEN:
            rest = (reply.body["verb"], reply.body["resource"], reply.body["namespace"])
            assert rest == (route.verb, route.resource, house.namespace)
            for part in rest:
                assert part in reply.detail or "is for the namespace" in reply.detail
        else:
            assert reply.kind == "authorization-unavailable"
            assert reply.headers["Retry-After"] == "1"
    if expected != IN:
        assert (await house.site.get("/v1/actors")).raw == before


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_opens_its_own_routes_and_no_other(house: House, scope: str) -> None:
    text = await house.key(scope)
    for route in ROUTES:
        reply = await house.ask(route, text, house.namespace)
        needed = scope_of(route.verb, route.resource)
        if needed == scope:
            assert gets_in(reply), (route, reply)
        else:
            assert reply.status == FORBIDDEN, (route, reply)
            assert f"scope {needed} is needed" in reply.detail


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_right_opens_the_routes_of_its_verb_and_resource_and_no_other(
    house: House, route: Route
) -> None:
    user, token = house.account("x")
    house.grant(user, route)
    for other in ROUTES:
        reply = await house.ask(other, token, house.namespace)
        is_it = (other.verb, other.resource) == (route.verb, route.resource)
        assert (reply.status != FORBIDDEN) == is_it, (other, reply)


def test_every_route_has_a_scope_and_every_scope_a_route() -> None:
    calls = {(route.verb, route.resource) for route in ROUTES}
    assert {call for call in calls if scope_of(*call) is None} == set()
    assert set().union(*SCOPES.values()) == calls


async def test_probes_and_unknown_paths_ask_nobody(house: House) -> None:
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/nothing", 404)):
        assert (await house.call("GET", path, None)).status == status


async def test_a_service_account_speaks_for_its_own_namespace(house: House) -> None:
    user, token = house.account("x", "elsewhere")
    house.grant_all(user, "elsewhere")
    spawned = await house.call("POST", "/v1/actors", token, json={"id": "a", "version": "v1"})
    assert spawned.status == 422  # v1 is not known there
    assert (await house.call("GET", "/v1/actors", token)).body == {"actors": []}
    assert (await house.ask(ROUTES[0], token, house.namespace)).status == 403
    person = house.user("ann@example.com")
    house.grant_all("ann@example.com")
    assert [a["id"] for a in (await house.call("GET", "/v1/actors", person)).body["actors"]] == [
        "a"
    ]


async def test_a_key_speaks_for_its_own_namespace(house: House) -> None:
    text = await house.key(namespace="elsewhere")
    assert (await house.call("GET", "/v1/actors", text)).body == {"actors": []}
    assert (await house.call("GET", "/v1/actors/a", text)).status == 404


async def test_a_refusal_does_not_tell_what_there_is(house: House) -> None:
    for token in (house.account("x")[1], await house.key("previews:create")):
        there = await house.call("GET", "/v1/actors/a", token)
        nowhere = await house.call("GET", "/v1/actors/nobody", token)
        assert (there.status, there.raw) == (403, nowhere.raw)
    stranger = await house.key(namespace="elsewhere")
    path = f"/v1/namespaces/{house.namespace}/actors/"
    there, nowhere = [await house.call("GET", path + name, stranger) for name in ("a", "nobody")]
    assert (there.status, there.raw) == (403, nowhere.raw)


async def test_a_name_that_is_no_namespace_is_told_only_to_those_who_are_known(
    house: House,
) -> None:
    path = "/v1/namespaces/Not_One/actors"
    assert (await house.call("GET", path, None)).status == 401
    assert (await house.call("GET", path, house.account("x")[1])).status == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic dTpw"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": ""},
    ],
)
async def test_what_is_no_bearer_token_is_no_token(house: House, headers: dict[str, str]) -> None:
    reply = await house.call("GET", "/v1/actors", None, headers=headers)
    assert reply.status == 401
    assert reply.detail == (
        "send an sk_ key or a service account token for the audience statekeep as "
        "Authorization: Bearer …"
    )


async def test_a_token_of_other_bytes_is_none(house: House) -> None:
    host, port = house.url.removeprefix("http://").split(":")
    for shown in (b"\xff\xfe", b"sk_\xff", "a.b.ü".encode()):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /v1/actors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + shown)
        writer.write(b"\r\n\r\n")
        assert b" 401 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert house.cluster.asked == []


async def test_who_may_write_but_not_read_is_not_shown_a_context_by_spawning_again(
    house: House,
) -> None:
    body = {"id": "b", "version": "v1", "context": {"iban": "DE89"}}
    writer, reader = await house.key("actors:write"), await house.key()
    user, token = house.account("x")
    house.cluster.grants.add((user, "create", "actors", house.namespace, None))
    assert (await house.call("POST", "/v1/actors", writer, json=body)).body["context"]
    patch = {"type": "START", "context": {"iban": "FR76"}}
    assert (await house.call("POST", "/v1/actors/b/events", writer, json=patch)).status == 200
    for caller, shown in ((writer, False), (token, False), (reader, True)):
        again = await house.call("POST", "/v1/actors", caller, json=body)
        assert (again.status, again.body["seq"]) == (200, 1)
        assert ("context" in again.body) == shown


async def test_two_tokens_are_none(house: House) -> None:
    user, token = house.account("x")
    house.grant_all(user)
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer other")]
    async with house.site.session.get(house.url + "/v1/actors", headers=headers) as response:
        assert response.status == 401


async def test_a_right_to_one_actor_opens_that_one(house: House) -> None:
    await house.site.spawn("b")
    user, token = house.account("x")
    right = (user, "create", "actors/events", house.namespace, "a")
    house.cluster.grants.add(right)
    for name, status in (("a", 200), ("b", 403)):
        path = f"/v1/actors/{name}/events"
        assert (await house.call("POST", path, token, json={"type": "START"})).status == status
    batch = [{"actor": "a", "type": "PAY"}]
    assert (await house.call("POST", "/v1/events", token, json=batch)).status == 403


async def test_what_a_review_says_is_what_rbac_needs(house: House) -> None:
    user, token = house.account("x")
    await house.call("GET", "/v1/actors/a/events", token)
    [review] = house.cluster.of("token")
    assert review == {"token": token, "audiences": [AUDIENCE]}
    whole, named = house.cluster.of("resourceAttributes")
    assert whole["resourceAttributes"] == {
        "group": "statekeep.io",
        "resource": "actors",
        "subresource": "events",
        "verb": "get",
        "namespace": house.namespace,
        "name": "",
    }
    assert named["resourceAttributes"] == whole["resourceAttributes"] | {"name": "a"}
    assert (whole["user"], whole["uid"]) == (user, f"uid-{user}")
    assert whole["extra"] == {"authentication.kubernetes.io/credential-id": [f"JTI={user}"]}


async def test_many_calls_at_once_are_two_questions(house: House) -> None:
    user, token = house.account("x")
    house.grant_all(user)
    replies = await asyncio.gather(
        *(house.call("GET", "/v1/actors/a", token) for _ in range(40)),
        *(house.call("GET", f"/v1/actors/{n}", token) for n in range(40)),
    )
    assert {reply.status for reply in replies} == {200, 404}
    assert len(house.cluster.asked) == 2


async def test_an_answer_is_kept_for_a_minute_and_a_refusal_for_ten_seconds(house: House) -> None:
    user, token = house.account("x")
    assert (await house.call("GET", "/v1/actors", token)).status == 403
    house.grant_all(user)
    house.clock.now += 9.0
    assert (await house.call("GET", "/v1/actors", token)).status == 403
    house.clock.now += 1.0
    assert (await house.call("GET", "/v1/actors", token)).status == 200
    del house.cluster.users[token]
    house.clock.now += 49.0
    assert (await house.call("GET", "/v1/actors", token)).status == 200
    house.clock.now += 1.0
    assert (await house.call("GET", "/v1/actors", token)).status == 401


async def test_a_token_is_not_remembered_beyond_its_end(house: House) -> None:
    token = jwt("ann", expires=time.time() + 20)
    house.cluster.users[token] = ("ann", AUDIENCE)
    house.grant_all("ann")
    assert (await house.call("GET", "/v1/actors", token)).status == 200
    del house.cluster.users[token]
    house.clock.now += 20.0
    assert (await house.call("GET", "/v1/actors", token)).status == 401


async def test_a_key_is_not_remembered_beyond_its_end(house: House, shared_url: str) -> None:
    text = await house.key(lifetime=timedelta(seconds=15))
    assert (await house.call("GET", "/v1/actors", text)).status == 200
    with psycopg.connect(shared_url) as connection:  # as if the time had passed there
        connection.execute(
            "update statekeep.api_key set expires_at = now() where id = %s",
            [secret.public_id(text)],
        )
    house.clock.now += 15.0
    assert (await house.call("GET", "/v1/actors", text)).status == 401


async def test_the_use_of_a_key_is_noted_once_a_minute(house: House, shared_url: str) -> None:
    text = await house.key()
    with psycopg.connect(shared_url, autocommit=True) as connection:

        def used() -> Any:
            [(moment,)] = connection.execute(
                "select last_used_at from statekeep.api_key where id = %s", [secret.public_id(text)]
            ).fetchall()
            return moment

        assert used() is None
        await house.call("GET", "/v1/actors", text)
        first = used()
        assert first is not None
        house.clock.now += KNOWN_S
        await house.call("GET", "/v1/actors", text)
        assert used() == first
        connection.execute(
            "update statekeep.api_key set last_used_at = now() - interval '61 s' where id = %s",
            [secret.public_id(text)],
        )
        house.clock.now += KNOWN_S
        await house.call("GET", "/v1/actors", text)
        assert used() >= first


async def test_a_silent_api_server_holds_up_few_and_those_not_for_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(kubernetes, "MAX_WAITING", 20)
    house.cluster.answers.clear()
    tokens = [house.account(f"x{n}")[1] for n in range(60)]
    replies = await asyncio.gather(*(house.call("GET", "/v1/actors", t) for t in tokens))
    assert {reply.status for reply in replies} == {503}
    # One that had waited may get a turn in the moment before its own time is over.
    assert len(house.cluster.asked) <= kubernetes.MAX_WAITING < len(tokens)
    house.cluster.answers.set()
    assert (await house.call("GET", "/v1/actors", tokens[0])).status == 403


async def test_credentials_of_ours_that_ended_are_renewed(house: House) -> None:
    user, token = house.account("x")
    house.grant_all(user)
    logins = []

    def login() -> Any:
        logins.append(1)
        house.cluster.own_token = OWN_TOKEN if len(logins) > 1 else "another"
        return house.cluster.login()

    session = Session(login, agent="test")
    guard = ClusterGuard(Reviews(session, AUDIENCE), house.clock)
    assert await guard.identify(token) is not None
    assert len(logins) == 2
    await session.close()


async def test_that_our_account_may_not_ask_is_logged_for_those_who_can_help(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from statekeep.controller.api import problems

    monkeypatch.setattr(problems, "QUIET_S", 0.0)
    house.cluster.forbids = True
    token = house.account("x")[1]
    with caplog.at_level(logging.DEBUG):
        assert (await house.call("GET", "/v1/actors", token)).status == 503
    assert "tokenreviews is forbidden" in caplog.text
    assert token not in caplog.text


async def test_a_stream_ends_when_its_caller_may_no_longer(house: House) -> None:
    text = await house.key("actors:write")
    first_is_answered = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        yield json.dumps({"actor": "a", "type": "START"}).encode() + b"\n"
        await first_is_answered.wait()
        yield json.dumps({"actor": "a", "type": "PAY"}).encode() + b"\n"

    headers = {"Authorization": f"Bearer {text}", "Content-Type": "application/x-ndjson"}
    async with house.site.session.post(
        house.url + "/v1/events", data=lines(), headers=headers
    ) as response:
        assert json.loads(await response.content.readline())["seq"] == 1
        await house.revoke(text)
        house.clock.now += KNOWN_S
        first_is_answered.set()
        assert json.loads(await response.content.readline())["status"] == 401
        assert await response.content.read() == b""
    assert (await house.site.actor("a"))["seq"] == 1


async def test_the_change_feed_ends_when_its_reader_may_no_longer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LOOK_S", 0.05)
    text = await house.key("changes:read")
    headers = {"Authorization": f"Bearer {text}"}
    async with house.site.session.get(house.url + "/v1/changes", headers=headers) as response:
        assert json.loads(await response.content.readline())["kind"] == "spawn"
        await house.revoke(text)
        house.clock.now += KNOWN_S
        async with asyncio.timeout(30):
            rest = await response.content.read()
    assert json.loads(rest.splitlines()[-1])["status"] == 401


async def test_whoever_leaves_first_takes_nobody_along(house: House) -> None:
    user, token = house.account("x")
    house.grant_all(user)
    house.cluster.answers.clear()
    first = asyncio.create_task(house.call("GET", "/v1/actors", token))
    async with asyncio.timeout(30):
        while not house.cluster.asked:  # noqa: ASYNC110  (the fake sets no asyncio.Event)
            await asyncio.sleep(0.01)
    second = asyncio.create_task(house.call("GET", "/v1/actors", token))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    house.cluster.answers.set()
    assert (await second).status == 200


def modes() -> Iterator[tuple[frozenset[Mode], str, str]]:
    """Yield modes, a token that they do not take, and what they ask for."""
    yield frozenset({Mode.KEYS}), jwt("ann", expires=time.time() + 9), "send an sk_ key"
    yield frozenset({Mode.KUBERNETES}), secret.new_key()[1], "send a service account token"


@pytest.mark.parametrize(
    ("taken", "token", "wanted"), list(modes()), ids=["keys only", "the cluster only"]
)
async def test_a_token_of_the_other_kind_is_not_taken(
    site: Site, taken: frozenset[Mode], token: str, wanted: str
) -> None:
    async with fake_cluster() as cluster:
        session = Session(cluster.login, agent="test")
        every: dict[Mode, Guard] = {
            Mode.KUBERNETES: ClusterGuard(Reviews(session, AUDIENCE)),
            Mode.KEYS: KeyGuard(site.database),
        }
        posted = {mode: guard for mode, guard in every.items() if mode in taken}
        async with (
            listening(create(site.database, site.namespace, posted), "127.0.0.1", 0) as url,
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client,
            client.get(url + "/v1/actors") as response,
        ):
            assert response.status == 401
            assert wanted in (await response.json(content_type=None))["detail"]
        assert cluster.asked == []
        await session.close()
