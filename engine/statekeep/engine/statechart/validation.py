"""Finds everything that is wrong or surprising in a definition, at once.

The order: is it JSON of bearable size; has every state the right shape; can states be told apart; does every name
name something; does the machine come to rest. What cannot be read is skipped, not guessed at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.finding import Finding, Severity, errors
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.statechart.assembly import assemble
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.defaults import default_findings
from statekeep.engine.statechart.document import FATAL, document_findings
from statekeep.engine.statechart.interpreter import initial
from statekeep.engine.statechart.limits import DEFAULT_LIMITS, Limits
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.naming import naming_findings
from statekeep.engine.statechart.order import in_document_order
from statekeep.engine.statechart.outline import Node, outline
from statekeep.engine.statechart.references import References
from statekeep.engine.statechart.shape import shape_findings
from statekeep.engine.statechart.state import State
from statekeep.engine.statechart.surprises import surprise_findings
from statekeep.engine.statechart.targets import Targets
from statekeep.engine.statechart.vocabulary import vocabulary_findings
from statekeep.engine.statechart.wording import Speller, kind_of
from statekeep.engine.statechart.written import Slot, all_slots


@dataclass(frozen=True, slots=True)
class Examination:
    """What is known of a definition once it has been looked at."""

    findings: tuple[Finding, ...]
    """In document order."""

    machine: Machine | None
    """Only if no finding is an error."""


def validate(definition: JsonValue, limits: Limits = DEFAULT_LIMITS) -> tuple[Finding, ...]:
    """Return every error and warning, in document order; empty if there is nothing to say.

    Never raises, whatever it is given.
    """
    return examine(definition, limits).findings


def examine(definition: JsonValue, limits: Limits, *, warn: bool = True) -> Examination:
    """Return the findings and, if none is an error, the machine; ``warn=False`` saves the time for warnings."""
    if not isinstance(definition, dict):
        message = f"A definition must be an object, not {kind_of(definition)}."
        return Examination((Code.WRONG_TYPE.at("", message),), None)
    found = list(islice(document_findings(definition, limits), limits.findings))
    if any(finding.code in FATAL for finding in found):
        return Examination(tuple(found), None)
    nodes = outline(definition, limits)
    found += _size_findings(nodes, limits)
    if errors(found):
        # Before anything is multiplied: what is too large is not looked at any closer.
        return Examination(tuple(found), None)
    slots = all_slots(nodes)
    targets = Targets(nodes)
    # One more than are listed, so that it shows that there are more.
    found += islice(_error_findings(nodes, slots, targets, limits), limits.findings + 1)
    machine = None
    if _within(slots, limits):
        states = assemble(nodes, slots, targets)
        machine, unstable = (
            _started(definition, states, limits) if not errors(found) else (None, [])
        )
        found += unstable
        if warn and not errors(found):  # what an error breaks would seem unreachable or dead
            found += islice(surprise_findings(nodes, states), limits.findings + 1)
    return Examination(_listed(definition, found, limits, warn=warn), machine)


def _size_findings(nodes: list[Node], limits: Limits) -> Iterator[Finding]:
    if len(nodes) > limits.states:
        yield Code.TOO_MANY.at(
            "", f"There are more than {limits.states} states; split the machine."
        )
    for node in nodes:
        if node.depth > limits.depth:
            message = f"States lie more than {limits.depth} levels deep here; flatten them."
            yield Code.TOO_DEEP.at(node.pointer, message)
            return


def _within(slots: list[list[Slot]], limits: Limits) -> bool:
    return sum(len(slot.candidates) for each in slots for slot in each) <= limits.transitions


def _error_findings(
    nodes: list[Node], slots: list[list[Slot]], targets: Targets, limits: Limits
) -> Iterator[Finding]:
    """Yield all errors but those of the start, and the warnings that come with them."""
    speller = Speller()
    if not _within(slots, limits):
        message = f"There are more than {limits.transitions} transitions; split the machine."
        yield Code.TOO_MANY.at("", message)
        return
    references = References(nodes, targets, speller, limits)
    yield from naming_findings(nodes, targets, limits)
    for node, written in zip(nodes, slots, strict=True):
        place = node.pointer
        yield from shape_findings(node.written, place, speller)
        yield from vocabulary_findings(node, place, limits, speller)
        yield from references.findings(node, written)
    yield from default_findings(nodes, targets, limits)


def _started(
    definition: JsonObject, states: tuple[State, ...], limits: Limits
) -> tuple[Machine | None, list[Finding]]:
    """Return the machine if it comes to rest once it is started."""
    machine = Machine(definition, states, limits)
    try:
        initial(machine)
    except ChartUnstable as error:
        message = (
            f"The start does not come to rest ({error}); break the circle of always or onDone."
        )
        return None, [
            Code.UNSTABLE_START.at("/initial" if "initial" in definition else "", message)
        ]
    return machine, []


def _listed(
    definition: JsonObject, found: list[Finding], limits: Limits, *, warn: bool
) -> tuple[Finding, ...]:
    """Return the findings in order, errors first to be kept if there are too many."""
    wanted = found if warn else errors(found)
    listed = sorted(wanted, key=lambda finding: finding.severity is not Severity.ERROR)
    kept = in_document_order(definition, listed[: limits.findings])
    if len(listed) > limits.findings:
        message = f"Only {limits.findings} findings are listed; mend them and validate again."
        kept.append(Code.MORE_FINDINGS.at("", message))
    return tuple(kept)
