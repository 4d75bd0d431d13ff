"""`python -m bench.page`: how soon a reader sees an app's words, and how far what they read moves, in Chromium."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, expect, sync_playwright

from devhost import App, Call, Devhost, Pause
from devhost.apps import Message, Step

APP = "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43"
TURNS, PAUSE_S = 5, 0.1
GOAL_MS, GOAL_SHIFT = 100, 0.02
CHROMIUM = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
TEXT = [
    "Here is **how** it works:\n\n",
    "1. one\n",
    "2. two\n\n",
    "|a|b|\n|-|-|\n",
    "|1|2|\n\n",
    "```py\n",
    "print(1)\n",
    "```\n\n",
]

# Records two things: for each painted frame its time and how long the answer was by then; and each layout shift that no key or
# click has caused.
WATCH = """() => {
    globalThis.painted = [];
    globalThis.shifts = [];
    const unasked = (list) => list.getEntries().filter((entry) => !entry.hadRecentInput).map((entry) => entry.value);
    new PerformanceObserver((list) => shifts.push(...unasked(list))).observe({type: "layout-shift"});
    const after = new MessageChannel(); // the frame: its message comes once that is painted
    after.port1.onmessage = ({data}) => painted.push([data, performance.timeOrigin + performance.now()]);
    const pieces = () => [...document.querySelectorAll("x-t:not(.sent)")];
    const length = () => pieces().reduce((sum, piece) => sum + piece.textContent.length, 0);
    const note = () => requestAnimationFrame(() => after.port2.postMessage(length()));
    new MutationObserver(note).observe(document.querySelector("main"), {subtree: true, childList: true, characterData: true});
}"""


def main() -> int:
    """Asks some questions and prints the figures. Exit status 1 if one misses its goal."""
    sent: list[tuple[int, float]] = []  # how many characters of all answers the app had sent, and when, in ms

    def script(call: Call) -> Iterator[Step]:
        message = Message(replace(call, conversation_id=APP))
        for piece in TEXT * 3:
            sent.append(((sent[-1][0] if sent else 0) + len(piece), time.time() * 1000))
            yield message.event("message", id=message.id, answer=piece)
            yield Pause(PAUSE_S)
        yield message.end("")

    settings = {"apps": f"page={APP}", "public_apps": APP, "public_rate": "9999"}
    with Devhost(Path.cwd(), settings=settings) as host, sync_playwright() as playwright:
        host.apps[APP] = App(mode="chat", script=script)
        program = os.environ.get("DUCK_CHROMIUM") or shutil.which("chromium")
        page = playwright.chromium.launch(executable_path=program, args=CHROMIUM.split()).new_page()
        page.goto(f"{host.url}/chat/page")
        page.evaluate(WATCH)
        for number in range(TURNS):
            _ask(page, f"Question {number}")
        painted, shifts = page.evaluate("[painted, shifts]")
    delays = sorted(min(then for count, then in painted if count >= length) - start for length, start in sent)
    print(f"from an event to its words on the screen: {median(delays):.0f} ms, at most {delays[-1]:.0f} (goal {GOAL_MS})")
    print(f"the farthest layout shift: {max(shifts, default=0):.3f} (goal {GOAL_SHIFT})")
    return int(delays[-1] > GOAL_MS or max(shifts, default=0) > GOAL_SHIFT)


def _ask(page: Page, question: str) -> None:
    page.get_by_role("textbox").fill(question)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible(timeout=60_000)


if __name__ == "__main__":
    sys.exit(main())
