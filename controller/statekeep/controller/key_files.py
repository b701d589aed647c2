"""Key rings on disk, and following their changes.

A ring is one file (``id: base64`` a line, the sealing key first), or a folder with one file a key, as a Secret is
mounted: its name is the id, its content the 32 bytes or their base64, and the file ``primary`` holds the id of the key
that seals; with a single key it may be absent. That a key is added and that it seals are thus two changes, which
rotation needs.
"""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from statekeep.engine.errors import KeyRingInvalid
from statekeep.engine.store.keyring import KEY_BYTES, KeyHolder, KeyRing, read_key_ring

PRIMARY = "primary"
"""The file of a folder that names the sealing key."""

GENERATION = "..data"
"""What the kubelet swaps to change all files of a mounted Secret at once."""

POLL_S = 3.0
"""How often a ring is looked at. Its contents are compared, not its times: they are tiny, and links move."""

log = logging.getLogger(__name__)


def read(path: Path) -> KeyRing:
    """Return the ring that is there.

    Raises:
        KeyRingInvalid: with the path, and what is wrong.
    """
    return _ring(path, _contents(path))


async def follow(path: Path, holder: KeyHolder) -> None:
    """Replace the ring of the holder whenever the one on disk changes, for ever.

    A ring that cannot be used is logged, once, and the one in use goes on being used.
    """
    follower = Follower(path, holder)
    while True:
        await asyncio.sleep(POLL_S)
        await asyncio.to_thread(follower.look)


@asynccontextmanager
async def following(path: Path, holder: KeyHolder) -> AsyncIterator[None]:
    """Follow the ring on disk while the context is open."""
    task = asyncio.create_task(follow(path, holder))
    try:
        yield
    finally:
        task.cancel()


class Follower:
    """What ``follow`` remembers between two looks."""

    def __init__(self, path: Path, holder: KeyHolder) -> None:
        self._path = path
        self._holder = holder
        self._seen: Mapping[str, bytes] = {}
        self._complaint = ""

    def look(self) -> None:
        """Look once."""
        try:
            contents = _contents(self._path)
            if contents == self._seen:
                return
            ring = _ring(self._path, contents)
        except KeyRingInvalid as error:
            if str(error) != self._complaint:
                log.error(
                    "the key ring cannot be loaded again, the old one stays in use: %s", error
                )
            self._complaint = str(error)
            return
        self._seen, self._complaint = contents, ""
        if list(ring.keys.items()) != list(self._holder.ring.keys.items()):
            self._holder.ring = ring
            ids = ", ".join(ring.keys)
            log.info("the key ring was loaded again: %s seals, %s open", ring.sealing, ids)


def _contents(path: Path) -> Mapping[str, bytes]:
    """Return the bytes of each file of a folder by name, or those of the file under no name."""
    try:
        if not path.is_dir():
            return {"": path.read_bytes()}
        # The files of one generation, all of them: not some of the one and some of the next.
        folder = (path / GENERATION).resolve() if (path / GENERATION).exists() else path
        files = sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))
        return {file.name: file.read_bytes() for file in files}
    except OSError as error:
        raise KeyRingInvalid(f"{path} cannot be read: {error.strerror or error}") from error


def _ring(path: Path, contents: Mapping[str, bytes]) -> KeyRing:
    if "" in contents:
        return _from_file(path, contents[""])
    keys = {name: _key(path / name, raw) for name, raw in contents.items() if name != PRIMARY}
    if PRIMARY in contents:
        first = contents[PRIMARY].decode(errors="replace").strip()
        if first not in keys:
            raise KeyRingInvalid(f"{path / PRIMARY} names no file beside it: {', '.join(keys)}")
    elif len(keys) == 1:
        first = next(iter(keys))
    elif keys:
        raise KeyRingInvalid(
            f"{path} has the keys {', '.join(keys)}: a file {PRIMARY} beside them must say which seals"
        )
    else:
        raise KeyRingInvalid(f"{path} has no keys: one file each, its name the id")
    return KeyRing({first: keys[first], **keys})


def _from_file(path: Path, raw: bytes) -> KeyRing:
    try:
        return read_key_ring(raw.decode())
    except UnicodeDecodeError as error:
        raise KeyRingInvalid(f"{path} is not a key ring: one `id: base64` a line") from error
    except KeyRingInvalid as error:
        raise KeyRingInvalid(f"{path}: {error}") from error


def _key(path: Path, raw: bytes) -> bytes:
    if len(raw) == KEY_BYTES:
        return raw
    try:
        key = base64.b64decode(raw.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyRingInvalid(
            f"{path} holds neither {KEY_BYTES} bytes nor their base64; a ring of `id: base64` lines is "
            "named itself, not its folder"
        )
    return key
