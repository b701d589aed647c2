"""The live table fits the window and is not drawn again for nothing."""

import io

from rich.console import Console

from statekeep.controller.dev.display import displayed
from statekeep.controller.dev.watch import Round
from statekeep.controller.manifest.problem import Problem

HEIGHT = 10


def _round(count: int) -> Round:
    problems = (Problem(f"{n}.yaml", 1, 1, "", "code", f"wrong-{n}.") for n in range(count))
    return Round((), tuple(problems), ())


def test_a_table_higher_than_the_window_is_cropped_and_shown_whole_at_the_end() -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=80, height=HEIGHT)
    with displayed(console) as display:
        display.show(_round(30))
        first = drawn.getvalue()
        assert first.count("\n") < HEIGHT
        assert "wrong-3." in first
        assert "wrong-29." not in first
        display.show(_round(30))
        assert drawn.getvalue() == first
        display.show(_round(31))
        assert drawn.getvalue() != first
    assert "wrong-30." in drawn.getvalue()
