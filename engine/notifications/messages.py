"""What is said: one function for each thing that people outside are told of, in plain words.

Moments come as words (`clocks.told`), by the clock of whoever reads them.
"""

from engine.notifications.model import TEST, Message


def invitation(*, tenant: str, by: str, until: str) -> Message:
    """Somebody is asked to join a tenant; the link comes apart, since it holds a secret."""
    text = (
        f"{by} has invited you to {tenant} on Tidegate.\n\n"
        f"The button below works once, until {until}. If you did not expect this, let it be: nothing happens."
    )
    return Message("invitation", f"You are invited to {tenant}", text, link_label="Accept the invitation")


def factor_reset(*, by: str) -> Message:
    """Somebody else took a person's second factor away."""
    text = (
        f"{by} has taken your second factor away, and all your sessions have ended. From now on your password alone "
        "signs you in.\n\nSign in and set up a new one. If you did not ask for this, change your password and tell "
        "your administrator."
    )
    return Message("second_factor.reset", "Your second factor was taken away", text, link="/account")


def channel_disabled(*, name: str, target: str, failures: int, since: str, last_error: str) -> Message:
    """A channel failed for so long that it was switched off."""
    text = (
        f"Nothing has reached the channel “{name}” since {since}, in {failures} tries. It is switched off, and "
        "whatever waited for it is given up.\n\nPut it right, switch it on again, and send a test."
    )
    facts = (("Channel", name), ("Leads to", target), ("Last error", last_error))
    return Message("channel.disabled", f"The channel “{name}” was switched off", text, facts, "/notifications")


def rule_muted(*, said: str, rule_id: str) -> Message:
    """A rule, or (``rule_id`` empty) all rules together, did so much that they are muted for a while."""
    title = "A rule does too much and is muted" if rule_id else "Rules do too much and are muted"
    text = f"{said}\n\nSee what sets it off so often; a wait, a clearing condition or a cooldown calms a rule down."
    data = {"rule": rule_id} if rule_id else {}
    link = f"/rules/{rule_id}" if rule_id else "/rules"
    return Message("rule.muted", title, text, link=link, link_label="See the rules", data=data)


def test(*, channel: str, by: str) -> Message:
    """Somebody wants to know whether a channel works."""
    text = f"{by} has sent this from Tidegate to see whether the channel “{channel}” works. It does."
    return Message(TEST, f"A test of “{channel}”", text, link="/notifications")
