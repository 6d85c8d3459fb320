"""Pages that must work before the console does: one form each, without a script, safe against framing and injection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from starlette.responses import HTMLResponse

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light; --paper: #f4f6f7; --surface: #fff; --line: #c3cfd4; --text: #13232b; --muted: #566873;
        --accent: #0a6b73; --on-accent: #fff; --bad: #b3261e; --bad-soft: #fce6e4; }
@media (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --paper: #0b1317; --surface: #111c21; --line: #35505c; --text: #e5eef1; --muted: #9ab0ba;
          --accent: #46c5c1; --on-accent: #06201f; --bad: #ff8a80; --bad-soft: #3d1a18; }
}
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; display: grid; min-height: 100vh; place-items: center;
       background: var(--paper); color: var(--text); }
main { box-sizing: border-box; width: min(24.5rem, 100vw - 2rem); margin: 1rem; padding: 1.6rem; border-radius: 10px;
       background: var(--surface); border: 1px solid color-mix(in srgb, var(--line) 55%, transparent); }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: 0; color: var(--muted); overflow-wrap: anywhere; }
label { display: block; margin: 1rem 0 .3rem; font-size: .9rem; font-weight: 600; }
input { box-sizing: border-box; width: 100%; min-height: 2.75rem; padding: .5rem .7rem; font: inherit;
        border: 1px solid var(--line); border-radius: 7px; background: var(--surface); color: var(--text); }
button { width: 100%; min-height: 2.75rem; margin-top: 1.25rem; font: inherit; font-weight: 600; border: 0;
         border-radius: 7px; background: var(--accent); color: var(--on-accent); cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[role=alert] { margin-top: 1rem; padding: .6rem .8rem; border-radius: 7px; background: var(--bad-soft);
               color: var(--bad); }
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
    links: Mapping[str, str] | None = None,
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    """A page with one form, with ``links`` (words to path), or with words alone. All text is escaped here."""
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    form = _form(action, fields, hidden or {}, button) if fields else ""
    ways = "".join(f'<p><a href="{escape(to)}">{escape(said)}</a></p>' for said, to in (links or {}).items())
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)} · Tidegate</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(words)}</p>{alert}{form}{ways}</main></body></html>"
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
