"""What somebody asks of the store, in the values that stories are told in."""

from dataclasses import dataclass

from hypothesis.vendor.pretty import RepresentationPrinter


class Told:
    """Shown in a story as it says itself, not as it was drawn."""

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: object) -> None:
        printer.text(repr(self))


@dataclass(frozen=True, repr=False)
class Sent(Told):
    """An event, as somebody sends it."""

    actor: str
    type: str
    key: str | None = None
    body: int = 0
    """What else the body says: the same key with another one is refused."""

    if_seq: int | None = None
    strict: bool = False
    patch: tuple[str, int | None] | None = None
    """One name of the context and its new value."""

    def __repr__(self) -> str:
        options = {"key": self.key, "body": self.body, "if_seq": self.if_seq, "patch": self.patch}
        shown = [
            f"{name}={value}"
            for name, value in options.items()
            if value or (name == "if_seq" and value == 0)
        ]
        return " ".join(["<" + self.actor, self.type, *shown, *["strict"] * self.strict]) + ">"


@dataclass(frozen=True, repr=False)
class Wish(Told):
    """A wish for an actor."""

    actor: str
    target: str
    """A version, or a machine, which has no number."""

    context: int | None = None
    key: str | None = None

    @property
    def by_machine(self) -> bool:
        return len(self.target) == 1

    @property
    def body(self) -> tuple[str, str, int | None]:
        return self.actor, self.target, self.context

    def __repr__(self) -> str:
        options = {"context": self.context, "key": self.key}
        shown = [f"{name}={value}" for name, value in options.items() if value is not None]
        return " ".join([f"<{self.actor} on {self.target}", *shown]) + ">"
