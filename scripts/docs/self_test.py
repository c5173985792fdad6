"""Small documents, and the problems that must be found in each."""

import compare

# What a page is, the beginnings of the problems that must be found, and the page.
PAGES = [
    ("a page without problems", [], """\
# Files, variables and folders stay

```console
$ mkdir folder && cd folder   # a comment
$ word="two \\
    words"
$ cat > text <<'END'
$word

END
$ printf '\\033[1m%s\\033[0m\\n' "$word" "$PWD" more lines
two words
…/folder
…
```

Save this as `text`:

```ini
saved
```

## Below a heading

```console
$ cat text; pwd
saved
/home/you/folder
$ ls nothing
ls: cannot access 'nothing': …
$ false
$ echo "code $?"
code 1
$ sudo touch /etc/other /srv/other && ls /srv
other
$ test -t 1 && test -t 2 && ! test -t 0
```

<!-- not run: needs a reason -->

```console
$ false
```

<!-- run by .ci/run -->
```console
$ cargo test --workspace  # all tests
```

```console
$ echo 'below such a block'
below such a block
```
"""),
    ("servers in the background and in the foreground", [], """\
# One

```console
$ sockeye http site/ --access-log - &
Serving …/site over HTTP at
http://127.0.0.1:8000
…
$ curl -s http://127.0.0.1:8000/hello.txt -o /dev/null -w '%{http_code}\\n'
200
127.0.0.1 - - […] "GET /hello.txt HTTP/1.1" 200 …
$ kill %1 && wait
```

# Another one, at the same port

```console
$ sockeye http site/ &
$ pidof sockeye | wc -w
1
```

# Later, after any lines

```console
$ (sleep 1; exec sockeye http site/) &
…
$ curl -s http://127.0.0.1:8000/hello.txt | head -c 5
Hello
```

# In the foreground

```console
$ sockeye http site/
Serving …
…
^C
$ curl -s http://127.0.0.1:8000/
$ echo $?
7
```
"""),
    ("wrong output", ["line 2: `echo one` shows something else", "line 4: `printf 'a\\nb\\n'`",
                      "line 7: `true` shows something else"], """\
```console
$ echo one
two
$ printf 'a\\nb\\n'
a

$ true
…
more
```
"""),
    ("a failing command", ["line 2: `false` fails with exit code 1",
                           "line 3: `missing` fails with exit code 127",
                           "line 4: `(exit 3) &` fails with exit code 3"], """\
```console
$ false
$ missing
$ (exit 3) &
$ echo still here
still here
```
"""),
    ("a server that prints something else", ["line 2: `sockeye http site/ &` shows"], """\
```console
$ sockeye http site/ &
Serving something else
```
"""),
    ("a server that doesn't end", ["line 2: `sleep 1000`: has not ended in time"], """\
```console
$ sleep 1000
```
"""),
    ("a background job that does nothing", ["line 2: `sleep 1000 &` neither listens"], """\
```console
$ sleep 1000 &
```
"""),
    ("a process that stays", ["line 5: at this heading, `sleep 1000` did not end"], """\
```console
$ bash -c "trap '' TERM; echo ready; exec sleep 1000" &
ready
```
# Below
"""),
    ("a shell that is ended", ["line 2: `exit`: the shell has ended"], """\
```console
$ exit
$ echo never
```
"""),
    ("a file that can't be saved", ["line 3: none/text can't be saved: No such file"], """\
Save this as `none/text`:

```ini
text
```
"""),
    ("refused blocks", ["line 1: ```sh", "line 4: ```bash", "line 7: a block without a language",
                        "line 10: a command in ```text", "line 13: a block of ```console without",
                        "line 17: a block of ```console begins", "line 19: a command outside",
                        "line 22: the comment above", "line 25: no line END ends"], """\
```sh
true
```
```bash
true
```
```
true
```
```text
$ true
```
```console
```

```console
true
```
$ true
<!-- not run: a reason -->

```text
```
```console
$ cat <<END
```
"""),
    ("a command that .ci/run doesn't have", ["line 3: `cargo nothing` is not in .ci/run"], """\
<!-- run by .ci/run -->
```console
$ cargo nothing
```
"""),
]

# What a page shows, what the foreground and the background print, and whether that fits.
OUTPUTS = [
    (["a", "b"], ["a", "b"], [], True),
    (["a"], ["a", "b"], [], False),
    (["a", "…"], ["a", "b", "c"], [], True),
    (["…", "c"], ["c"], [], True),
    (["a…c", "…"], ["abc"], ["x"], True),
    (["a.c"], ["abc"], [], False),
    (["a", "log 1", "b"], ["a", "b"], ["log 0", "log 1", "log 2"], True),
    (["log 2", "log 1"], [], ["log 1", "log 2"], False),
    (["a"], ["a"], ["log"], True),
    (["a", "log"], ["a"], [], False),
]


# For pages in which something doesn't end, in seconds.
SHORT = 2


def run(check):
    """Checks the checker. `check` returns a page and its problems, with a timeout for commands."""
    for shown, front, back, fits in OUTPUTS:
        assert compare.matches(shown, front, back) is fits, (shown, front, back)
    for what, expected, text in PAGES:
        page, problems = check(text, SHORT if expected else None)
        found = [problem.strip() for problem in problems if problem.startswith("line ")]
        assert len(found) == len(expected), f"{what}: {found}"
        for part, problem in zip(expected, found):
            assert problem.startswith(part), f"{what}: {problem}"
    page, _ = check(PAGES[0][2], None)
    assert [reason for _, _, reason in page.not_run] == ["needs a reason"], page.not_run
    assert len(page.run_by_ci) == 1, page.run_by_ci
    print(f"documented commands: {len(PAGES)} examples, as expected")
