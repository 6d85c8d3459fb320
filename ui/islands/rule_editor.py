"""The rule designer: a gallery, a sentence to fill in, a test bench; it asks and tells /graphql itself."""

import reflex as rx
from reflex.event import no_args_event_spec, passthrough_event_spec

from ui.client import OPERATIONS
from ui.islands import LINE_PACKAGES, RULE_EDITOR

QUERIES = {
    "profiles": "rule_profiles",
    "groups": "group_names",
    "policies": "rule_policies",
    "channels": "rule_channels",
    "known": "rule_known",
    "devices": "rule_devices",
    "device": "device_name",
    "whereabouts": "rule_whereabouts",
    "standing": "rule_standing",
    "beginnings": "rule_beginnings",
    "templates": "rule_templates",
    "fill": "rule_fill",
    "rule": "rule",
    "check": "rule_check",
    "backtest": "rule_backtest",
    "series": "rule_series",
    "explain": "rule_explain",
    "preview": "rule_preview",
    "nonFirings": "rule_non_firings",
    "zone": "tenant_zone",
    "rehearse": "rule_rehearse",
    "tests": "rule_tests",
    "drafts": "rule_drafts",
    "draftSave": "rule_draft_save",
    "draftDelete": "rule_draft_delete",
    "publish": "rule_publish",
    "setMode": "rule_set_mode",
    "versions": "rule_versions",
    "firings": "rule_firings",
    "revert": "rule_revert",
    "delete": "rule_delete",
}


class RuleEditor(rx.NoSSRComponent):
    """`rule_id` empty means a new rule; `on_done` brings the words to show afterwards and the rule's id."""

    library = RULE_EDITOR.importable_path
    tag = "RuleEditor"
    lib_dependencies: list[str] = ["@xyflow/react@12.12.1", *LINE_PACKAGES]
    rule_id: rx.Var[str]
    queries: rx.Var[dict[str, str]]
    may_write: rx.Var[bool]
    on_done: rx.EventHandler[passthrough_event_spec(str, str)]
    on_absent: rx.EventHandler[no_args_event_spec]


def rule_editor(
    rule_id: rx.Var[str] | str, may_write: rx.Var[bool], on_done: object, on_absent: object
) -> rx.Component:
    """The editor with the operations it needs; who may not write looks and tries."""
    queries = {name: OPERATIONS[operation] for name, operation in QUERIES.items()}
    return RuleEditor.create(
        rule_id=rule_id, queries=queries, may_write=may_write, on_done=on_done, on_absent=on_absent
    )
