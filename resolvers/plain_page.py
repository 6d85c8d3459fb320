"""Pages that must work before the console does: one form each, without a script, safe against framing and injection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from starlette.responses import HTMLResponse

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #2563eb; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; display: grid; min-height: 100vh; place-items: center; }
main { width: min(26rem, 100vw - 3rem); padding: 1.5rem 0; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600; }
input { box-sizing: border-box; width: 100%; padding: .6rem .7rem; font: inherit; border: 1px solid var(--line);
        border-radius: .5rem; background: Field; color: FieldText; }
button { width: 100%; margin-top: 1.25rem; padding: .7rem; font: inherit; font-weight: 600; border: 0;
         border-radius: .5rem; background: var(--accent); color: #fff; cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
[role=alert] { border-left: 4px solid #dc2626; padding: .25rem .75rem; }
"""


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a form. ``autocomplete`` tells password managers what it is."""

    name: str
    label: str
    type: str
    autocomplete: str


def page(
    title: str,
    words: str,
    *,
    action: str = "",
    fields: Sequence[Field] = (),
    hidden: Mapping[str, str] | None = None,
    button: str = "",
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """A page with one form, or with words alone where there are no fields. All text is escaped here."""
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    form = _form(action, fields, hidden or {}, button) if fields else ""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)} · Tidegate</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(words)}</p>{alert}{form}</main></body></html>"
    )
    return HTMLResponse(html, status, {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})


def _form(action: str, fields: Sequence[Field], hidden: Mapping[str, str], button: str) -> str:
    inputs = [f'<input type="hidden" name="{escape(n)}" value="{escape(v)}">' for n, v in hidden.items()]
    for place, field in enumerate(fields):
        name = escape(field.name)
        inputs.append(
            f'<label for="{name}">{escape(field.label)}</label><input id="{name}" name="{name}" required '
            f'type="{escape(field.type)}" autocomplete="{escape(field.autocomplete)}"{" autofocus" * (place == 0)}>'
        )
    return f'<form method="post" action="{escape(action)}">{"".join(inputs)}<button>{escape(button)}</button></form>'
