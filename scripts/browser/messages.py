"""Checks the page of `sockeye message`, and messages over its WebSocket, in Chromium."""

import json
import signal

FOUND = "In the caves beneath the Misty Mountains. \N{RING}"
MANY = 40

# Resolves with the page's log when it contains a text, or after five seconds.
LOGGED = """new Promise((done) => {
  const log = document.querySelector("pre");
  const look = () => log.textContent.includes(%s) && done(log.textContent);
  new MutationObserver(look).observe(log, { childList: true });
  setTimeout(() => done(log.textContent), 5000);
  look();
})"""
# Resolves with the first message of a WebSocket, or with how it was closed.
OPENED = """new Promise((done) => {
  const socket = new WebSocket(%s);
  socket.onopen = () => socket.send('{"action": "search", "value": "ring"}');
  socket.onmessage = ({ data }) => done(data);
  socket.onclose = ({ code }) => done(code);
})"""


def logged(browser, text):
    return browser.run(LOGGED % json.dumps(text))


def page(checks, browser, url, pictures, expect, status):
    """Types into the page. `status` is that of the response that opens the WebSocket: 200 over HTTP/2."""
    scheme = "wss" if url.startswith("https") else "ws"
    with checks.check(f"the page of sockeye message sends JSON and shows the response: {scheme}://"):
        browser.open(url)
        address = f"{scheme}://{url.split('/')[2]}/"
        expect(logged(browser, "Connected"), f"Connected to {address}\n")
        opened = browser.wait_for("Network.webSocketHandshakeResponseReceived")["response"]
        expect(opened["status"], status)
        browser.run("document.querySelector('input').focus()")
        browser.press("Enter")
        expect(FOUND in logged(browser, FOUND), True)
        browser.run("document.querySelector('input').select()")
        browser.type("no JSON")
        browser.run("document.querySelector('button').click()")
        expect("bad_content" in logged(browser, "bad_content"), True)
        expect(browser.run("document.documentElement.scrollWidth <= innerWidth"), True)
        expect(browser.errors(), [])
        browser.picture(pictures / f"messages-{scheme}.png")


def pipelining(checks, browser, url, root, expect):
    """Runs the example of docs/message.md."""
    with checks.check(f"{MANY} requests wait at a time, with the code of docs/message.md"):
        example = (root / "docs/message.md").read_text().split("```js\n")[1].split("```")[0]
        example = example.replace("ws://127.0.0.1:65432/", url.replace("http", "ws"))
        values = json.dumps([{"action": "search", "value": str(at)} for at in range(MANY)])
        browser.open(url)
        results = browser.run(f"""(async () => {{
            {example}
            await new Promise((open) => {{ socket.onopen = open; }});
            return Promise.all({values}.map(ask));
        }})()""")
        expect([one["result"] for one in results], [f"No match for '{at}'." for at in range(MANY)])
        expect(browser.errors(), [])


def origins(checks, browser, directory, expect):
    """A page of another server."""
    directory.mkdir()
    (directory / "index.html").write_text("<!doctype html><title>x</title>")
    with checks.start("http", directory, "--listen", "127.0.0.1:0") as other:
        browser.open(other.url + "/")
        for words, outcome in (((), 1006), (("--origin", other.url), {"result": FOUND})):
            with checks.check(f"a page of another origin is {'allowed' if words else 'refused'}"), \
                    checks.start("message", "--listen", "127.0.0.1:0", *words) as server:
                address = json.dumps("ws://{}:{}/".format(*server.address))
                got = browser.run(OPENED % address)
                expect(json.loads(got) if isinstance(got, str) else got, outcome)
        browser.errors()


def stopping(checks, browser, expect):
    with checks.check("a server that stops closes the page's WebSocket with 1001"), \
            checks.start("message", "--listen", "127.0.0.1:0") as server:
        browser.open("http://{}:{}/".format(*server.address))
        logged(browser, "Connected")
        server.process.send_signal(signal.SIGTERM)
        expect("Closed: 1001" in logged(browser, "Closed"), True)
        expect(browser.run("document.querySelector('button').disabled"), True)


def test(checks, browser, directory, authority, pictures, expect):
    with checks.start("message", "--listen", "127.0.0.1:0") as server:
        url = "http://{}:{}/".format(*server.address)
        page(checks, browser, url, pictures, expect, 101)
        pipelining(checks, browser, url, checks.root, expect)
    words = ("--listen", "127.0.0.1:0", *authority.flags())
    with checks.start("message", *words) as server:
        browser.call("Security.setIgnoreCertificateErrors", ignore=True)
        page(checks, browser, f"https://localhost:{server.address[1]}/", pictures, expect, 200)
    origins(checks, browser, directory, expect)
    stopping(checks, browser, expect)
