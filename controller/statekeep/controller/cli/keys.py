"""``statekeep keys``: the keys of callers (``sk_…``), and the keys that data is encrypted with."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import click
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.access import secret
from statekeep.controller.access.keys import KNOWN_S
from statekeep.controller.access.scopes import SCOPES
from statekeep.controller.api.requests import NAMESPACE_RULE, is_namespace
from statekeep.controller.cli.database import database_url
from statekeep.controller.cli.printable import printable
from statekeep.controller.cli.rotation import generate, rotate, status
from statekeep.controller.cli.tables import console
from statekeep.engine.errors import StatekeepError
from statekeep.engine.ids import Namespace
from statekeep.engine.store import api_keys
from statekeep.engine.store.api_keys import ApiKey
from statekeep.engine.store.database import check, connect
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring

T = TypeVar("T")

_LIFETIME = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class KeyUnknown(StatekeepError):
    """There is no key of that id."""


def _namespace(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_namespace(value):
        raise click.BadParameter(NAMESPACE_RULE)
    return value


def _lifetime(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    form = _LIFETIME.fullmatch(value)
    if form is None:
        raise click.BadParameter("a number of minutes, hours, days or weeks: 90d, 12h, 30m, 4w")
    return timedelta(**{_UNITS[form[2]]: int(form[1])})


@click.group()
def keys() -> None:
    """Keys of callers (create, list, revoke); keys of the encryption (generate, status, rotate)."""


@keys.command("create")
@click.option(
    "-n", "--namespace", required=True, callback=_namespace, help="The only one that it opens."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(list(SCOPES)),
    help="What it may do there; may be given several times.",
)
@click.option(
    "--expires", "lifetime", callback=_lifetime, help="After 90d, 12h, 4w, …  [default: never]"
)
@click.option("--note", default="", help="Whose it is, and what for.")
@database_url
def create(
    namespace: str, scopes: tuple[str, ...], lifetime: timedelta | None, note: str, url: str
) -> None:
    """Make a key for callers of an API with `--auth keys`; prints it, once."""
    if "\0" in note:
        raise click.BadParameter("a note has no NUL characters", param_hint="--note")
    key_id, text = secret.new_key()
    # As they stand in the table of scopes, each once.
    wanted = [scope for scope in SCOPES if scope in scopes]

    async def work(connection: AsyncConnection) -> ApiKey:
        return await api_keys.create(
            connection,
            key_id,
            secret.digest(text),
            Namespace(namespace),
            wanted,
            note=note,
            lifetime=lifetime,
        )

    key = _in_database(url, work)
    until = "it does not expire" if key.expires_at is None else f"until {_time(key.expires_at)}"
    click.echo(
        f"Key {key.id} for the namespace {key.namespace}: {', '.join(key.scopes)}; {until}.\n"
        "This is the only time that it is shown:",
        err=True,
    )
    click.echo(text)


@keys.command("list")
@click.option("-n", "--namespace", callback=_namespace, help="Of this one only.")
@click.option("--json", "raw", is_flag=True, help="Print a JSON array.")
@database_url
def list_keys(namespace: str | None, url: str, *, raw: bool) -> None:
    """List the keys of callers; what they open, and when they were used last."""
    found = _in_database(
        url,
        lambda connection: api_keys.find_all(
            connection, None if namespace is None else Namespace(namespace)
        ),
    )
    if raw:
        click.echo(json.dumps([_document(key) for key in found], indent=2))
        return
    if not found:
        click.echo("There are no keys yet. Make one: statekeep keys create --namespace … --scope …")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("KEY", "NAMESPACE", "SCOPES", "STANDING", "CREATED", "LAST USED", "NOTE"):
        table.add_column(column, overflow="fold")
    for key in found:
        used = "never" if key.last_used_at is None else _time(key.last_used_at)
        row = (key.id, key.namespace, ", ".join(key.scopes), _standing(key))
        table.add_row(*row, _time(key.created_at), used, printable(key.note))
    console().print(table)


@keys.command("revoke")
@click.argument("key")
@database_url
def revoke(key: str, url: str) -> None:
    """Revoke KEY: its id, or all of it. It cannot be taken back."""
    key_id = secret.public_id(key) or key
    revoked = _in_database(url, lambda connection: api_keys.revoke(connection, key_id))
    if revoked is None:
        # Whatever was given may be a key that was not copied whole: it is not repeated.
        raise KeyUnknown("no key has that id; `statekeep keys list` shows them")
    click.echo(f"{revoked.id} is revoked. Within {KNOWN_S:g} s every API refuses it.")


keys.add_command(generate)
keys.add_command(status)
keys.add_command(rotate)


def _in_database(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run a piece of work in one transaction of a database with this release's schema."""

    async def run() -> T:
        # Nothing sealed is touched, so any key will do.
        database = connect(url, read_key_ring(new_key_ring_text()))
        try:
            await check(database)
            return await database.transact(work)
        finally:
            await database.close()

    return asyncio.run(run())


def _standing(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_time(key.revoked_at)}"
    if key.expires_at is None:
        return "in force"
    return f"{'expired' if _is_over(key) else 'in force until'} {_time(key.expires_at)}"


def _is_over(key: ApiKey) -> bool:
    return key.expires_at is not None and key.expires_at <= datetime.now(UTC)


def _document(key: ApiKey) -> dict[str, object]:
    """Return a key as JSON shows it; times that there are none of are null."""
    times = {
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
        "lastUsedAt": key.last_used_at,
    }
    return {
        "id": key.id,
        "namespace": key.namespace,
        "scopes": key.scopes,
        "note": key.note,
        "isInForce": key.revoked_at is None and not _is_over(key),
        **{
            name: None if at is None else at.astimezone(UTC).isoformat()
            for name, at in times.items()
        },
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
