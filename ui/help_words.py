"""What the console's words mean: each concept of rules, alerts and devices in plain words, at its own address."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One concept. `key` is its anchor on /help; `see` names others; `place` is where in the console it is found."""

    key: str
    name: str
    words: str
    example: str = ""
    see: tuple[str, ...] = ()
    place: tuple[str, str] | None = None


RULES = ("Rules", "/rules")
NEW_RULE = ("New rule", "/rules/new")
ALERTS = ("Alerts", "/alerts")
NOTIFICATIONS = ("Notifications", "/notifications")
DEVICES = ("Devices", "/devices")

SAYING = (
    Concept(
        "rule",
        "Rule",
        "A rule is one sentence that the platform watches for you: on which devices, when it is true, what then "
        "happens, and when it is over. Each device is judged by itself, so one rule can be true of one freezer and "
        "not of the next.",
        "When temperature is above 8 °C for 10 minutes, raise a major alert; it clears when it is below 6 °C.",
        ("condition", "action", "mode"),
        RULES,
    ),
    Concept(
        "template",
        "Template",
        "A rule that somebody has thought through already, with a few things left to choose. What comes of it is an "
        "ordinary rule: every word of it can be changed.",
        see=("rule",),
        place=NEW_RULE,
    ),
    Concept(
        "picture",
        "Sentence and picture",
        "Two views of the same rule. The sentence is filled in from top to bottom; the picture shows how conditions "
        "and actions hang together, and cards can be moved between groups. What you change in one is changed in the "
        "other.",
        see=("rule",),
        place=NEW_RULE,
    ),
    Concept(
        "scope",
        "Watch: which devices",
        "A rule is for the devices of one profile, or for all. It can be narrowed to groups, tags, single devices "
        "or those with a certain attribute. Devices that come later and fit are watched too.",
        see=("profile", "group", "tag"),
        place=NEW_RULE,
    ),
    Concept(
        "trigger",
        "Trigger: when it is looked at",
        "A rule is looked at again whenever something changes: a value comes in, a device comes or goes, a time is "
        "reached. With set times it is only looked at then, and fires if it is true at that moment.",
        "Every working day at 6:00, if the tank is below 20 %.",
        ("condition",),
    ),
    Concept(
        "condition",
        "When: a condition",
        "A question that is answered yes, no or “nobody knows”. Most ask about a value: is it above, below, "
        "between. Others ask whether a device is silent or offline, where it is, what time it is, or what it "
        "belongs to. “Nobody knows” is neither: a rule does not begin or end because of it.",
        see=("groups-of-conditions", "window", "missing-data"),
        place=NEW_RULE,
    ),
    Concept(
        "groups-of-conditions",
        "All, any, not",
        "Several conditions are true together when all of them are, or when any of them is. “Not” turns the answer "
        "round. Groups can stand inside groups.",
        "The door is open, and any of these: temperature above 8 °C, humidity above 80 %.",
        ("condition",),
    ),
    Concept(
        "window",
        "Window: over a time",
        "Instead of the value that has just come, a rule may look at the average, the lowest, the highest, the sum "
        "or the count over the last minutes or the last few values. That keeps one odd reading from raising an "
        "alarm.",
        "The average temperature over the last 5 minutes is above 8 °C.",
        ("condition", "for"),
    ),
    Concept(
        "for",
        "For at least",
        "How long the condition has to stay true before the rule fires. If it is untrue once in between, the time "
        "begins anew. A door opened for a moment is no alarm; one left open is.",
        see=("window", "over"),
    ),
    Concept(
        "area",
        "Area: where a device is",
        "A circle around a point, or an area with corners. A device is inside or outside, or has just come in or "
        "gone out. You need know no coordinates: take the place where a device is now as the middle of the circle, or "
        "as the next corner. Corners can be dragged in the drawing, or written as latitude and longitude, in the "
        "order in which one walks around the area.",
        "52.52, 13.405 is the middle of Berlin.",
        ("condition",),
    ),
    Concept(
        "missing-data",
        "If values stay away",
        "What the rule thinks when a value it needs has not come for a while: keep what it thought last, fire, "
        "count it as over, or leave that part out. A sensor that is broken says nothing; this is where you say what "
        "that means.",
        see=("condition",),
    ),
    Concept(
        "time-zone",
        "Whose clock: the time zone",
        "A time of day in a rule goes by the time zone that the rule names; else by the device's attribute timezone; "
        "else by your organisation's, which is set below the list of rules. Summer time is kept by itself. When "
        "something happened is shown by the clock of the computer you sit at; e-mails and other messages go by the "
        "clock of the device they are about, else by your organisation's, and name it.",
        "A device with the attribute timezone = America/Sao_Paulo is watched by the clock of São Paulo.",
        ("condition", "tag"),
        RULES,
    ),
    Concept(
        "action",
        "Then: what happens",
        "What the rule does when it fires, and if you like, when it is over: raise an alert, tell people, call a "
        "program, ask a device to do something, put on a tag, set an attribute, or write a value of its own.",
        see=("alert", "policy", "command"),
    ),
    Concept(
        "own-value",
        "A value of its own",
        "A rule can work out a new value from others and store it under a new name, like any value a device sends. "
        "Charts and other rules can use it.",
        see=("action", "metric"),
    ),
    Concept(
        "over",
        "Over: when it is over",
        "Without more, a rule is over when its condition is no longer true. With a condition of its own for the end "
        "it does not flutter while a value swings around the limit: raise above 8 °C, over below 6 °C. Engineers "
        "call that hysteresis.",
        see=("for", "cooldown"),
    ),
    Concept(
        "limits",
        "Not too often",
        "Four brakes, each only if you want it: a pause afterwards, a most per hour, quiet hours, and what to do "
        "with values that come late.",
        see=("cooldown", "quiet-hours", "lateness"),
    ),
    Concept(
        "cooldown",
        "Pause, and most per hour",
        "After it was over, a rule can stay quiet for a while even if it becomes true again. And it can be held to "
        "so many times an hour for each device, however often it would fire.",
        see=("over", "limits"),
    ),
    Concept(
        "quiet-hours",
        "Quiet hours",
        "Times at which a rule tells nobody and does nothing but raise its alert. When it is over then, what the rule "
        "does is done, so that nothing stays switched on. A notification policy can have quiet hours of its own.",
        see=("silence", "policy"),
    ),
    Concept(
        "lateness",
        "Greatest lateness",
        "Devices that were out of reach send later what they measured. Values older than this are stored, but do "
        "not raise an alarm about yesterday.",
        see=("limits",),
    ),
)
TRYING = (
    Concept(
        "backtest",
        "Look back",
        "The stored history is played through the rule exactly as if it had been in force: how often it would have "
        "fired, where, and why. Change a limit, or drag it on the chart, and it is played again; a template shows it "
        "before you use it. Nothing is sent.",
        see=("rule-test", "mode"),
        place=NEW_RULE,
    ),
    Concept(
        "try",
        "Try it",
        "Choose a device and a moment: each part of the rule says yes, no or “nobody knows”, with the value it saw, "
        "here and beside its words in the sentence and the picture. Or make up messages, and see step by step what "
        "the rule would do.",
        see=("backtest",),
        place=NEW_RULE,
    ),
    Concept(
        "rule-test",
        "Test of a rule",
        "A piece of history, or messages you made up, with what the rule must do about it. Point at a time of the past "
        "in the chart, by dragging or with a click at its beginning and one at its end, and say “this must alert” or "
        "“this must stay quiet”: what the device sent then is kept with the rule. All its tests are run at every "
        "change, and a rule that breaks one cannot be published.",
        "Last Tuesday from 2:10 to 2:40 the freezer thawed, and nobody was told: this must alert.",
        see=("backtest", "try"),
    ),
    Concept(
        "why-not",
        "Why not",
        "Why a rule stayed quiet although you expected it to fire: moments at which the published rule was looked at "
        "for this device, with what each part of it saw, and how far a number was from its limit. “Almost” means that "
        "only one part was missing, and if that is a number, that it was near. Not every look is kept; any other "
        "moment can be chosen above.",
        "“The fridge stood at 9 °C all night”: it did, but the door was open, and the rule asks for a closed one.",
        ("try", "noted"),
    ),
    Concept(
        "noted",
        "What a rule noted",
        "A rule that only watches does nothing, but writes down each time it would have: for which device, when, why, "
        "and what it would have done. Read it after some days; if every entry would have been worth a call, let the "
        "rule act. A rule in force that raises no alert writes down in the same way when and why it fired.",
        see=("mode", "backtest"),
        place=RULES,
    ),
    Concept(
        "draft",
        "Draft",
        "What you write is saved by itself as a draft, and changes nothing that is in force. You can leave and come "
        "back. Publishing puts it in force; throwing it away leaves everything as it was.",
        see=("version", "mode"),
    ),
    Concept(
        "mode",
        "Act, only watch, rest",
        "A rule that acts does what its sentence says. One that only watches (shadow mode) is judged all the same, "
        "but only notes what it would have done: let a new rule watch for some days before it may wake people. One "
        "that rests does nothing at all; its open alerts end, and what it does when one is over it does for them too.",
        see=("rule", "backtest"),
        place=RULES,
    ),
    Concept(
        "version",
        "Version",
        "Each time a rule is published its version is kept, with what changed in words and who did it. An earlier "
        "one can be taken as a draft or published again.",
        see=("draft",),
    ),
)
TELLING = (
    Concept(
        "alert",
        "Alert",
        "What a rule found on one device, from when it began until it is over. It says why, with the values seen. "
        "While it is open, the same rule raises no second one for the same device. How bad it is goes from info and "
        "minor to major and critical.",
        see=("acknowledge", "rule"),
        place=ALERTS,
    ),
    Concept(
        "acknowledge",
        "Acknowledge",
        "“I have seen it and look after it.” Reminders and escalation end, others see who it is. It does not end "
        "the alert: that happens when the rule is over.",
        see=("escalation", "snooze"),
        place=ALERTS,
    ),
    Concept(
        "snooze",
        "Put off",
        "Tells nobody about one alert for a while. If it is still open then, people are told again.",
        see=("silence",),
    ),
    Concept(
        "silence",
        "Silence",
        "For a while nobody is told about a device, a group, a rule or everything, for example during maintenance. "
        "Alerts are still raised and listed.",
        see=("snooze", "quiet-hours"),
        place=("Silences", "/alerts"),
    ),
    Concept(
        "channel",
        "Notification channel",
        "One way to reach somebody or some program: addresses for e-mail, a webhook, Slack, Teams, Telegram, a "
        "number for text messages. A channel alone sends nothing: a policy says when.",
        see=("policy", "webhook-key", "delivery"),
        place=NOTIFICATIONS,
    ),
    Concept(
        "policy",
        "Notification policy",
        "Who is told, in which order, of how bad an alert. Rules name a policy, not people, so who is on duty can "
        "change without touching any rule.",
        see=("escalation", "channel"),
        place=NOTIFICATIONS,
    ),
    Concept(
        "escalation",
        "Escalation and reminders",
        "A policy may have later steps: if nobody has acknowledged after so many minutes, the next ones are told. "
        "The last step can be repeated until somebody answers.",
        "At once the night shift; after 15 minutes the head of the plant.",
        ("acknowledge", "policy"),
    ),
    Concept(
        "webhook-key",
        "The key of a webhook",
        "Each call is signed with it (Standard Webhooks), so that your program can tell a call from us from one "
        "that somebody made up. It is shown once, when the channel is made or gets another address.",
        see=("channel",),
    ),
    Concept(
        "delivery",
        "What went out",
        "Every message with what became of it. What fails is tried again, from seconds to hours; a channel that "
        "fails for days is switched off, and you are told.",
        see=("channel",),
        place=NOTIFICATIONS,
    ),
)
KNOWING = (
    Concept(
        "profile",
        "Profile",
        "What devices of one make have in common: which values they send, in which unit and range, how often, and "
        "what they can be asked to do. Rules offer exactly these words.",
        see=("metric", "command"),
        place=("Profiles", "/profiles"),
    ),
    Concept(
        "metric",
        "Value (metric)",
        "Something a device measures or reports under one name, like temperature. It has a type and often a unit; a "
        "limit may be given in another unit of the same kind and is converted.",
        see=("profile",),
    ),
    Concept(
        "tag",
        "Tag and attribute",
        "A tag is a word on a device, like “outdoor”; an attribute is a named fact about it, like site = Kiel. You "
        "put them on, or a rule does; devices do not send them.",
        see=("group", "scope"),
        place=DEVICES,
    ),
    Concept(
        "group",
        "Group",
        "Devices that belong together. You choose them one by one, or the group finds them by itself by what they "
        "are. Rules and people's rights can be limited to groups.",
        see=("scope", "tag"),
        place=("Groups", "/groups"),
    ),
    Concept(
        "presence",
        "Online, offline, silent",
        "Online: the connection stands. Offline: it has ended or broken. Silent: nothing has been heard for longer "
        "than its profile expects, whether or not a connection stands.",
        see=("condition",),
        place=DEVICES,
    ),
    Concept(
        "command",
        "Command",
        "Something a device is asked to do once, like opening a valve. It waits until the device is there, is sent, "
        "and is done when the device says so; after a while without an answer it has failed, and says so.",
        see=("device-shadow", "profile"),
    ),
    Concept(
        "device-shadow",
        "Device shadow",
        "What a device's settings should be, beside what it last said they are. The platform keeps both, so a "
        "setting can be changed while the device is out of reach; it catches up when it comes back.",
        see=("command",),
    ),
)
PARTS = (
    ("Saying what you want", SAYING),
    ("Trying and publishing", TRYING),
    ("Alerts and who is told", TELLING),
    ("Devices and what they say", KNOWING),
)
CONCEPTS = {each.key: each for _, part in PARTS for each in part}
