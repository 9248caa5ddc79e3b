"""The pages for people. They need nothing from outside."""

import json
from html import escape
from typing import Any

HTML = "text/html; charset=utf-8"

STYLE = """
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h2 { margin: 2.5rem 0 0; font-size: 1.1rem; } code, pre { font-family: ui-monospace, monospace; }
.method { text-transform: uppercase; color: #06c; } pre { overflow-x: auto; background: #8881; padding: .5rem; }
td { padding: 0 1rem 0 0; vertical-align: top; } :root { color-scheme: light dark; }
"""


def home_page() -> bytes:
    """Return the start page, which leads to the calls."""
    return _page("mnist-serving", '<p><a href="docs">The calls, described</a></p>')


def reference_page(described: dict[str, Any]) -> bytes:
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


def _page(title: str, body: str) -> bytes:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en">{head}<style>{STYLE}</style><h1>{escape(title)}</h1>{body}</html>'.encode()
