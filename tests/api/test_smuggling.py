"""Bytes that two servers could read in two ways: the API reads them in one, or not at all."""

from collections.abc import Iterator

import pytest
from tests.api.process import Api, ask
from tests.api.raw import exchanged, statuses

BODY = b'{"type": "START"}'
HIDDEN = b"GET /v1/actors/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""A request that must not be taken for one of its own: its answer would name what it asks for."""

POST = b"POST /v1/actors/a/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
GET = b"GET /v1/actors/a HTTP/1.1\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[Api]:
    """The real process, one actor in it."""
    home = tmp_path_factory.mktemp("smuggling")
    process = Api(home, shared_url, "--namespace", "smuggling")
    try:
        yield process
    finally:
        process.kill()


AMBIGUOUS: dict[str, bytes] = {
    "a length and chunks": POST + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + HIDDEN,
    "chunks and a length": POST
    + b"Transfer-Encoding: chunked\r\n"
    + LENGTH
    + b"\r\n"
    + CHUNKED
    + HIDDEN,
    "two lengths": POST + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY + HIDDEN,
    "one length twice": POST + LENGTH + LENGTH + b"\r\n" + BODY + HIDDEN,
    "lengths in a list": POST + b"Content-Length: 17, 17\r\n\r\n" + BODY + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +17\r\n\r\n" + BODY + HIDDEN,
    "a length below zero": POST + b"Content-Length: -1\r\n\r\n" + BODY + HIDDEN,
    "a length in hexadecimal": POST + b"Content-Length: 0x11\r\n\r\n" + BODY + HIDDEN,
    "a length with an underscore": POST + b"Content-Length: 1_7\r\n\r\n" + BODY + HIDDEN,
    "a length in foreign digits": POST + "Content-Length: １７\r\n\r\n".encode() + BODY + HIDDEN,
    "an encoding that is not chunked": POST
    + b"Transfer-Encoding: xchunked\r\n\r\n"
    + CHUNKED
    + HIDDEN,
    "chunked and then something": POST
    + b"Transfer-Encoding: chunked, identity\r\n\r\n"
    + CHUNKED
    + HIDDEN,
    "two encodings": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
    + CHUNKED,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED + HIDDEN,
    "a tab before the encoding": POST + b"\tTransfer-Encoding: chunked\r\n\r\n" + CHUNKED + HIDDEN,
    "an encoding behind a control character": POST
    + b"Transfer-Encoding: \x0bchunked\r\n\r\n"
    + CHUNKED,
    "a folded header": POST + b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a chunk whose size is no number": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY,
    "a chunk whose size has a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+11\r\n" + BODY,
    "a chunk whose size has a prefix": POST + b"Transfer-Encoding: chunked\r\n\r\n0x11\r\n" + BODY,
    "a chunk that ends with a bare LF": POST
    + b"Transfer-Encoding: chunked\r\n\r\n11\r\n"
    + BODY
    + b"\n0\n\n",
    "a chunk longer than it says": POST
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"
    + BODY
    + b"\r\n0\r\n\r\n",
    "NUL in a header": GET + b"Host: a\r\nX: a\x00b\r\n\r\n",
    "NUL in a header's name": GET + b"Host: a\r\nX\x00: a\r\n\r\n",
    "a bare CR in a header": GET + b"Host: a\r\nX: a\rY: b\r\n\r\n",
    "a header without a colon": GET + b"Host: a\r\nnonsense\r\n\r\n",
    "a header without a name": GET + b"Host: a\r\n: a\r\n\r\n",
    "NUL in the path": b"GET /v1/actors/\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the path": b"GET /v1/actors/a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab for a space": b"GET\t/v1/actors/a\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /v1/actors/a\r\nHost: a\r\n\r\n",
    "a version of the future": b"GET /v1/actors/a HTTP/9.9\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method that is none": b"G(T /v1/actors/a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a ClientHello of TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(40)),
    "a header that is too long": GET + b"Host: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "too many headers": GET
    + b"Host: a\r\n"
    + b"".join(b"X%d: a\r\n" % n for n in range(5_000))
    + b"\r\n",
    "a path that is too long": b"GET /v1/" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "garbage behind a request": GET + b"Host: a\r\n\r\n" + b"\x00\xff garbage \r\n\r\n",
}
"""Each with the first request in it, that a second one may follow."""


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_bytes_that_can_be_read_in_two_ways_are_refused(api: Api, what: str) -> None:
    received = exchanged(api.url, AMBIGUOUS[what])
    [status] = statuses(received)
    assert 400 <= status < 500
    assert b"smuggled" not in received
    # And whoever comes next is not served what was left of it.
    assert ask(f"{api.url}/v1/actors")[1] == {"actors": []}
    assert ask(f"{api.url}/healthz")[0] == 200


def test_requests_behind_each_other_are_answered_in_their_order(api: Api) -> None:
    names = [f"n{number}" for number in range(20)]
    requests = [f"GET /v1/actors/{name} HTTP/1.1\r\nHost: a\r\n\r\n" for name in names]
    last = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    received = exchanged(api.url, "".join([*requests, last]).encode())
    assert statuses(received) == [404] * 20 + [200]
    places = [received.index(f"actor {name} does not".encode()) for name in names]
    assert places == sorted(places)


@pytest.mark.parametrize("host", ["a", "other.example", "statekeep.io:443"])
def test_a_whole_url_for_a_path_leads_to_nothing_else(api: Api, host: str) -> None:
    end = b"Host: a\r\nConnection: close\r\n\r\n"
    for path, status in ((b"/healthz", 200), (b"/v1/actors/a", 404), (b"/metricz", 404)):
        request = b"GET http://%s%s HTTP/1.1\r\n%s" % (host.encode(), path, end)
        assert statuses(exchanged(api.url, request)) == [status]


BREAKS = ("%0d%0a", "%0D%0A%0D%0A", "%0a", "%0d", "%e5%98%8a%e5%98%8d", "%c2%85", "%e2%80%a8")
"""Line ends, encoded, and letters that some servers have taken for them."""

ECHOED = (
    "/v1/actors/x{}X-Injected:%20yes",
    "/v1/actors/x{}X-Injected:%20yes/events",
    "/v1/versions/x{}X-Injected:%20yes",
    "/v1/deployments/1{}X-Injected:%20yes/decisions",
    "/v1/namespaces/x{}X-Injected:%20yes/actors",
    "/v1/actors?cursor=x{}X-Injected:%20yes",
    "/v1/actors?x{}X-Injected:%20yes=1",
    "/x{}X-Injected:%20yes",
)
"""Where a caller names something that an answer may repeat."""


@pytest.mark.parametrize("line_end", BREAKS)
def test_nothing_that_a_caller_names_ends_a_header(api: Api, line_end: str) -> None:
    for path in ECHOED:
        request = f"GET {path.format(line_end)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        received = exchanged(api.url, request.encode())
        assert len(statuses(received)) == 1, path
        assert b"\r\nx-injected" not in received.lower(), path


@pytest.mark.parametrize(
    "header",
    [
        b'Idempotency-Key: "a\tb"',
        b"Idempotency-Key: \xff\xfe",
        b'If-Match: "3" X-Injected: yes',
        b'If-None-Match: "\xe5\x98\x8a"',
        b"Prefer: handling=\x7f",
        b"Authorization: Bearer \xe5\x98\x8a",
    ],
    ids=["a tab", "no ASCII", "a seq and more", "a tag", "a preference", "a token"],
)
def test_headers_with_strange_bytes_get_one_answer(api: Api, header: bytes) -> None:
    head = POST + LENGTH + header + b"\r\nConnection: close\r\n\r\n"
    received = exchanged(api.url, head + BODY)
    assert statuses(received)[0] in (400, 404)
    assert b"x-injected" not in received.lower().split(b"\r\n\r\n")[0]
