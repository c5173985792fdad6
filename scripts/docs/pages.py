"""Reads the commands of a Markdown page, and refuses blocks that could be mistaken for commands."""

import re
from dataclasses import dataclass, field

# Languages of blocks that hold no commands.
DATA = set("""
    c css csv diff dockerfile haproxy hex html http ini javascript js json jsonl logrotate make
    makefile markdown md nginx python rust svg text toml txt xml yaml yml
""".split())
# Above a block: why its commands can't run here.
NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->")
# Above a block: .ci/run has these commands.
RUN_BY_CI = re.compile(r"<!-- run by \.ci/run -->")
# Above a block of data that the reader saves to a file.
SAVE = re.compile(r"\bsave\b.*`([^`]+)`:$", re.IGNORECASE)
HEREDOC = re.compile(r"<<(-?)\s*(['\"]?)(\w+)\2")
PROMPT = "$ "
# Alone on a line of output: the reader presses Ctrl-C.
CTRL_C = "^C"


@dataclass
class Command:
    line: int
    text: str
    # What the page shows below it, without blank lines.
    shown: list[str] = field(default_factory=list)

    @property
    def is_background(self):
        return re.search(r"(?<!&)&\s*(?:#.*)?$", self.text) is not None

    @property
    def first(self):
        """What fits in a line of a report."""
        return self.text.splitlines()[0]


@dataclass
class Heading:
    line: int


@dataclass
class File:
    """A block that the reader saves."""
    line: int
    name: str
    text: str


@dataclass
class Page:
    name: str
    steps: list = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    # The reasons, with the line and number of commands of each.
    not_run: list[tuple[int, int, str]] = field(default_factory=list)
    run_by_ci: list[Command] = field(default_factory=list)

    def commands(self):
        return [step for step in self.steps if isinstance(step, Command)]

    def files(self):
        return [step for step in self.steps if isinstance(step, File)]


def read(name, text):
    """Reads a page. Its `problems` say which blocks are refused."""
    page = Page(name)
    lines = text.splitlines()
    at = last_block = 0
    while at < len(lines):
        line = lines[at]
        if fence := re.match(r"(\s*)(`{3,}|~{3,})\s*([^`]*)$", line):
            indent, ticks, info = fence.groups()
            end = at + 1
            while end < len(lines) and lines[end].strip() != ticks:
                end += 1
            inside = [inner.removeprefix(indent) for inner in lines[at + 1 : end]]
            block(page, at + 1, info, inside, paragraph_above(lines[last_block:at]))
            at, last_block = end, end + 1
        elif re.match(r"#+ ", line):
            page.steps.append(Heading(at + 1))
        elif line.lstrip(" >").startswith(PROMPT):
            page.problems.append(f"line {at + 1}: a command outside of a block of ```console")
        at += 1
    return page


def paragraph_above(lines):
    """The last paragraph of these lines, with at most one blank line behind it, as one line."""
    end = len(lines) - (1 if lines and not lines[-1].strip() else 0)
    begin = end
    while begin and lines[begin - 1].strip():
        begin -= 1
    return " ".join(line.strip() for line in lines[begin:end])


def block(page, line, info, lines, above):
    """Adds a block, whose fence is at `line`, to a page."""
    language = re.split(r"[\s,]", info)[0]
    reason, by_ci = NOT_RUN.search(above), RUN_BY_CI.search(above)
    if language == "console":
        commands, problems = read_commands(line + 1, lines)
        page.problems += problems
        if reason:
            page.not_run.append((line, len(commands), reason[1]))
        elif by_ci:
            page.run_by_ci += commands
        else:
            page.steps += commands
    elif reason or by_ci:
        page.problems.append(f"line {line}: the comment above is for a block of ```console")
    elif language not in DATA:
        what = f"```{language}" if language else "a block without a language"
        page.problems.append(
            f"line {line}: {what}: write ```console and `$ ` for commands, or a language of data")
    elif any(inner.startswith(PROMPT) for inner in lines):
        page.problems.append(f"line {line}: a command in ```{language}: write ```console")
    elif saved := SAVE.search(above):
        page.steps.append(File(line, saved[1], "\n".join(lines) + "\n"))


def read_commands(number, lines):
    """The commands of a block, and its problems. `number` is that of its first line."""
    commands, problems = [], []
    at = 0
    while at < len(lines):
        line, here = lines[at], number + at
        at += 1
        if line.startswith(PROMPT):
            text = [line.removeprefix(PROMPT)]
            while text[-1].endswith("\\") and at < len(lines):
                text.append(lines[at])
                at += 1
            if heredoc := HEREDOC.search(text[-1]):
                while at < len(lines) and text[-1].strip() != heredoc[3]:
                    text.append(lines[at])
                    at += 1
                if text[-1].strip() != heredoc[3]:
                    problems.append(f"line {here}: no line {heredoc[3]} ends this command")
            commands.append(Command(here, "\n".join(text)))
        elif not commands and line.strip():
            problems.append(f"line {here}: a block of ```console begins with `$ `")
        elif line.strip():
            commands[-1].shown.append(line.rstrip())
    if not commands and not problems:
        problems.append(f"line {number - 1}: a block of ```console without a command")
    return commands, problems
