"""Quotas in words: what is limited, how much of it is used, and what a form says they shall be."""

from dataclasses import dataclass
from typing import Any

# What is limited: its name, and what happens above it. In the order people think of them.
QUOTAS: dict[str, tuple[str, str]] = {
    "DEVICES": ("Devices", "Above it none can be added."),
    "MESSAGES_PER_S": ("Messages a second", "Average of the last hour. Senders above it are slowed down or refused."),
    "VALUES_PER_S": ("Values a second", "Average of the last hour. Senders above it are slowed down or refused."),
    "STORAGE_DAYS": ("Days of history", "The oldest day there is. What is older is removed."),
    "SUBSCRIPTIONS": (
        "Live streams at once",
        "Each open page of the console has up to three. Above it no more are opened.",
    ),
    "API_COST_PER_MIN": (
        "API work in a minute",
        "What programs and this console ask for, each question by its size. Above it they are told to wait.",
    ),
}
NEARLY_PERCENT = 80
# History is kept as long as it may be: being full is how it should be.
_ALWAYS_FULL = frozenset({"STORAGE_DAYS"})


@dataclass(frozen=True)
class QuotaLine:
    """One quota with what is used of it."""

    name: str
    words: str
    means: str
    used: str
    limit: str
    own: str
    percent: int
    level: str


def quota_line(quota: dict[str, Any]) -> QuotaLine:
    """A quota of the contract as a page shows it."""
    words, means = QUOTAS.get(quota["name"], (quota["name"].replace("_", " ").capitalize(), ""))
    percent = min(100, round(100 * quota["used"] / quota["limit"])) if quota["limit"] else 100
    level = "ok" if quota["name"] in _ALWAYS_FULL or percent < NEARLY_PERCENT else "bad" if percent >= 100 else "warn"
    return QuotaLine(
        quota["name"],
        words,
        means,
        f"{quota['used']:,.0f}" if quota["used"] >= 10 else f"{quota['used']:.1f}".removesuffix(".0"),
        f"{quota['limit']:,}",
        str(quota["limit"]) if quota["isOwn"] else "",
        percent,
        level,
    )


def wanted(form: dict[str, Any], quotas: list[QuotaLine]) -> list[dict[str, Any]]:
    """What a form changes, as inputs of the contract; an empty field asks for the platform's default.

    Raises ValueError with words to show.
    """
    changes = []
    for quota in quotas:
        text = "".join(str(form.get(quota.name, "")).split()).replace(",", "")
        if text == quota.own:
            continue
        if text and not (text.isascii() and text.isdigit() and int(text) > 0):
            raise ValueError(f"“{quota.words}” has to be a whole number above 0, or empty for the platform's default.")
        changes.append({"name": quota.name, "limit": int(text) if text else None})
    return changes
