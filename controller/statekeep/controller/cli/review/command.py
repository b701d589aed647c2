"""``statekeep review``: what a pull request would do to actors, as one comment on it."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import click

from statekeep.controller.cli.calls import NoAnswer, Server, calling, server_option
from statekeep.controller.cli.comment import MAX_COMMENT
from statekeep.controller.cli.review.changes import Change, Changes, changes
from statekeep.controller.cli.review.forge import Forge, publish
from statekeep.controller.cli.review.github import github
from statekeep.controller.cli.review.gitlab import gitlab
from statekeep.controller.cli.review.report import marker, report
from statekeep.controller.cli.review.verdict import FAILURES, Unasked, Verdict, judge, judge_removal
from statekeep.controller.manifest.manifest import Manifest
from statekeep.engine.ids import Namespace

Connect = Callable[[Mapping[str, str], int | None], AbstractAsyncContextManager[Forge]]

NAME_SERVER = "name the event API, as this job reaches it, with --server or STATEKEEP_SERVER"

FORGES: dict[str, Connect] = {"github": github, "gitlab": gitlab}


def _environment(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return a name that can stand in the first line of a comment."""
    if value is not None and not value.replace("-", "").replace("_", "").isalnum():
        raise click.BadParameter("letters, digits, - and _ only")
    return value


@click.command()
@click.argument("named", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--since",
    metavar="COMMIT",
    help="Only what has changed, says git, since the branch left COMMIT, such as origin/main.",
)
@click.option(
    "--post",
    type=click.Choice(list(FORGES)),
    help="Post the comment on the pull request that the CI job runs for, or edit the one that is there.",
)
@click.option(
    "--pull-request",
    type=click.IntRange(min=1),
    help="Its number, if the job's variables do not tell.",
)
@click.option(
    "--environment",
    callback=_environment,
    help="Which cluster this is, if several have a comment each.",
)
@click.option("-n", "--namespace", help="Where versions live whose manifest does not say so.")
@server_option
def review(
    named: Sequence[str],
    since: str | None,
    post: str | None,
    pull_request: int | None,
    environment: str | None,
    namespace: str | None,
    server: Server,
) -> None:
    """Preview every version in each FILE or folder, and tell it in one comment.

    Prints the comment. Exits with 1 if a manifest has errors, an applied version was edited, or a
    preview failed; the comment says so then. Nothing is changed on the server.
    """
    found = changes(named, since, None if namespace is None else Namespace(namespace))
    failed = asyncio.run(_review(found, server, post, pull_request, environment))
    sys.exit(1 if failed else 0)


async def _review(
    found: Changes,
    server: Server,
    post: str | None,
    pull_request: int | None,
    environment: str | None,
) -> bool:
    """Judge, tell and post; return whether something must not be merged as it is."""
    verdicts = await _judge(found, server)
    if post is None:
        click.echo(report(verdicts, environment, MAX_COMMENT))
    else:
        async with FORGES[post](os.environ, pull_request) as forge:
            text = report(verdicts, environment, forge.limit)
            click.echo(text)
            done = await publish(forge, marker(environment), text, is_news=bool(verdicts))
        click.echo(f"statekeep: {done}", err=True)
    return any(isinstance(verdict, FAILURES) for verdict in verdicts)


async def _judge(found: Changes, server: Server) -> list[Verdict]:
    """Return the verdicts; a server that does not answer is asked, and told of, once."""
    verdicts: list[Verdict] = [*found.broken]
    pending: list[Change | Manifest] = [*found.versions, *found.removed]
    async with calling(replace(server, advice=NAME_SERVER)) as caller:
        for number, one in enumerate(pending):
            try:
                match one:
                    case Change() as change:
                        verdicts.append(await judge(caller, change, found.known))
                    case removed:
                        verdicts.append(await judge_removal(caller, removed))
            except NoAnswer as error:
                rest = [o.manifest if isinstance(o, Change) else o for o in pending[number:]]
                return [*verdicts, Unasked(tuple(rest), str(error))]
    return verdicts
