"""The pages for people. They load nothing from elsewhere."""

import base64
import re
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from mnist_serving.metadata import PACKAGE, locate

from .transport import Response

HTML = "text/html; charset=utf-8"

STATIC, REFERENCE = PACKAGE / "http/static", PACKAGE / "http/reference"
SCRIPTS = (  # each after those that it imports
    "dom.js",
    "sheet.js",
    "input.js",
    "gallery.js",
    "example.js",
    "boxes.js",
    "answer.js",
    "tar.js",
    "keep.js",
    "programs.js",
    "ask.js",
    "draw.js",
    "service.js",
)
INLINED = re.compile(r"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)
LINKED = r'(<link rel="stylesheet" href="[^"]*">\s*){2}'
IMPORTED = r"^import \{.*\} from .*\n|^export "  # Python in a JavaScript text has imports too


class Page:
    """A page, and the policy that lets it run its inlined scripts and ask its own host, and nothing else."""

    def __init__(self, html: str) -> None:
        """Take the complete page."""
        self.content = html.encode()
        allowed: dict[str, list[str]] = {"script": [], "style": []}
        for kind, text in INLINED.findall(html):
            digest = base64.b64encode(sha256(text.encode()).digest()).decode()
            allowed[kind].append(f"'sha256-{digest}'")
        sources = "".join(f"{kind}-src {' '.join(hashes)}; " for kind, hashes in allowed.items() if hashes)
        self.policy = (
            f"default-src 'none'; {sources}connect-src 'self'; img-src data:; "  # for its icon
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def response(self, root: str = "") -> Response:
        """Return the page as a reply; its addresses are below a path, such as /digits, whatever a proxy made of it."""
        if not root:
            return Response(200, self.content, HTML, {"Content-Security-Policy": self.policy})
        content = self.content.replace(b"<head>", f'<head><base href="{quote(root)}/">'.encode(), 1)
        policy = self.policy.replace("base-uri 'none'", "base-uri 'self'")
        return Response(200, content, HTML, {"Content-Security-Policy": policy})


def drawing_page() -> Page:
    """Return the page to draw on."""
    return _assemble(STATIC, *SCRIPTS)


def reference_page() -> Page:
    """Return the page of the HTTP API, which loads `openapi.json`."""
    return _assemble(REFERENCE, "request.js", "reference.js")


def _assemble(folder: Path, *scripts: str) -> Page:
    """Return the `index.html` of a folder with its styles, one of which both pages share, and its scripts inlined.

    Styles and scripts become one of each, so that nothing is left to import.
    """

    def read(path: Path) -> str:
        return locate(path).read_text(encoding="utf-8")

    script = re.sub(IMPORTED, "", "\n".join(read(folder / name) for name in scripts), flags=re.MULTILINE)
    style = read(STATIC / "theme.css") + read(folder / "style.css")
    page = re.sub(LINKED, lambda _: f"<style>\n{style}</style>", read(folder / "index.html"))
    return Page(page.replace(f' src="{scripts[-1]}"></script>', f">\n{script}</script>"))
