"""The pages for people. They load nothing from elsewhere."""

import base64
import json
import re
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from .transport.http_types import Response

HTML = "text/html; charset=utf-8"

STATIC = files(__package__) / "static"
SCRIPTS = ("sheet.js", "input.js", "gallery.js", "draw.js", "service.js")  # each after those that it imports
INLINED = re.compile(r"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)

STYLE = """
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h2 { margin: 2.5rem 0 0; font-size: 1.1rem; } code, pre { font-family: ui-monospace, monospace; }
.method { text-transform: uppercase; color: #06c; } pre { overflow-x: auto; background: #8881; padding: .5rem; }
td { padding: 0 1rem 0 0; vertical-align: top; } :root { color-scheme: light dark; }
"""


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

    def response(self) -> Response:
        """Return the page as a reply."""
        return Response(200, self.content, HTML, {"Content-Security-Policy": self.policy})


def drawing_page() -> Page:
    """Return the drawing page: `static/index.html` with its style and its scripts inlined.

    The scripts become one, so that nothing is left to import.
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
    """Return an OpenAPI document as a page."""
    routes = [
        _route(path, method, route)
        for path, methods in described["paths"].items()
        for method, route in methods.items()
        if method != "parameters"
    ]
    info = described["info"]
    schemas = f"<h2>Schemas</h2><pre>{escape(json.dumps(described['components']['schemas'], indent=1))}</pre>"
    introduction = f'<p>{escape(info["description"])} As a document: <a href="openapi.json">openapi.json</a>.</p>'
    return _page(f"{info['title']} {info['version']}", "\n".join([introduction, *routes, schemas]))


def _route(path: str, method: str, route: dict[str, Any]) -> str:
    """Return the section of one route."""
    body = route.get("requestBody", {}).get("content", {})
    requests = "".join(_row(kind, _schema_name(content)) for kind, content in body.items())
    responses = "".join(
        _row(status, reply["description"], ", ".join(reply["content"])) for status, reply in route["responses"].items()
    )
    return (
        f'<h2><code><span class="method">{method}</span> {escape(path)}</code></h2>'
        f"<p>{escape(route['summary'])}. {escape(route.get('description', ''))}</p>"
        + (f"<p>Request</p><table>{requests}</table>" if requests else "")
        + f"<p>Response</p><table>{responses}</table>"
    )


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _schema_name(content: dict[str, Any]) -> str:
    schema = content["schema"]
    return str(schema.get("$ref", schema.get("format", ""))).rpartition("/")[2]


def _page(title: str, body: str) -> Page:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return Page(f'<!doctype html><html lang="en">{head}<style>{STYLE}</style><h1>{escape(title)}</h1>{body}</html>')
