"""Compares what commands print with what a page shows."""

import re

# In a line of a page: any text. Alone on a line: any lines, or none.
ANY = "…"
# Of colours and of links.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


def lines(printed):
    """The lines that a terminal shows, without blank lines and colours."""
    text = ESCAPES.sub("", printed.decode("utf-8", "replace"))
    shown = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return [line.rstrip() for line in shown if line.strip()]


def line_matches(shown, printed):
    """Whether a line of the page fits a line that was printed. White space counts as one space."""
    shown, printed = (" ".join(line.split()) for line in (shown, printed))
    pattern = ".*".join(map(re.escape, shown.split(ANY)))
    return re.fullmatch(pattern, printed) is not None


def matches(shown, front, back):
    """Whether the lines that a page shows are what a reader sees.

    They have to hold every line of the foreground, in order, and may hold lines of the background,
    in order. Which of both comes first is left to chance.
    """
    # How many lines of the foreground are used, and then the fewest of the background.
    states = {0: 0}
    for line in shown:
        reached = {}

        def reach(fronts, backs):
            reached[fronts] = min(backs, reached.get(fronts, backs))

        for fronts, backs in sorted(states.items()):
            if line.strip() == ANY:
                for skipped in range(fronts, len(front) + 1):
                    reach(skipped, backs)
                continue
            if fronts < len(front) and line_matches(line, front[fronts]):
                reach(fronts + 1, backs)
            for at in range(backs, len(back)):
                if line_matches(line, back[at]):
                    reach(fronts, at + 1)
                    break
        states = reached
    return len(front) in states
