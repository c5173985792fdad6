"""HTTP/2: a style and a script overtake large pictures, for which the page asks before.

They are larger than a picture: if responses just took turns, all pictures would be complete before."""

import base64
import http.client
import os
import ssl
import urllib.parse

import devtools
import gallery

PICTURES = 24
SIZE = 2 << 20  # bytes of a picture, most of them in a chunk that browsers skip
LARGER = SIZE + (512 << 10)
URGENT = {"script.js", "style.css"}
# The urgency of images in the body depends on what is visible. Without `fetchpriority`, the browser asks
# for most pictures after the style.
PAGE = b"""<!doctype html><title>x</title>
%s
<link rel=stylesheet href=style.css><script src=script.js></script>
<p>a page
%s"""


def fill(root):
    """Creates the page."""
    picture = gallery.picture(64, 48, 1)
    header = 33  # bytes: the signature and the first chunk
    large = picture[:header] + gallery.chunk(b"skIp", os.urandom(SIZE)) + picture[header:]
    for number in range(PICTURES):
        (root / f"{number}.png").write_bytes(large)
    preloads, images = (b"\n".join(tag % number for number in range(PICTURES)) for tag in (
        b"<link rel=preload as=image fetchpriority=high href=%d.png>", b"<img src=%d.png>"))
    (root / "index.html").write_bytes(PAGE % (preloads, images))
    comment = b"/* %s */" % base64.b64encode(os.urandom(LARGER * 3 // 4))
    (root / "style.css").write_bytes(comment + b"p { color: rgb(0, 128, 0) }")
    (root / "script.js").write_bytes(comment + b"window.ran = true;")


def test(checks, browser, url, expect):
    with checks.check("a style and a script overtake the pictures that were asked for before them"):
        # Otherwise, the hash of each file would be computed first, in the order of the requests.
        know_all_files(url)
        begun, ended, priorities = trace(browser, url)
        pictures = {name for name in begun if name.endswith(".png")}
        what = f"asked for in the order {begun}, as {priorities}:"
        expect(pictures.intersection(begun[:min(map(begun.index, URGENT))]), pictures, what)
        most = min(rank(priorities[name]) for name in pictures)
        expect(max(rank(priorities[name]) for name in URGENT) < most, True, what)
        # The browser may send the first requests some time before the others.
        before = pictures.intersection(ended[:max(map(ended.index, URGENT))])
        expect(len(before) < PICTURES // 4, True, f"complete in the order {ended}:")
        colour = "getComputedStyle(document.querySelector('p')).color"
        expect(browser.run(f"[window.ran, {colour}, document.images[{PICTURES - 1}].naturalWidth]"),
               [True, "rgb(0, 128, 0)", 64])


def know_all_files(url):
    """Asks for each file once, without content."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(urllib.parse.urlsplit(url).netloc, context=context,
                                             timeout=devtools.TIMEOUT)
    for name in ["", *URGENT, *(f"{number}.png" for number in range(PICTURES))]:
        connection.request("HEAD", f"/{name}")
        connection.getresponse().read()
    connection.close()


def rank(priority):
    """Urgency, and whether it is incremental, of a Priority field: lower ones are sent first."""
    parameters = [one.strip() for one in (priority or "").split(",")]
    urgency = [int(one[2:]) for one in parameters if one.startswith("u=")]
    return (urgency or [3])[0], "i" in parameters


def trace(browser, url):
    """Loads the page. Returns the names of its files in the order in which they were asked for, and in
    that in which they were complete, and what the browser sent as the priority of each."""
    browser.events = []
    browser.open(url)
    browser.run("0")  # all earlier events arrive before the response
    names, begun, ended, priorities = {}, [], [], {}
    for event in browser.events:
        method, parameters = event.get("method"), event.get("params", {})
        request = parameters.get("requestId")
        if method == "Network.requestWillBeSent":
            names[request] = parameters["request"]["url"].rpartition("/")[2]
            begun.append((parameters["timestamp"], names[request]))
        elif method == "Network.loadingFinished":
            ended.append((parameters["timestamp"], names.get(request, "")))
        elif method == "Network.requestWillBeSentExtraInfo":
            headers = {name.lower(): value for name, value in parameters["headers"].items()}
            priorities[request] = headers.get("priority")
    begun, ended = ([name for _, name in sorted(order)] for order in (begun, ended))
    return begun, ended, {names.get(request): value for request, value in priorities.items()}
