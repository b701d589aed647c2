"""From a definition to a machine."""

from statekeep.engine.errors import DefinitionInvalid
from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.limits import DEFAULT_LIMITS, Limits
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.validation import examine


def compile_machine(definition: JsonObject, limits: Limits = DEFAULT_LIMITS) -> Machine:
    """Return the machine of a definition, started once to see that it comes to rest.

    Raises:
        DefinitionInvalid: it has errors; all of them are in ``findings``.
    """
    examination = examine(definition, limits, warn=False)
    if examination.machine is None:
        raise DefinitionInvalid(examination.findings)
    return examination.machine
