"""Encryption at rest: AES-256-GCM under a ring of keys.

A sealed value is ``0x01 | length of key id | key id | nonce (12) | ciphertext and tag``. The
associated data names what the value is and where it stands (actor, position), so that a value moved
to another row does not decrypt. The first key of the ring seals; every key of it opens.

A ring never changes. A process holds the one in use in a ``KeyHolder``, whose ring is replaced as a whole.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from statekeep.engine.errors import KeyRingInvalid, SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id, in order; the first one seals."""

    keys: Mapping[str, bytes] = field(repr=False)

    header: bytes = field(init=False, repr=False, compare=False)
    """What every value begins with that the sealing key has sealed, and no other value does."""

    _cipher: AESGCM = field(init=False, repr=False, compare=False)
    """Seals."""

    def __post_init__(self) -> None:
        """Check that there is a key and that each is usable."""
        if not self.keys:
            raise KeyRingInvalid("the key ring is empty")
        for key_id, key in self.keys.items():
            if not 1 <= len(key_id.encode()) <= 255:
                raise KeyRingInvalid("a key id has 1 to 255 bytes")
            if len(key) != KEY_BYTES:
                raise KeyRingInvalid(f"key {key_id} has {len(key)} bytes instead of {KEY_BYTES}")
        name = self.sealing.encode()
        # Frozen for everybody else.
        object.__setattr__(self, "header", bytes((_FORMAT, len(name))) + name)
        object.__setattr__(self, "_cipher", AESGCM(self.keys[self.sealing]))

    @property
    def sealing(self) -> str:
        """The id of the key that seals."""
        return next(iter(self.keys))

    def seal(self, plaintext: bytes, place: bytes) -> bytes:
        """Return the plaintext sealed under the first key; it opens only at the same place."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, plaintext, self.header + place)
        return self.header + nonce + sealed

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            SealBroken: the key is not in the ring, the value was changed, or it was sealed
                for another place.
        """
        if len(sealed) < 2 or sealed[0] != _FORMAT:
            raise SealBroken("the value is not in a format that this release knows")
        header, body = sealed[: 2 + sealed[1]], sealed[2 + sealed[1] :]
        key_id = header[2:].decode(errors="replace")
        key = self.keys.get(key_id)
        if key is None:
            raise SealBroken(f"key {key_id} is not in the key ring")
        try:
            return AESGCM(key).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], header + place)
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the value was changed or belongs to another row") from error


@dataclass(slots=True)
class KeyHolder:
    """Where a process keeps the ring in use; whoever seals or opens takes it from here each time."""

    ring: KeyRing


def context_place(actor: UUID) -> bytes:
    """Return the associated data of an actor's context."""
    return b"statekeep/context/" + actor.bytes


def event_place(actor: UUID, seq: int) -> bytes:
    """Return the associated data of the payload of an actor's event number ``seq``."""
    return b"statekeep/event/" + actor.bytes + seq.to_bytes(8)


def read_key_ring(text: str) -> KeyRing:
    """Read a key ring: one ``id: base64`` a line, the sealing key first; ``#`` begins a comment.

    >>> sorted(read_key_ring("k1: " + base64.b64encode(bytes(32)).decode()).keys)
    ['k1']
    """
    keys: dict[str, bytes] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key_id, colon, encoded = (part.strip() for part in line.partition(":"))
        if not colon or not key_id:
            raise KeyRingInvalid(f"line {number} is not of the form id: base64")
        if key_id in keys:
            raise KeyRingInvalid(f"line {number} names the key {key_id} again")
        if _is_key(key_id):  # a message that repeats it would print the key
            raise KeyRingInvalid(f"line {number} has the key before the colon; write id: base64")
        try:
            keys[key_id] = base64.b64decode(encoded, validate=True)
        except ValueError as error:  # not base64, or not even ASCII
            raise KeyRingInvalid(f"the key {key_id} in line {number} is not base64") from error
    return KeyRing(keys)


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except ValueError:
        return False


def new_key_ring_text() -> str:
    """Return the text of a key ring with one new random key under an id of its own."""
    return f"k-{os.urandom(4).hex()}: {base64.b64encode(os.urandom(KEY_BYTES)).decode()}\n"
