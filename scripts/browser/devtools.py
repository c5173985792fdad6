"""Controls Chromium through its DevTools protocol, over a pair of pipes, without a library."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

TIMEOUT = 20  # seconds before a wait fails
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find():
    """The path of the browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Failed(Exception):
    """The browser reported an error."""


class Browser:
    """A browser with one tab, for a `with` statement."""

    def __init__(self, program):
        self._profile = tempfile.TemporaryDirectory(prefix="sockeye-browser-")
        inward, self._write = os.pipe()
        self._read, outward = os.pipe()

        def hand_over():
            # The browser reads from descriptor 3 and writes to 4, which may be in use here.
            spare = [os.dup(inward), os.dup(outward)]
            while min(spare) < 5:
                spare = [os.dup(end) for end in spare]
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        words = [program, "--headless", "--remote-debugging-pipe", "--disable-gpu",
                 "--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
                 f"--user-data-dir={self._profile.name}"]
        if os.geteuid() == 0:
            words.append("--no-sandbox")  # Chromium refuses to run as root with its sandbox
        self._process = subprocess.Popen(
            words, preexec_fn=hand_over, pass_fds=(3, 4), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(inward)
        os.close(outward)
        self._rest = b""
        self._next = 0
        self._session = None
        self.events = []
        self.protocols = set()  # of all HTTP responses, as "h2"
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._write)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        try:
            self._profile.cleanup()
        except OSError:
            pass  # a helper of the browser is still writing there

    def call(self, method, **parameters):
        """Sends a command to the browser, and waits for the response."""
        self._next += 1
        message = {"id": self._next, "method": method, "params": parameters}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + TIMEOUT
        while True:
            answer = self._receive(until, method)
            if answer.get("id") == self._next:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method, test=lambda parameters: True):
        """Waits for an event, which may have arrived already, and removes it from the queue."""
        until = time.monotonic() + TIMEOUT
        while True:
            for at, event in enumerate(self.events):
                if event.get("method") == method and test(event["params"]):
                    return self.events.pop(at)["params"]
            self.events.append(self._receive(until, method))

    def _receive(self, until, what):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0, until - time.monotonic()))
            piece = os.read(self._read, 1 << 20) if ready else b""
            if not piece:
                raise Failed(f"{what}: the browser {'ended' if ready else 'did not answer'}")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(message)
        if message.get("method") == "Network.responseReceived":
            response = message["params"]["response"]
            if response["url"].startswith("http"):
                self.protocols.add(response.get("protocol"))
        return message

    def _loaded(self, begin):
        self.events = [event for event in self.events
                       if event.get("method") != "Page.loadEventFired"]
        begin()
        self.wait_for("Page.loadEventFired")

    def open(self, url):
        """Opens a page, and waits until it has loaded."""
        self._loaded(lambda: self.call("Page.navigate", url=url))

    def follow(self, script):
        """Runs a script that opens another page, and waits for the page."""
        self._loaded(lambda: self.run(script))

    def press_to_follow(self, key):
        """Presses a key that opens another page, and waits for the page."""
        self._loaded(lambda: self.press(key))

    def await_load(self, action):
        """Does something outside the browser that makes it load a page, and waits for the page."""
        self._loaded(action)

    def run(self, script):
        """Evaluates an expression on the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True,
                           awaitPromise=True, userGesture=True)
        if "exceptionDetails" in result:
            raise Failed(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def type(self, text):
        """Types into the focused element."""
        self.call("Input.insertText", text=text)

    def press(self, key):
        """Presses and releases a key."""
        codes = {"Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40}
        code = codes.get(key, ord(key[0]))
        more = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        common = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screen(self, width, height, phone=False, dark=False):
        """Sets the size and the colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        """Saves a screenshot as a PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def errors(self):
        """Returns the errors that the browser reported since the last call."""
        # The response to a command arrives after all earlier events.
        self.run("0")
        wrong = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                wrong.append(parameters["exceptionDetails"]["text"])
            elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                wrong.append(parameters["entry"]["text"])
            elif method == "Page.javascriptDialogOpening":
                wrong.append("a dialog: " + parameters["message"])
        self.events = []
        return wrong
