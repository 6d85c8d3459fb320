"""A scripted gateway, a visitor of one page's state, and a person at the real console."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import paho.mqtt.client as paho
import reflex as rx
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from playwright.async_api import Browser, Locator, Page, expect
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout
from reflex.istate.data import RouterData

from tests.support.outside import Post

Answer = dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]
S = TypeVar("S", bound=rx.State)

SENT_WITHIN_S = 30.0
LEFT_SHOWN = 6_000
JUMPS_UNSEEN = 0.01  # of the screen, times how far
SHOWN_WITHIN_MS = 30_000
"""A machine that does other things as well may need much longer than usual; the assertions' own bound is 5 s."""

COUNT_ARRIVALS = """
  window.arrivals = 0;
  window.lines = [];
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      window.lines.push(this);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string" && /"is_here[^"]*":true/.test(data)) window.arrivals += 1;
      });
    }
  };
"""
"""The server says that a page is complete, once it was opened anew or come to by a link."""

COUNT_JUMPS = """
  window.jumps = [];
  const note = (list) => list.forEach((each) => each.hadRecentInput || window.jumps.push(each));
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({ type: "layout-shift", buffered: true });
  window.drawn = async () => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    note(observer.takeRecords());
  };
"""
"""What moves on a page by itself makes people press the wrong thing."""

KEEP_PRESSES = """
  window.presses = [];
  const said = (e) => `${e?.nodeName} ${(e?.getAttribute?.("aria-label") || e?.innerText || "").slice(0, 40)}`;
  for (const each of ["pointerdown", "pointerup", "click"]) {
    addEventListener(each, ({ target }) => window.presses.push(`${each} ${said(target)}`.replace(/\\s+/g, " ")), true);
  }
"""
"""A click that was pressed on one thing and let go on another did nothing, and says nothing of it."""

AWAKE = """() => {
  const first = document.querySelector("main, form, button") ?? {};
  const taken = Object.keys(first).some((key) => key.startsWith("__react"));
  const isPlain = document.readyState === "complete" && !document.scripts.length; // not of the console
  if (!isPlain && !(taken && window.arrivals)) return false;
  document.documentElement.dataset.awake = "";
  return true;
}"""
"""Before React has taken over a page that came ready-made, a click is lost without a word; before the page's own
question is answered, what a click opens is closed again by the answer.
"""

expect.set_options(timeout=SHOWN_WITHIN_MS)

SECRET = "tgs_visitor"
ME = {
    "me": {
        "userId": "u1",
        "kind": "user",
        "name": "Ada",
        "email": "ada@example.org",
        "tenant": {"key": "demo", "name": "Demo"},
        "scopes": [],
        "groupIds": None,
        "secondFactorReset": None,
        "needsSecondFactor": False,
        "memberships": [{"tenantKey": "demo", "tenantName": "Demo"}],
    },
}


# What many pages ask beside their own question.
ALWAYS: dict[str, Answer] = {
    "Me": ME,
    "OpenAlerts": {"alerts": {"items": []}},
    "GroupNames": {"deviceGroups": {"items": []}},
}


@dataclass
class Gateway:
    """Answers each operation from `answers`; remembers what was asked."""

    answers: dict[str, Answer] = field(default_factory=lambda: dict(ALWAYS))
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    bearers: list[str] = field(default_factory=list)

    def http(self) -> httpx.AsyncClient:
        """The client that reaches this gateway instead of the network."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def refuses(self, operation: str, message: str, code: str) -> None:
        """Let an operation be refused from now on."""
        self.answers[operation] = {"errors": [{"message": message, "extensions": {"code": code}}]}

    def variables(self, operation: str) -> dict[str, Any]:
        """What the last call of the operation sent."""
        return next(variables for name, variables in reversed(self.asked) if name == operation)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.bearers.append(request.headers["authorization"])
        self.asked.append((body["operationName"], body["variables"]))
        found = self.answers[body["operationName"]]
        answer = found(body["variables"]) if callable(found) else found
        return httpx.Response(200, json=answer if "errors" in answer else {"data": answer})


class Visit:
    """Opens the state behind an address, with the visitor's cookie in the socket's headers."""

    def __call__(self, state: type[S], path: str = "/", cookie: str = f"tidegate_session={SECRET}") -> S:
        root = rx.State(_reflex_internal_init=True)  # type: ignore[call-arg]
        query = dict(re.findall(r"[?&](\w+)=([^&]*)", path))
        headers = {"cookie": cookie, "host": "127.0.0.1"}
        root.router = RouterData.from_router_data(
            {"headers": headers, "pathname": path, "asPath": path, "query": query}
        )
        found = root.get_substate(state.get_full_name().split("."))
        assert isinstance(found, state)
        return found


@dataclass(frozen=True)
class Console:
    """The running console and the keys to it."""

    url: str
    email: str
    password: str
    api_token: str
    device: dict[str, str]
    mqtt_port: int
    data_dir: Path
    post: Post

    def invite_operator(self, email: str) -> str:
        """What `tidegate operator` prints: the link by which the platform's operator joins."""
        environ = {**os.environ, "TIDEGATE_DATA_DIR": str(self.data_dir), "TIDEGATE_PUBLIC_URL": self.url}
        command = [sys.executable, "-m", "infra.cli", "operator", email]
        said = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180, check=True).stdout
        found = re.search(r"https?://\S+/auth/accept\S+", said)
        assert found, said
        return found[0]

    def visitor(
        self, chromium: Browser, width: int = 1440, theme: str = "light", *, elsewhere: str = ""
    ) -> AbstractAsyncContextManager["Visitor"]:
        """A person with a fresh browser profile; on leaving, their console must have been clean, and nothing may have
        been asked of another origin than `elsewhere`.
        """
        return _visitor(self, chromium, width, theme, elsewhere)

    def publish(self, values: dict[str, Any], quality: dict[str, str] | None = None) -> None:
        """Let the demo's spare device send these values, some in doubt; returns when they are stored."""
        self._send(json.dumps({"values": values} | ({"quality": quality} if quality else {})).encode())

    async def offer(self, body: bytes) -> None:
        """Let the demo's spare device send what will not be accepted; returns when it lies in the inbox."""
        before = await self._inbox_ids()
        self._send(body, protocol=MQTTProtocolVersion.MQTTv5)
        for _ in range(300):
            if await self._inbox_ids() != before:
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the message did not come into the inbox")

    def _send(self, body: bytes, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311) -> None:
        user = self.device["username"]
        where = "127.0.0.1", self.mqtt_port
        send(where, (user, self.device["token"]), f"t/{user}/up/telemetry", body, protocol=protocol)

    async def _inbox_ids(self) -> list[str]:
        found = await self.ask("{ inbox(first: 5) { items { id } } }")
        return [each["id"] for each in found["inbox"]["items"]]

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """One GraphQL question with the demo's API token."""
        async with httpx.AsyncClient(timeout=SENT_WITHIN_S, trust_env=False) as http:
            response = await http.post(
                f"{self.url}/graphql",
                json={"query": query, "variables": variables},
                headers={"Authorization": f"Bearer {self.api_token}"},
            )
        answer: dict[str, Any] = response.json()
        assert "errors" not in answer, answer
        found: dict[str, Any] = answer["data"]
        return found


@dataclass
class Visitor:
    """Somebody in front of the console."""

    console: Console
    page: Page

    async def open(self, path: str) -> None:
        """Go to an address of the console; returns when the page answers to clicks."""
        await self.page.goto(self.console.url + path)
        await self.awake()

    async def awake(self) -> None:
        """Wait until the page answers to clicks; what Playwright does and expects itself waits for it on its own."""
        await self.page.wait_for_function(AWAKE)

    async def stirred(self) -> None:
        """The same on Playwright's behalf: should it take too long, what waits for it fails, and says so."""
        with suppress(PlaywrightError):
            await self.awake()

    @asynccontextmanager
    async def led(self) -> AsyncIterator[None]:
        """What is done leads to another page by a link; goes on when that one is complete."""
        before = await self.page.evaluate("window.arrivals")
        yield
        await self.page.wait_for_function("before => window.arrivals > before", arg=before)

    async def lose_connection(self) -> None:
        """As on the train: every line of the page to the platform ends; goes on when the page is connected again."""
        async with self.led():
            await self.page.evaluate("window.lines.splice(0).forEach((line) => line.close())")

    async def sign_in(self, password: str | None = None) -> None:
        """Fill in the form and send it."""
        await self.page.get_by_label("E-mail").fill(self.console.email)
        await self.page.get_by_label("Password").fill(self.console.password if password is None else password)
        await self.page.get_by_role("button", name="Sign in").click()

    async def enter(self, path: str = "/") -> None:
        """Sign in without the form, which has tests of its own and takes a second each time; then go to an address."""
        answer = await self.page.request.post(
            f"{self.console.url}/auth/login",
            form={"email": self.console.email, "password": self.console.password},
            headers={"Accept": "application/json"},
        )
        assert answer.status == 204, await answer.text()
        await self.open(path)
        await expect(self.page.get_by_role("button", name="Sign out").first).to_be_visible()

    async def is_too_wide(self) -> bool:
        """Whether the page scrolls sideways, and not just for a moment while it is laid out."""
        try:
            await self.page.wait_for_function(
                "() => document.documentElement.scrollWidth <= window.innerWidth", timeout=2_000
            )
        except PlaywrightTimeout:
            return True
        return False


async def tab_to(page: Page, name: str, most: int = 60) -> None:
    """Press Tab until what is focused bears this name."""
    said = "e => e.getAttribute('aria-label') || e.innerText || ''"
    for _ in range(most):
        await page.keyboard.press("Tab")
        if (await page.evaluate(f"({said})(document.activeElement)")).strip().startswith(name):
            return
    raise AssertionError(f"{name} cannot be reached by keyboard")


async def jumps(page: Page) -> list[Any]:
    """What has jumped since the page was opened, by more than a number that grows, though nobody did a thing."""
    await page.evaluate("window.drawn()")
    named = """({ node, previousRect: from, currentRect: to }) =>
      `${node?.className || node?.nodeName} ${from.x},${from.y} > ${to.x},${to.y}`"""
    found = await page.evaluate(f"window.jumps.map((e) => [e.value, ...e.sources.map({named})])")
    return found if sum(each[0] for each in found) >= JUMPS_UNSEEN else []


async def told(where: Locator) -> str:
    """What is written there, once it is: a frame may be there a moment before what it shows."""
    await expect(where).to_have_text(re.compile(r"\S"))
    return await where.inner_text()


def paste(command: str) -> None:
    """Paste a line into a terminal; it must end well."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=SENT_WITHIN_S, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def send(
    where: tuple[str, int],
    login: tuple[str, str],
    topic: str,
    body: bytes,
    *,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
) -> None:
    """One message with QoS 1, confirmed within SENT_WITHIN_S: paho's own `publish.single` comes back for ever, with
    longer and longer pauses, when it is cut off.
    """
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
    client.username_pw_set(*login)
    client.connect(*where)
    client.loop_start()
    try:
        told = client.publish(topic, body, qos=1)
        told.wait_for_publish(SENT_WITHIN_S)
        assert told.is_published(), "the message was not confirmed in time"
    finally:
        client.disconnect()
        client.loop_stop()


@asynccontextmanager
async def _visitor(console: Console, chromium: Browser, width: int, theme: str, elsewhere: str) -> Any:
    context = await chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",  # a colour on its way to another one is neither, and axe may look just then
    )
    context.set_default_timeout(SHOWN_WITHIN_MS)
    await context.add_init_script(COUNT_ARRIVALS)
    await context.add_init_script(COUNT_JUMPS)
    await context.add_init_script(KEEP_PRESSES)
    page = await context.new_page()
    visitor = Visitor(console, page)
    await page.add_locator_handler(page.locator("html:not([data-awake])"), visitor.stirred)
    wrong: list[str] = []
    host = console.url.removeprefix("http://")
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda each: None if _is_own(each.url, host, elsewhere) else wrong.append(f"asked {each.url}"))
    page.on("websocket", lambda socket: None if _is_own(socket.url, host) else wrong.append(f"asked {socket.url}"))
    try:
        yield visitor
    except Exception as error:
        error.add_note(await _left(page))
        raise
    finally:
        await context.close()
    assert not wrong, wrong


async def _left(page: Page) -> str:
    """What a test that failed leaves on its page, and what was pressed last: elsewhere nobody can look at it."""
    try:
        presses = await page.evaluate("(window.presses ?? []).slice(-6).join('; ')")
        return f"At {page.url}, after {presses}:\n{(await page.locator('body').inner_text())[:LEFT_SHOWN]}"
    except PlaywrightError as error:
        return f"The page could not be looked at: {error}"


def _is_own(url: str, host: str, elsewhere: str = "") -> bool:
    more = (f"{elsewhere}/",) if elsewhere else ()
    return url.startswith((f"http://{host}/", f"ws://{host}/", "data:", "blob:", *more))
