"""Identity providers in words: what a form says about one, and what the button is called that people sign in with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from ui.components.reach import CHOOSE, sees
from ui.rights import ROLES

CALLBACK = "/auth/oidc/callback"  # where the gateway takes people back; the same for every provider
OWN = "CUSTOM:"
# What somebody new becomes; an owner is never made by signing in.
NEWCOMERS = (
    ("", "Nobody comes in uninvited"),
    *((role, ROLES[role][0]) for role in ("VIEWER", "OPERATOR", "DESIGNER")),
)
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


@dataclass(frozen=True)
class Provider:
    """An identity provider as its line shows it."""

    id: str
    name: str
    issuer: str
    client_id: str
    domains: str
    newcomers: str
    newcomers_words: str
    group_ids: list[str]
    is_limited: bool
    is_enabled: bool
    link: str
    version: int


@dataclass(frozen=True)
class SignInWay:
    """A button of the sign-in page."""

    words: str
    path: str


def button_words(name: str) -> str:
    """What the button says; a name that already says it is not said twice."""
    return name if re.match(r"(sign|log) ?-?in\b", name, re.IGNORECASE) else f"Sign in with {name}"


def sign_in_way(offered: Mapping[str, Any], next_path: str) -> SignInWay:
    """A provider that the gateway offers, as a button that leads to `next_path` in the end."""
    return SignInWay(button_words(str(offered["name"])), f"{offered['path']}?next={quote(next_path, safe='')}")


def provider_line(
    provider: Mapping[str, Any], own_roles: Mapping[str, str], groups: Mapping[str, str] = MappingProxyType({})
) -> Provider:
    """A provider of the contract; `own_roles` and `groups`: the names of the organisation's own roles and groups."""
    role, role_id, group_ids = provider["role"] or "", provider["roleId"] or "", provider.get("groupIds")
    domains = ", ".join(provider["domains"])
    named = own_roles.get(role_id) or ROLES.get(role, (role, ""))[0]
    whom = f"Anybody of {domains} becomes {named}" if role else "Only people who were invited come in"
    only = f", with addresses of {domains}" if domains and not role else ""
    limit = f", who {told}" if (told := sees(group_ids, groups)) else ""
    return Provider(
        provider["id"],
        provider["name"],
        provider["issuer"],
        provider["clientId"],
        domains,
        f"{OWN}{role_id}" if role_id else role,
        whom + only + limit + ".",
        group_ids or [],
        group_ids is not None,
        provider["isEnabled"],
        "%ORIGIN%" + provider["signInPath"],
        provider["version"],
    )


def input_of(form: Mapping[str, Any], *, is_new: bool, groups: Sequence[str] | None = None) -> dict[str, Any]:
    """What a form says as the contract's input; raises ValueError with words to show.

    `groups`: the only ones whose devices people see who come for the first time, None for all devices.
    """
    name, secret = str(form.get("name", "")).strip(), str(form.get("secret", "")).strip()
    domains, newcomers = domains_of(str(form.get("domains", ""))), str(form.get("newcomers", ""))
    if not name:
        raise ValueError("Please give it the name that stands on the button, for example your company's.")
    if newcomers and not domains:
        raise ValueError("Please name the domains of your own addresses: else anybody in the world could come in.")
    role = {"role": "CUSTOM", "roleId": newcomers.removeprefix(OWN)} if newcomers.startswith(OWN) else {}
    given: dict[str, Any] = {"name": name, "domains": domains, **(role or ({"role": newcomers} if newcomers else {}))}
    if newcomers and groups is not None:
        if not groups:
            raise ValueError(CHOOSE)
        given["groupIds"] = list(groups)
    elif newcomers and not is_new:
        given["allDevices"] = True
    if not is_new:
        return given | ({"clientSecret": secret} if secret else {}) | ({} if newcomers else {"onlyInvited": True})
    issuer, client = str(form.get("issuer", "")).strip(), str(form.get("client", "")).strip()
    if not issuer.startswith(("https://", "http://")):
        raise ValueError("The issuer's address begins with https://. Your provider's console shows it.")
    if not (client and secret):
        raise ValueError("Please give the client ID and the secret: the provider shows them once this is registered.")
    return given | {"issuer": issuer, "clientId": client, "clientSecret": secret}


def domains_of(text: str) -> list[str]:
    """Domains from a line of them; raises ValueError with words to show."""
    found = [each.lower().removeprefix("@") for each in re.split(r"[\s,;]+", text.strip()) if each]
    for each in found:
        if not _DOMAIN.fullmatch(each):
            raise ValueError(f"“{each}” is no domain. It is what stands behind the @, for example example.com.")
    return found
