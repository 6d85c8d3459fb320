"""The console assembled: its pages and its style."""

from collections.abc import Callable
from typing import Any

import reflex as rx

from ui.components.alert_silences import Silences
from ui.components.authorities import Authorities
from ui.components.certificates import Certificates
from ui.components.commands import Commands
from ui.components.erasure import Erasure
from ui.components.gate import Gate
from ui.components.memberships import Memberships
from ui.components.new_way import NewWay
from ui.components.oscore_contexts import OscoreContexts
from ui.components.points import Points
from ui.components.public_keys import PublicKeys
from ui.components.rule_clock import RuleClock
from ui.components.rule_notices import RuleNotices
from ui.components.second_factor import SecondFactor
from ui.components.trouble import fault, lost, no_such_page
from ui.console import ARRIVED, LOADS, Console
from ui.pages.account import Account, account
from ui.pages.add_device import AddDevice, add_device
from ui.pages.alert import AlertDetail, alert
from ui.pages.alerts import Alerts, alerts
from ui.pages.audit import Audit, audit
from ui.pages.concepts import Concepts, concepts
from ui.pages.device import Device, device
from ui.pages.devices import Devices, devices
from ui.pages.fleet_audit import FleetAudit, fleet_audit
from ui.pages.group import Group, group
from ui.pages.groups import Groups, groups
from ui.pages.identity_providers import IdentityProviders, identity_providers
from ui.pages.import_devices import ImportDevices, import_devices
from ui.pages.inbox import Inbox, inbox
from ui.pages.notifications import Notifications, notifications
from ui.pages.overview import Overview, overview
from ui.pages.people import People, people
from ui.pages.platform import Platform, platform
from ui.pages.profile import Profile, profile
from ui.pages.profiles import Profiles, profiles
from ui.pages.roles import Roles, roles
from ui.pages.rules import Rules, rule, rules
from ui.pages.sign_in import SignIn, sign_in
from ui.pages.tokens import Tokens, tokens
from ui.pages.transfers import Transfers, transfers
from ui.pages.usage import Usage, usage
from ui.pages.ways_in import WaysIn, ways_in

app = rx.App(
    stylesheets=["/tidegate.css", "/rules.css"],
    html_lang="en",
    extra_app_wraps={(5, "Overlay"): lost},
    backend_exception_handler=fault,
    head_components=[
        rx.el.script(ARRIVED),
        rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
        rx.el.meta(name="theme-color", content="#0a6b73"),
    ],
)


def add(shown: Callable[[], rx.Component], route: str, title: str, *loads: Any) -> None:
    """One page of the console; `loads`: what is done when somebody comes to it, see `ui.console`."""
    LOADS[route] = loads
    app.add_page(shown, route=route, title=f"{title} · Tidegate", on_load=Console.come(route))


add(no_such_page, "404", "No such page")
add(sign_in, "/sign-in", "Sign in", SignIn.load)
add(overview, "/", "Overview", Overview.load)
add(devices, "/devices", "Devices", Devices.load)
add(add_device, "/devices/add", "Add a device", AddDevice.load)
add(import_devices, "/devices/import", "Import devices", ImportDevices.load)
add(transfers, "/devices/transfers", "Transfers", Transfers.load)
add(
    device,
    "/devices/[device]",
    "Device",
    Commands.begin,
    Points.come,
    Device.load,
    Certificates.load,
    Memberships.load,
    PublicKeys.load,
    OscoreContexts.load,
    Erasure.load,
    Commands.load,
    Points.load,
    Device.complete,
)
add(rules, "/rules", "Rules", Rules.load, RuleClock.load, RuleNotices.load)
add(rule, "/rules/new", "New rule", Rules.open_editor, RuleNotices.load)
add(rule, "/rules/[rule]", "Rule", Rules.open_editor, RuleNotices.load)
add(alerts, "/alerts", "Alerts", Alerts.load, Silences.load)
add(alert, "/alerts/[alert]", "Alert", AlertDetail.load)
add(notifications, "/notifications", "Notifications", Notifications.load)
add(profiles, "/profiles", "Profiles", Profiles.load)
add(profile, "/profiles/new", "New profile", Profile.load)
add(profile, "/profiles/[profile]", "Profile", Profile.load)
add(groups, "/groups", "Groups", Groups.load)
add(group, "/groups/new", "New group", Group.load)
add(group, "/groups/[group]", "Group", Group.load)
add(concepts, "/help", "Help", Concepts.load)
add(inbox, "/inbox", "Inbox", Inbox.load)
add(ways_in, "/ways-in", "Ways in", NewWay.load, Gate.load, WaysIn.load, Authorities.load)
add(fleet_audit, "/fleet-audit", "Fleet audit", FleetAudit.load)
add(usage, "/usage", "Usage", Usage.load)
add(account, "/account", "Your account", Account.load, SecondFactor.load)
add(platform, "/platform", "Organisations", Platform.load)
add(people, "/access/people", "People", People.load)
add(roles, "/access/roles", "Roles", Roles.load)
add(tokens, "/access/tokens", "API tokens", Tokens.load)
add(identity_providers, "/access/identity-providers", "Identity providers", IdentityProviders.load)
add(audit, "/access/audit", "Audit log", Audit.load)
