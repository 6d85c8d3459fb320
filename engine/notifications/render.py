"""A message as text, as HTML and as JSON: what each channel shows."""

import re
from datetime import datetime
from html import escape

import orjson

from engine.notifications.model import Message

# No image, no font and no script from anywhere: nobody learns whether or where it was read.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0; background: #f3f5f6; color: #14212b;
  font: 16px/1.55 system-ui, -apple-system, Segoe UI, sans-serif }}
.card {{ background: #ffffff; border: 1px solid #d9e0e4 }} .muted {{ color: #54636e }}
@media (prefers-color-scheme: dark) {{
  body, .outer {{ background: #0f171c !important; color: #e6edf1 !important }}
  .card {{ background: #182229 !important; border-color: #2b3a43 !important }} .muted {{ color: #9db0bb !important }}
  .badge {{ color: {light} !important }}
}}
</style></head>
<body><table role="presentation" class="outer" width="100%" cellpadding="0" cellspacing="0"><tr>
<td align="center" style="padding:28px 14px">
<table role="presentation" class="card" width="100%" cellpadding="0" cellspacing="0"
 style="max-width:540px;border-radius:12px"><tr><td style="height:5px;border-radius:12px 12px 0 0;background:{colour}">
</td></tr><tr><td style="padding:24px 26px 26px">
{badge}<h1 style="margin:0 0 12px;font-size:21px;line-height:1.3">{title}</h1>
{text}{facts}{link}</td></tr></table>
<p class="muted" style="max-width:540px;margin:16px auto 0;font-size:13px">{foot}</p>
</td></tr></table></body></html>
"""
_COLOURS = {"critical": "#b3261e", "major": "#c2410c", "minor": "#9a6700", "info": "#0b6e82", "": "#0b6e82"}
_LIGHT = {"critical": "#ff8a80", "major": "#ff9d6b", "minor": "#e3b341"}
"""The colours of words in the dark."""
FOOT = "Sent by Tidegate because you, or somebody of your organisation, asked for it."


def url(message: Message, origin: str) -> str:
    """Where the message leads; '' where nowhere. Only places on our own console."""
    path = message.link
    return origin + path if path.startswith("/") and not path.startswith("//") else ""


def text(message: Message, origin: str) -> str:
    """The message without its title, as plain text."""
    parts = [message.text, "\n".join(f"{name}: {value}" for name, value in message.facts)]
    where = url(message, origin)
    parts.append(f"{message.link_label}: {where}" if where else "")
    return "\n\n".join(part for part in parts if part) or message.title


def markdown(message: Message, origin: str) -> str:
    """The message without its title, as Markdown in which nothing that was said is a mark."""
    parts = [markdown_plain(message.text)]
    parts.append("\n\n".join(f"**{markdown_plain(name)}:** {markdown_plain(value)}" for name, value in message.facts))
    where = url(message, origin)
    parts.append(f"[{markdown_plain(message.link_label)}]({where})" if where else "")
    return "\n\n".join(part for part in parts if part)


def markdown_plain(text: str) -> str:
    """``text`` with a backslash before whatever Markdown could take for a mark."""
    return re.sub(r"([\\`*_{}\[\]()#+!<>|~])", r"\\\1", text)


def html(message: Message, origin: str) -> str:
    """The message as a page for mail programs: readable in the dark, at any width, and without pictures."""
    colour = _COLOURS.get(message.severity, _COLOURS[""])
    return _PAGE.format(
        title=escape(message.title),
        colour=colour,
        light=_LIGHT.get(message.severity, "#4cc4d6"),
        badge=_badge(message.severity, colour),
        text="".join(f'<p style="margin:0 0 14px">{_lines(each)}</p>' for each in message.text.split("\n\n") if each),
        facts=_facts(message.facts),
        link=_button(url(message, origin), message.link_label, colour),
        foot=FOOT,
    )


def body(message: Message, origin: str, at: datetime) -> bytes:
    """The message as a webhook's body (Standard Webhooks: type, timestamp, data); the same bytes at each try."""
    data = {
        "title": message.title,
        "text": message.text,
        "severity": message.severity or None,
        "facts": dict(message.facts),
        "url": url(message, origin) or None,
        **{name: value for name, value in message.data.items() if name not in ("title", "text", "severity", "facts")},
    }
    return orjson.dumps({"type": message.kind, "timestamp": at.isoformat(), "data": data})


def short(message: Message, origin: str, most: int = 300) -> str:
    """The message as a text message."""
    where = url(message, origin)
    room = most - len(message.title) - len(where) - 3
    said = message.text.replace("\n", " ")
    parts = [message.title, said if len(said) <= room else said[: max(room - 1, 0)].rstrip() + "…" * (room > 0), where]
    return " ".join(part for part in parts if part)


def _badge(severity: str, colour: str) -> str:
    if not severity:
        return ""
    style = (
        f"margin:0 0 8px;color:{colour};font-weight:700;font-size:13px;letter-spacing:.06em;text-transform:uppercase"
    )
    return f'<p class="badge" style="{style}">{escape(severity.upper())}</p>'


def _facts(facts: tuple[tuple[str, str], ...]) -> str:
    if not facts:
        return ""
    named = "padding:4px 16px 4px 0;vertical-align:top;min-width:70px"
    rows = "".join(
        f'<tr><td class="muted" style="{named}">{escape(name)}</td>'
        f'<td style="padding:4px 0;vertical-align:top;overflow-wrap:break-word">{_lines(value)}</td></tr>'
        for name, value in facts
    )
    return f'<table role="presentation" cellpadding="0" cellspacing="0" style="margin:0 0 16px">{rows}</table>'


def _button(where: str, label: str, colour: str) -> str:
    if not where:
        return ""
    style = f"display:inline-block;padding:11px 20px;border-radius:8px;background:{colour};color:#ffffff"
    plain = f'<p class="muted" style="margin:14px 0 0;font-size:13px;word-break:break-all">{escape(where)}</p>'
    return (
        f'<p style="margin:6px 0 0"><a href="{escape(where)}" style="{style};text-decoration:none;font-weight:600">'
        f"{escape(label)}</a></p>{plain}"
    )


def _lines(paragraph: str) -> str:
    """A paragraph in HTML; a number keeps its sign beside it at a line's end."""
    return re.sub(r"(?<=\d) (?=[%°])", "&nbsp;", escape(paragraph)).replace("\n", "<br>")
