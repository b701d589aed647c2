"""What ``statekeep dev`` says first: three commands that work on the folder it was given."""

from collections.abc import Sequence
from pathlib import Path

from statekeep.controller.manifest.folder import Source, read_folder
from statekeep.engine.finding import errors
from statekeep.engine.routing.version import in_canonical_order
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.validation import validate

STORY = {"loan-v1", "loan-v2", "loan-v2-buggy", "loan-v2-rescue"}
"""The versions that ``statekeep demo`` plays with."""


def welcome(url: str, folder: Path) -> str:
    """Return where the server is and what to try next."""
    sources = read_folder(folder).sources
    commands = _commands(url, sources)
    if not commands:
        commands = [f"statekeep validate {folder}    # no root can be used yet: this says why"]
    listed = "\n".join(f"  {command}" for command in commands)
    return f"""\
StateKeep serves {url} and watches {folder}. Try next, in another terminal:

{listed}

Ctrl-C stops it; nothing is lost.
"""


def _commands(url: str, sources: Sequence[Source]) -> list[str]:
    root = next((s for s in sources if s.manifest.parent_id is None and _is_sound(s)), None)
    if root is None:
        return []
    machine = root.manifest.machine or root.manifest.name
    commands = [f"""curl --json '{{"id": "carol", "machine": "{machine}"}}' {url}/v1/actors"""]
    event = _first_event(root)
    if event is not None:
        body = f'{{"type": "{event}"}}'
        commands.append(f"curl --json '{body}' {url}/v1/actors/carol/events")
    names = {source.manifest.name for source in sources}
    if names >= STORY:
        demo = "make demo" if Path("Makefile").is_file() else "statekeep demo"
        commands.append(f"{demo}    # the whole story with 2,050 actors")
    elif child := next((s for s in sources if s.manifest.parent_id is not None), None):
        commands.append(f"statekeep preview {child.path}")
    return commands


def _is_sound(source: Source) -> bool:
    return not errors(validate(source.manifest.definition))


def _first_event(source: Source) -> str | None:
    """Return an event that a new actor takes, if it can stand in a shell's quotes."""
    machine = compile_machine(in_canonical_order(source.manifest.definition))
    start = initial(machine)
    plain = [e for e in machine.event_types if e.replace("_", "").replace(".", "").isalnum()]
    steps = [(event, step(machine, start, event)) for event in plain]
    taken = [(event, s.configuration) for event, s in steps if s.handled]
    going_on = [event for event, configuration in taken if not configuration.is_done]
    return next(iter([*going_on, *(event for event, _ in taken)]), None)
