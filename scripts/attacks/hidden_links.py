"""Symbolic links in the folder that lead to hidden names."""

import io
import tarfile

from peers import fetch

SECRET = b"a secret"
PUBLIC = b"public"


def create(root):
    for folder in (".git", "sub", "sub/.deep"):
        (root / folder).mkdir(parents=True)
    for name in (".env", ".git/config", "sub/.deep/note.txt"):
        (root / name).write_bytes(SECRET)
    (root / "public.txt").write_bytes(PUBLIC)
    for link, target in {
        "link-to-file": ".env",
        "link-page.html": ".env",
        "link-to-link": "link-to-file",
        "link-to-folder": ".git",
        "link-inside": ".git/config",
        "link-deep": "sub/.deep/note.txt",
        "link-detour": "sub/../.env",
        "link-absolute": root / ".env",
        "sub/link-upwards": "../.env",
    }.items():
        (root / link).symlink_to(target)
    (root / "good").symlink_to("public.txt")
    (root / "good-absolute").symlink_to(root / "public.txt")


HIDDEN = ["link-to-file", "link-page.html", "link-page", "link-to-link", "link-to-folder/",
          "link-to-folder/config", "link-inside", "link-deep", "link-detour", "link-absolute",
          "sub/link-upwards"]

def run(trials):
    root = trials.directory / "links"
    create(root)
    with trials.http("--listing", folder=root) as server:
        with trials.checked("hidden-links: requested") as row:
            for name in HIDDEN:
                status, _, content = fetch(server.address, f"/{name}")
                row.expect(status == 404 and SECRET not in content, f"/{name} is {status}")
            for name in ("good", "good-absolute"):
                good = fetch(server.address, f"/{name}")[::2] == (200, PUBLIC)
                row.expect(good, f"/{name} is not followed")
        with trials.checked("hidden-links: listed") as row:
            for form in ("html", "json", "text"):
                status, _, content = fetch(server.address, f"/?format={form}")
                row.expect(status == 200 and b"public.txt" in content, f"as {form} it is {status}")
                row.expect(b"link-" not in content, f"as {form} it contains hidden links")
        with trials.checked("hidden-links: archived") as row:
            status, _, content = fetch(server.address, "/?format=tar")
            assert status == 200, f"status {status}"
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                names = archive.getnames()
            row.expect(any(name.endswith("public.txt") for name in names), f"it is empty: {names}")
            row.expect(SECRET not in content and not any("link-" in name for name in names),
                       f"it contains hidden links: {names}")
