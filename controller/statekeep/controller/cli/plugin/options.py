"""What every command of the plugin understands: kubectl's own flags, and how to reach the event API."""

import copy
from typing import Any

import click

from statekeep.controller.cli.calls import NAMESPACE, TOKEN
from statekeep.controller.cli.plugin.kubectl import Kubectl
from statekeep.controller.cli.plugin.tunnel import find_service, tunnel
from statekeep.engine.ids import Namespace

SERVER = "url"
"""The parameter of commands that call the event API."""

_FLAGS = "statekeep.kubectl.flags"
_API = "statekeep.kubectl.api"

_PASSED_ON = {
    "--context": "The context of the kubeconfig.",
    "--kubeconfig": "The kubeconfig file.",
    "--cluster": "The cluster of the kubeconfig.",
    "--user": "The user of the kubeconfig.",
    "--as": "Whom to impersonate.",
}
"""The flags that go to kubectl as they are."""


def kubectl(context: click.Context) -> Kubectl:
    """Return kubectl with the flags that were given."""
    flags: dict[str, str] = context.meta.get(_FLAGS, {})
    namespace = flags.get("--namespace")
    return Kubectl(
        tuple(f"{name}={value}" for name, value in flags.items() if name in _PASSED_ON),
        None if namespace is None else Namespace(namespace),
    )


def reach(context: click.Context, server: str | None) -> str:
    """Return the URL of the event API: as given, else this end of a port-forward that lasts as long as the command."""
    client = kubectl(context)
    context.meta[NAMESPACE] = client.namespace()
    if server is not None:
        return server
    service = find_service(client, context.meta.get(_API))
    return context.with_resource(tunnel(client, service))


def with_options(command: click.Command) -> click.Command:
    """Return a copy of a command that understands kubectl's flags too, wherever they stand."""
    clone = copy.copy(command)
    if isinstance(clone, click.Group):
        clone.commands = {name: with_options(one) for name, one in clone.commands.items()}
    taken = {name for parameter in clone.params for name in parameter.opts}
    ours = [*flags(), *(ways() if any(one.name == SERVER for one in clone.params) else ())]
    # An actor's own --context stays what it is; kubectl's can stand before the command.
    free = [one for one in ours if taken.isdisjoint(one.opts)]
    clone.params = [*map(_for_plugin, clone.params), *free]
    return clone


def _for_plugin(parameter: click.Parameter) -> click.Parameter:
    if not isinstance(parameter, click.Option) or parameter.name != SERVER:
        return parameter
    clone = copy.copy(parameter)
    clone.help = (
        "The event API; default: a port-forward to its Service, for as long as the command takes."
    )
    return clone


def flags() -> list[click.Parameter]:
    """Return kubectl's flags; eager, since how to reach the API depends on them."""
    passed = [_flag((name,), text) for name, text in _PASSED_ON.items()]
    return [_flag(("-n", "--namespace"), "The namespace; default: the context's."), *passed]


def _flag(names: tuple[str, ...], text: str) -> click.Option:
    def note(context: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta.setdefault(_FLAGS, {})[names[-1]] = value

    name = names[-1].strip("-")
    return click.Option(
        [*names, f"kubectl_{name}"], expose_value=False, is_eager=True, callback=note, help=text
    )


def ways() -> list[click.Parameter]:
    """Return the options that lead to the event API."""
    return [
        click.Option(
            ["--service-account", "service_account"],
            expose_value=False,
            callback=_token_of,
            help="Call the event API as this service account: `kubectl create token`, in the namespace.",
        ),
        click.Option(
            ["--api", "api"],
            envvar="STATEKEEP_API",
            metavar="NAMESPACE/NAME",
            expose_value=False,
            is_eager=True,
            callback=_service,
            help="The Service to forward to; default: found by its labels.",
        ),
    ]


def _token_of(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[TOKEN] = kubectl(context).token(value)


def _service(context: click.Context, _: click.Parameter, value: Any) -> None:
    if value is None:
        return
    namespace, slash, name = value.partition("/")
    if not (namespace and slash and name):
        raise click.BadParameter("write NAMESPACE/NAME")
    context.meta[_API] = value
