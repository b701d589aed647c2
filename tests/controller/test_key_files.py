"""Key rings on disk: a file, a folder, a mounted Secret; and what becomes of a running process when they change."""

import base64
import logging
from pathlib import Path

import pytest

from statekeep.controller.key_files import Follower, read
from statekeep.engine.errors import KeyRingInvalid
from statekeep.engine.store.keyring import KeyHolder, KeyRing

MAY, JUNE = bytes(range(32)), bytes(range(32, 64))


def line(key_id: str, key: bytes) -> str:
    return f"{key_id}: {base64.b64encode(key).decode()}\n"


def order(ring: KeyRing) -> list[str]:
    return list(ring.keys)


class Secret:
    """A Secret as the kubelet mounts it: links to links to the files of one generation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._generation = 0

    def put(self, **files: bytes) -> None:
        """Change all files at once."""
        self._generation += 1
        fresh = self.path / f"..2026_{self._generation}"
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_bytes(content)
        (self.path / "..data_tmp").symlink_to(fresh.name)
        (self.path / "..data_tmp").rename(self.path / "..data")
        for name in files:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    return Secret(tmp_path / "secret")


def test_a_file_is_a_ring_its_first_key_seals(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(line("june", JUNE) + line("may", MAY))
    assert read(path) == KeyRing({"june": JUNE, "may": MAY})
    assert order(read(path)) == ["june", "may"]


def test_a_secret_may_hold_bytes_or_base64_and_says_which_key_seals(secret: Secret) -> None:
    secret.put(may=MAY, june=base64.b64encode(JUNE) + b"\n", primary=b"may\n")
    assert order(read(secret.path)) == ["may", "june"]
    secret.put(may=MAY, june=JUNE, primary=b"june")
    assert order(read(secret.path)) == ["june", "may"]
    assert read(secret.path).keys == {"may": MAY, "june": JUNE}


def test_a_single_key_of_a_folder_seals(tmp_path: Path) -> None:
    (tmp_path / "may").write_bytes(MAY)
    (tmp_path / ".hidden").write_bytes(b"not a key")
    assert order(read(tmp_path)) == ["may"]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "has no keys: one file each"),
        ({"may": MAY, "june": JUNE}, "has the keys june, may: a file primary beside them must say"),
        ({"may": MAY, "primary": b"april"}, "primary names no file beside it: may"),
        ({"may": MAY[:31]}, "may holds neither 32 bytes nor their base64"),
        ({"may": base64.b64encode(MAY[:31])}, "may holds neither 32 bytes nor their base64"),
        ({"keys": line("may", MAY).encode()}, "is named itself, not its folder"),
        ({"primary": b"may"}, "primary names no file beside it"),
    ],
    ids=["nothing", "which?", "not there", "short", "short base64", "a ring", "no key"],
)
def test_a_folder_that_is_no_ring_says_why(
    secret: Secret, files: dict[str, bytes], complaint: str
) -> None:
    secret.put(**files)
    with pytest.raises(KeyRingInvalid, match=complaint):
        read(secret.path)


@pytest.mark.parametrize(
    "content",
    [
        base64.b64encode(MAY) + b": may",
        b"may " + base64.b64encode(MAY),
        b"may: " + base64.b64encode(MAY)[:40],
        b"may: " + base64.b64encode(MAY) + b"\nmay: " + base64.b64encode(JUNE),
        MAY,
    ],
    ids=["turned round", "no colon", "cut off", "one id twice", "bytes"],
)
def test_a_complaint_shows_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(KeyRingInvalid) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert base64.b64encode(MAY).decode()[:12] not in str(refused.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyRingInvalid, match="cannot be read: No such file"):
        read(tmp_path / "nothing")


def test_a_changed_ring_is_taken_over(secret: Secret, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    secret.put(may=MAY)
    holder = KeyHolder(read(secret.path))
    follower = Follower(secret.path, holder)
    follower.look()
    assert caplog.messages == []
    secret.put(may=MAY, june=JUNE, primary=b"may")
    follower.look()
    assert order(holder.ring) == ["may", "june"]
    secret.put(may=MAY, june=JUNE, primary=b"june")
    follower.look()
    follower.look()
    assert order(holder.ring) == ["june", "may"]
    assert caplog.messages == [
        "the key ring was loaded again: may seals, may, june open",
        "the key ring was loaded again: june seals, june, may open",
    ]


def test_two_keys_that_change_places_are_a_change(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(line("may", MAY) + line("june", JUNE))
    holder = KeyHolder(read(path))
    follower = Follower(path, holder)
    follower.look()
    path.write_text(line("june", JUNE) + line("may", MAY))
    follower.look()
    assert order(holder.ring) == ["june", "may"]


def test_a_broken_ring_is_logged_once_and_the_old_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys"
    path.write_text(line("may", MAY))
    holder = KeyHolder(read(path))
    follower = Follower(path, holder)
    for broken in ("june", "", None, "june"):
        if broken is None:
            path.unlink()
        else:
            path.write_text(broken)
        caplog.clear()
        follower.look()
        follower.look()
        assert order(holder.ring) == ["may"]
        [message] = caplog.messages
        assert message.startswith("the key ring cannot be loaded again, the old one stays in use: ")
    path.write_text(line("june", JUNE))
    follower.look()
    assert order(holder.ring) == ["june"]
