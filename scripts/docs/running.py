"""Runs the steps of a page, and reports what a reader would stumble over."""

import pathlib
import re

import compare
from pages import CTRL_C, Command, File, Heading
from shell import Shell, Stuck

# The codes of a command that Ctrl-C ends.
INTERRUPTED = (0, 130)


def run(page, folder, user, environment, timeout):
    """Yields the problems of a page."""
    shell = Shell(folder, user, environment, timeout)
    steps = [*page.steps, Heading(0)]
    for step, following in zip(steps, [*steps[1:], None]):
        try:
            for problem in run_step(shell, step, following):
                yield f"line {step.line}: {problem}"
        except Stuck as stuck:
            yield f"line {step.line}: `{step.first}`: {stuck}; what follows was not run"
            return


def run_step(shell, step, following):
    if isinstance(step, Heading):
        for command in shell.end_all().values():
            yield f"at this heading, `{command}` did not end after SIGTERM"
    elif isinstance(step, File):
        yield from save(shell, step)
    else:
        yield from run_command(shell, step, following)


def save(shell, file):
    path = pathlib.Path(f"/proc/{shell.process.pid}/cwd") / pathlib.Path(file.name).expanduser()
    try:
        path.write_text(file.text, encoding="utf-8")
    except OSError as error:
        yield f"{file.name} can't be saved: {error.strerror}"


def run_command(shell, command, following):
    shown, name = command.shown, f"`{command.first}`"
    if CTRL_C in shown:
        at = shown.index(CTRL_C)
        done = shell.interrupted(command.text, shown[:at], shown[at + 1 :])
        succeeded = done.code in INTERRUPTED
    elif command.is_background:
        done = shell.background(command.text, shown)
        succeeded = done.code == 0
    else:
        done = shell.foreground(command.text, shown)
        succeeded = done.code == 0
    if not done.as_shown:
        yield f"{name} {what_differs(shown, done)}"
    elif not succeeded and not is_shown_to_fail(command, following):
        yield f"{name} fails with exit code {done.code}, which the page doesn't show{printed(done)}"


def is_shown_to_fail(command, following):
    """Whether a reader sees that a command fails: by its error, or by its exit code."""
    if isinstance(following, Command) and re.match(r"echo .*\$\?", following.text):
        return True
    words = re.split(r"[\s|&;()]+", command.text)
    names = {pathlib.PurePath(word).name for word in words if word} | {"error", "bash"}
    return any(re.match(rf"(?:{'|'.join(map(re.escape, names))}): ?", line)
               for line in command.shown)


def what_differs(shown, done):
    if not shown:
        return f"neither listens, nor is it connected, nor does it end{printed(done)}"
    if done.code:
        return f"fails with exit code {done.code}, and shows something else{printed(done)}"
    return f"shows something else than the page{printed(done)}"


def printed(done):
    lines = done.front + done.back
    if len(lines) > 30:
        lines = [*lines[:15], compare.ANY, *lines[-15:]]
    return "".join(f"\n    | {line}" for line in lines) or " (it prints nothing)"
