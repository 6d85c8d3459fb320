"""The console assembled: its pages and its style."""

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
        rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
        rx.el.meta(name="theme-color", content="#0a6b73"),
    ],
)
app.add_page(no_such_page, route="404", title="No such page · Tidegate")
app.add_page(sign_in, route="/sign-in", title="Sign in · Tidegate", on_load=SignIn.load)
app.add_page(overview, route="/", title="Overview · Tidegate", on_load=Overview.load)
app.add_page(devices, route="/devices", title="Devices · Tidegate", on_load=Devices.load)
app.add_page(add_device, route="/devices/add", title="Add a device · Tidegate", on_load=AddDevice.load)
app.add_page(import_devices, route="/devices/import", title="Import devices · Tidegate", on_load=ImportDevices.load)
app.add_page(transfers, route="/devices/transfers", title="Transfers · Tidegate", on_load=Transfers.load)
app.add_page(
    device,
    route="/devices/[device]",
    title="Device · Tidegate",
    on_load=[
        *(Commands.begin, Points.come, Device.load, Certificates.load, Memberships.load),
        *(PublicKeys.load, OscoreContexts.load, Erasure.load, Commands.load, Points.load),
        Device.complete,
    ],
)
app.add_page(
    rules,
    route="/rules",
    title="Rules · Tidegate",
    on_load=[Rules.load, RuleClock.load, RuleNotices.load],
)
app.add_page(rule, route="/rules/new", title="New rule · Tidegate", on_load=[Rules.open_editor, RuleNotices.load])
app.add_page(rule, route="/rules/[rule]", title="Rule · Tidegate", on_load=[Rules.open_editor, RuleNotices.load])
app.add_page(alerts, route="/alerts", title="Alerts · Tidegate", on_load=[Alerts.load, Silences.load])
app.add_page(alert, route="/alerts/[alert]", title="Alert · Tidegate", on_load=AlertDetail.load)
app.add_page(notifications, route="/notifications", title="Notifications · Tidegate", on_load=Notifications.load)
app.add_page(profiles, route="/profiles", title="Profiles · Tidegate", on_load=Profiles.load)
app.add_page(profile, route="/profiles/new", title="New profile · Tidegate", on_load=Profile.load)
app.add_page(profile, route="/profiles/[profile]", title="Profile · Tidegate", on_load=Profile.load)
app.add_page(groups, route="/groups", title="Groups · Tidegate", on_load=Groups.load)
app.add_page(group, route="/groups/new", title="New group · Tidegate", on_load=Group.load)
app.add_page(group, route="/groups/[group]", title="Group · Tidegate", on_load=Group.load)
app.add_page(concepts, route="/help", title="Help · Tidegate", on_load=Concepts.load)
app.add_page(inbox, route="/inbox", title="Inbox · Tidegate", on_load=Inbox.load)
app.add_page(
    ways_in,
    route="/ways-in",
    title="Ways in · Tidegate",
    on_load=[NewWay.load, Gate.load, WaysIn.load, Authorities.load],
)
app.add_page(fleet_audit, route="/fleet-audit", title="Fleet audit · Tidegate", on_load=FleetAudit.load)
app.add_page(usage, route="/usage", title="Usage · Tidegate", on_load=Usage.load)
app.add_page(account, route="/account", title="Your account · Tidegate", on_load=[Account.load, SecondFactor.load])
app.add_page(platform, route="/platform", title="Organisations · Tidegate", on_load=Platform.load)
app.add_page(people, route="/access/people", title="People · Tidegate", on_load=People.load)
app.add_page(roles, route="/access/roles", title="Roles · Tidegate", on_load=Roles.load)
app.add_page(tokens, route="/access/tokens", title="API tokens · Tidegate", on_load=Tokens.load)
app.add_page(
    identity_providers,
    route="/access/identity-providers",
    title="Identity providers · Tidegate",
    on_load=IdentityProviders.load,
)
app.add_page(audit, route="/access/audit", title="Audit log · Tidegate", on_load=Audit.load)
