"""The pages for people. They need nothing from outside."""

import base64
import json
import re
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from .http_types import Response

HTML = "text/html; charset=utf-8"

STATIC = Path(__file__).with_name("static")
SCRIPTS = ("sheet.js", "input.js", "gallery.js", "draw.js", "service.js")  # each after those that it imports
INLINED = re.compile(r"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)

STYLE = """
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h2 { margin: 2.5rem 0 0; font-size: 1.1rem; } code, pre { font-family: ui-monospace, monospace; }
.method { text-transform: uppercase; color: #06c; } pre { overflow-x: auto; background: #8881; padding: .5rem; }
td { padding: 0 1rem 0 0; vertical-align: top; } :root { color-scheme: light dark; }
"""


class Page:
    """A page, and the policy that lets it do what is inlined in it, ask its own host, and nothing else."""

    def __init__(self, html: str) -> None:
        """Take the whole page."""
        self.content = html.encode()
        allowed: dict[str, list[str]] = {"script": [], "style": []}
        for kind, text in INLINED.findall(html):
            digest = base64.b64encode(sha256(text.encode()).digest()).decode()
            allowed[kind].append(f"'sha256-{digest}'")
        sources = "".join(f"{kind}-src {' '.join(hashes)}; " for kind, hashes in allowed.items() if hashes)
        self.policy = (
            f"default-src 'none'; {sources}connect-src 'self'; img-src data:; "  # its icon is such a picture
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def response(self) -> Response:
        """Return the page as a reply."""
        return Response(200, self.content, HTML, {"Content-Security-Policy": self.policy})


def drawing_page() -> Page:
    """Return the page to draw on: `static/index.html` with its style and its scripts inside.

    The scripts become one: what they import from one another is there already.
    """
    style = _read("style.css")
    script = re.sub(r"^import .*\n|^export ", "", "\n".join(map(_read, SCRIPTS)), flags=re.MULTILINE)
    page = _read("index.html")
    page = page.replace('<link rel="stylesheet" href="style.css">', f"<style>\n{style}</style>")
    page = page.replace(' src="service.js"></script>', f">\n{script}</script>")
    return Page(page)


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def reference_page(described: dict[str, Any]) -> Page:
    """Return an OpenAPI document as a page to read."""
    calls = [
        _call(path, method, call)
        for path, methods in described["paths"].items()
        for method, call in methods.items()
        if method != "parameters"
    ]
    info = described["info"]
    schemas = f"<h2>Schemas</h2><pre>{escape(json.dumps(described['components']['schemas'], indent=1))}</pre>"
    introduction = f'<p>{escape(info["description"])} As a document: <a href="openapi.json">openapi.json</a>.</p>'
    return _page(f"{info['title']} {info['version']}", "\n".join([introduction, *calls, schemas]))


def _call(path: str, method: str, call: dict[str, Any]) -> str:
    """Return the section of one call."""
    body = call.get("requestBody", {}).get("content", {})
    takes = "".join(_row(kind, _schema_name(content)) for kind, content in body.items())
    gives = "".join(
        _row(status, reply["description"], ", ".join(reply["content"])) for status, reply in call["responses"].items()
    )
    return (
        f'<h2><code><span class="method">{method}</span> {escape(path)}</code></h2>'
        f"<p>{escape(call['summary'])}. {escape(call.get('description', ''))}</p>"
        + (f"<p>Takes</p><table>{takes}</table>" if takes else "")
        + f"<p>Gives</p><table>{gives}</table>"
    )


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _schema_name(content: dict[str, Any]) -> str:
    schema = content["schema"]
    return str(schema.get("$ref", schema.get("format", ""))).rpartition("/")[2]


def _page(title: str, body: str) -> Page:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return Page(f'<!doctype html><html lang="en">{head}<style>{STYLE}</style><h1>{escape(title)}</h1>{body}</html>')
