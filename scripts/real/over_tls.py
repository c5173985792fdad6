"""TLS with the clients that people use, which trust the certificate's authority or refuse it."""

import contextlib
import importlib.util
import json
import os
import urllib.parse

import clients
import devtools
from authority import Authority
from clients import files_of, sha, visit
from folder import write
from running import BIG, expect

SMALL = b"<!doctype html><title>x</title><script src=s.js></script><p>over TLS"
SCRIPT = b"window.ran = true;"
# In a process of its own, because the certificate is an argument of each program.
REQUESTS = """
import hashlib, json, requests, sys
session = requests.Session()
session.trust_env = False
session.verify = sys.argv[1]
found = []
for url in sys.argv[2:]:
    response = session.get(url)
    found.append([response.status_code, hashlib.sha256(response.content).hexdigest()])
print(json.dumps(found))
"""


def run(setup):
    checks, parent = setup.checks, setup.cases.parent
    authority = Authority(parent / "authority")
    root = parent / "tls"
    write(root / "index.html", SMALL)
    write(root / "s.js", SCRIPT)
    large = os.urandom(1 << 20) * (BIG >> 20)
    write(root / "large.bin", large)
    words = ("http", root, "--listing", "--listen", "127.0.0.1:0", *authority.flags())
    with checks.check("a folder is served over TLS"), checks.start(*words) as server:
        url = f"https://localhost:{clients.address(server)[1]}"
        programs(checks, authority.certificate, url, [sha(SMALL), sha(large)], parent)
        if setup.browser:
            in_chromium(checks, setup.browser, url)


def programs(checks, trusted, url, wanted, parent):
    """Each reads a small and a large file; without the authority, it must read nothing."""
    urls = [url + "/", url + "/large.bin"]
    expected = [[200, content] for content in wanted]
    if clients.has("node"):
        with checks.check("node: fetch over TLS"):
            command = ("node", "-e", clients.NODE, *urls)
            found = json.loads(clients.run("env", f"NODE_EXTRA_CA_CERTS={trusted}", *command))
            expect([one[:2] for one in found], expected)
            refused(command)
    if importlib.util.find_spec("requests"):
        with checks.check("requests: a session over TLS"):
            found = clients.run("python3", "-c", REQUESTS, trusted, *urls)
            expect(json.loads(found), expected)
    else:
        print("SKIPPED  requests: is not installed")
    wget = ("wget", "--quiet", "--tries=1", "--output-document=-")
    for name, command, trust in (
            ("wget", wget, f"--ca-certificate={trusted}"),
            ("curl", ("curl", "--silent", "--show-error"), f"--cacert={trusted}"),
            ("rclone", ("rclone", "--config", "/dev/null", "--retries", "1", "copyurl", "--stdout"),
             f"--ca-cert={trusted}")):
        if clients.has(name):
            with checks.check(f"{name}: files over TLS"):
                flags = trust.split("=") if name == "curl" else [trust]
                for at, content in zip(urls, wanted):
                    expect(sha(clients.run(*command, *flags, at)), content)
                refused((*command, url))
    if clients.has("lftp"):
        with checks.check("lftp: a file over TLS"):
            out = parent / "tls-by-lftp"
            clients.run("lftp", "-c", f"set net:max-retries 1; set cmd:fail-exit true; set "
                        f"ssl:ca-file {trusted}; open {url}/; get large.bin -o {out}")
            expect(sha(out.read_bytes()), wanted[1])
    if clients.has("aria2c"):
        with checks.check("aria2c: eight ranges of a file over TLS"):
            out = parent / "tls-by-aria2"
            words = ["aria2c", "--no-conf", "--quiet", "--dir", out, "--split=8",
                     "--max-connection-per-server=8", "--min-split-size=1M", "--file-allocation=none"]
            clients.run(*words, f"--ca-certificate={trusted}", urls[1])
            expect(files_of(out), {"large.bin": wanted[1]})


def refused(command):
    """Runs a client that doesn't trust the authority."""
    try:
        clients.run(*command)
    except AssertionError:
        return
    raise AssertionError(f"{command[0]} accepts a certificate of an unknown authority")


def in_chromium(checks, browser, url):
    with checks.check("Chromium: an unknown authority is refused"), \
            contextlib.suppress(devtools.Failed):
        browser.open(url)
        expect(browser.run("location.protocol"), "chrome-error:")
    with checks.check("Chromium: a page and its script over TLS 1.3"):
        browser.call("Security.setIgnoreCertificateErrors", ignore=True)
        try:
            expect(visit(browser, url + "/").status, 200)
            expect(browser.run("[location.protocol, window.ran]"), ["https:", True])
            state = details(browser, url + "/?again")
            expect((state["protocol"], state["subjectName"]), ("TLS 1.3", "localhost"))
            with_http(browser, url)
        finally:
            browser.call("Security.setIgnoreCertificateErrors", ignore=False)
            browser.open("about:blank")


def details(browser, url):
    """What Chromium knows of the connection that a page came by."""
    browser.events = []
    browser.open(url)
    for event in browser.events:
        if event.get("method") == "Network.responseReceived":
            response = event["params"]["response"]
            if urllib.parse.urldefrag(response["url"])[0] == url:
                return response["securityDetails"]
    raise AssertionError("there was no response")


def with_http(browser, url):
    """An address typed without its scheme: Chromium follows the redirect."""
    browser.open(url.replace("https:", "http:") + "/")
    expect(browser.run("[location.protocol, window.ran]"), ["https:", True])
