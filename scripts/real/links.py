"""Symbolic links, absolute or relative, are followed to what is in the folder and not hidden."""

import json

import clients
from clients import archived, curl, raw, sha
from folder import HIDDEN, OUTSIDE
from running import expect

INSIDE = {
    "relative.txt": b"the target\n",
    "absolute.txt": b"the target\n",
    "absolute-up.txt": b"the target\n",
    "absolute-chain.txt": b"the target\n",
    "relative-chain.txt": b"the target\n",
    "absolute-folder/er/target.txt": b"the deep target\n",
}
NOT_SERVED = ("relative-outside.txt", "absolute-outside.txt", "outside-folder/outside.txt",
              "absolute-beside", "absolute-from-root.txt", "absolute-back-in.txt",
              "relative-hidden.txt", "absolute-hidden.txt", "hidden-folder/secret.txt",
              "nowhere.txt", "loop.txt")


def run(setup):
    checks, cases, server = setup.checks, setup.cases, setup.server
    for name, content in INSIDE.items():
        with checks.check(f"the link {name} is followed"):
            response = curl(f"{server.url}/links/{name}")
            expect((response.status, response.content), (200, content))
    for name in NOT_SERVED:
        with checks.check(f"the link {name} is not followed"):
            response = raw(server, b"/links/" + name.encode(), b"Accept: text/html")
            expect(response.status, 404)
            for secret in (OUTSIDE, HIDDEN, str(cases.parent).encode()):
                expect(secret in response.content, False, f"{secret} is in the response:")
    with checks.check("a listing has the links that are followed, and no others"):
        listing = json.loads(curl(server.url + "/links/?format=json").content)
        names = {entry["name"] for entry in listing["entries"]}
        expect(names, {"target.txt", "deep"} | {name.partition("/")[0] for name in INSIDE})
    with checks.check("an archive has the files that links lead to, and no others"):
        got = archived(curl(server.url + "/links/?format=tar").content)
        for name, content in INSIDE.items():
            if "/" not in name:
                expect(got.get(f"links/{name}"), sha(content), name)
        found = [name for name, digest in got.items() if digest in (sha(OUTSIDE), sha(HIDDEN))]
        expect(found, [], "from elsewhere:")
    if clients.has("wget"):
        with checks.check("wget -r: follows the links"):
            got = clients.wget_tree(server.url + "/links/", cases.parent / "links-by-wget")
            targets = {"target.txt": b"the target\n", "deep/er/target.txt": b"the deep target\n"}
            wanted = {name: sha(content) for name, content in (INSIDE | targets).items()}
            expect(got, wanted)
    with checks.check("a folder that was moved: its absolute links lead nowhere"):
        moved = cases.parent / "links-moved"
        (cases.root / "links").rename(moved)
        try:
            with checks.start("http", moved, "--listen", "127.0.0.1:0") as elsewhere:
                expect(raw(elsewhere, b"/absolute.txt").status, 404)
                expect(raw(elsewhere, b"/relative.txt").status, 200)
        finally:
            moved.rename(cases.root / "links")
    with checks.check("a folder served through a link: its absolute links are followed"):
        (cases.parent / "through").symlink_to(cases.root)
        with checks.start("http", cases.parent / "through", "--listen", "127.0.0.1:0") as through:
            expect(curl(through.url + "/links/absolute.txt").content, b"the target\n")
