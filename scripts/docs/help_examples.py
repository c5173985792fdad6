"""Makes a page of the examples in each subcommand's --help.

First come the files and folders that the examples name. Then, under a heading for each example, the
page has the server that the example needs, and the example. Measuring takes a second, not the time
of the example.
"""

import re
import subprocess

# What the examples use.
BEFORE = """\
```console
$ sudo mkdir -p /var/log/sockeye /run/sockeye
$ sudo cp -r site /srv/www && sudo cp -r site /srv/docs
$ touch site/about.html && sudo touch /srv/docs/setup.html
$ cp -r site Shared && cp -r site dist && cp -r site docs
$ echo '{"ring": "A ring."}' > answers.json
$ printf 'GET / HTTP/1.0\\r\\n\\r\\n' > request
$ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=example.org \\
    -addext subjectAltName=DNS:example.org -addext basicConstraints=CA:FALSE -keyout key.pem -out fullchain.pem 2> /dev/null
$ export SSL_CERT_FILE=$PWD/fullchain.pem
$ echo 127.0.0.1 example.org | sudo tee -a /etc/hosts > /dev/null
```
"""
# For clients: the server that is started before them, by a part of their command.
SERVERS = {
    "tcp://127.0.0.1:65432": "sockeye echo",
    "ws://127.0.0.1:65432": "sockeye echo --websocket",
    "wss://example.org": "sudo sockeye echo --websocket --tls fullchain.pem,key.pem --listen :443",
    "message://127.0.0.1:65432": "sockeye message",
    "http://127.0.0.1:65432": "sockeye message",
    "tcp://127.0.0.1:8000": "sockeye http site",
    "http://127.0.0.1:8000": "sockeye http site",
    "http://localhost:8000": "sockeye http site",
    "tls://example.org:443": "sudo sockeye http site --tls fullchain.pem,key.pem --listen :443",
    "127.0.0.1:8443": "sockeye http site --tls fullchain.pem,key.pem --listen 127.0.0.1:8443",
}
CLIENTS = {"send", "load", "explain", "health", "help", "version", "completions", "man"}


def examples(help_text):
    """The commands of the examples in a help text."""
    _, _, text = help_text.partition("\nExamples:\n")
    block = text.partition("\n\n")[0]
    lines = [line.strip() for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def is_server(command):
    """Whether a command of the program starts a server."""
    words = re.sub(r".*\bsockeye\b", "", command).split()
    return not (CLIENTS & set(words[:1]) or {"--help", "--help-all", "--version"} & set(words))


def short(command):
    """A command that measures for a second, instead of as long as it says."""
    if not command.startswith("sockeye load ") or "--requests" in command:
        return command
    return re.sub(r" --duration \S+", "", command) + " --duration 1s"


def page(binary):
    def output(*words):
        return subprocess.run([binary, *words], check=True, capture_output=True, text=True).stdout

    listed = output("--help").partition("Commands:\n")[2].partition("\n\n")[0]
    subcommands = re.findall(r"^  (\w[\w-]*) ", listed, re.M)
    texts = [BEFORE]
    for name in ["", *(name for name in subcommands if name != "help")]:
        found = examples(output(*name.split(), "--help"))
        if not found:
            raise ValueError(f"sockeye {name} --help has no examples")
        for example in found:
            lines = [f"# sockeye {name}: {example}", "", "```console"]
            if is_server(example):
                needs_root = re.search(r"\s:\d{1,3}\b", example)
                lines.append(f"$ {'sudo ' if needs_root else ''}{example} &")
            else:
                started = {server for url, server in SERVERS.items() if url in example}
                lines += [f"$ {server} &" for server in sorted(started)]
                lines.append(f"$ {short(example)}")
            texts.append("\n".join([*lines, "```", ""]))
    return "\n".join(texts)
