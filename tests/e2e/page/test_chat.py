"""What people know from the chat pages that they use every day."""

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from devhost import App
from tests.e2e.conftest import Duck, eventually
from tests.e2e.page.visitor import ASKING, CHAT, FLOW, GATED, PLAIN, Gate, Visit, ask, cutting, finished, last, said, started

PARAGRAPH = "The quick brown fox jumps over the lazy dog, again and again. " * 6 + "\n\n"
DOCUMENT: FilePayload = {"name": "plan.txt", "mimeType": "text/plain", "buffer": b"a plan"}


def answers(duck: Duck, text: str = "Hi **there**") -> None:
    """Makes PLAIN an app that says this."""
    duck.host.apps[PLAIN] = App(mode="chat", script=[said(text), CHAT[-1]])


def steps(duck: Duck, *events: dict[str, Any]) -> Gate:
    """Makes GATED an app that sends these events when the test says so."""
    gate = Gate([*events])
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    return gate


def picture(name: str = "cat.png") -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": b"meow"}


def box_of(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message")


def place(page: Page, selector: str) -> tuple[float, float]:
    """Where the last such element begins and ends in the window, in pixels from its top."""
    top, bottom = page.locator(selector).last.evaluate(
        "element => [element.getBoundingClientRect().top, element.getBoundingClientRect().bottom]"
    )
    return top, bottom


def assert_box_in_sight(page: Page) -> None:
    assert eventually(lambda: 0 <= place(page, ".say")[0] < place(page, ".say")[1] <= page.evaluate("innerHeight"))


# Where things are


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (375, 667)])
def test_the_question_is_at_the_top_and_the_newest_line_in_sight(visit: Visit, duck: Duck, width: int, height: int) -> None:
    page = visit("/chat/gated", viewport={"width": width, "height": height}).page
    assert_box_in_sight(page)
    for number in range(3):
        gate = steps(duck, *[said(PARAGRAPH)] * 12, said("The end."), CHAT[-1])
        ask(page, f"Question {number}")
        expect(last(page, ".question")).to_be_visible()
        assert eventually(lambda: 0 <= place(page, ".question")[0] < 40)
        assert_box_in_sight(page)
        for count in range(12):
            gate.open()
            expect(last(page, "[slot=blocks]")).to_have_count(count)
            assert eventually(lambda: place(page, "x-t, [slot=blocks], [slot=draft]")[1] <= place(page, ".say")[0])
            assert_box_in_sight(page)
        gate.open(2)
        expect(page.get_by_role("button", name="Send")).to_be_visible()
        assert eventually(lambda: place(page, ".actions")[1] <= place(page, ".say")[0])
        assert_box_in_sight(page)


def test_the_page_stays_where_the_reader_is_until_they_go_back_to_the_end(visit: Visit, duck: Duck) -> None:
    page = visit("/chat/gated").page
    gate = steps(duck, said(PARAGRAPH * 12), *[said(PARAGRAPH)] * 6, CHAT[-1])
    ask(page, "?")
    gate.open(2)
    expect(last(page, "[slot=blocks]")).to_have_count(2)
    button = page.get_by_role("button", name="To the end")
    expect(button).not_to_be_visible()
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -300)
    expect(button).to_be_visible()
    assert eventually(
        lambda: page.evaluate("scrollY") == page.evaluate("new Promise(done => setTimeout(() => done(scrollY), 200))")
    )
    before = page.evaluate("scrollY")
    gate.open(3)
    expect(last(page, "[slot=blocks]")).to_have_count(5)
    assert page.evaluate("scrollY") == before
    assert_box_in_sight(page)
    button.click()
    expect(button).not_to_be_visible()
    gate.open(3)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert eventually(lambda: place(page, ".actions")[1] <= place(page, ".say")[0])


def test_nothing_that_is_read_moves_while_an_answer_comes(visit: Visit, duck: Duck) -> None:
    page = visit("/chat/gated").page
    text = [
        "Some *text*",
        ", and more.\n\n",
        "- one\n- two\n",
        "\n|a|b|\n|-|-|\n|1|2|\n\n",
        "```python\nprint(1)\n```\n\n",
        "The end.",
    ]
    gate = Gate(
        [
            FLOW[0],
            started("1", "Search"),
            finished("1", "Search"),
            started("2", "LLM"),
            *map(said, text),
            finished("2", "LLM"),
            *FLOW[-2:],
        ]
    )
    duck.host.apps[GATED] = gate.app()
    page.evaluate("""() => {
        globalThis.shifts = [];
        const unasked = (list) => list.getEntries().filter((entry) => !entry.hadRecentInput).map((entry) => entry.value);
        new PerformanceObserver((list) => shifts.push(...unasked(list))).observe({type: "layout-shift"});
    }""")
    ask(page, "?")
    expect(page.get_by_role("status")).to_have_text("Waiting …")
    for _ in gate.steps:
        gate.open()
        page.wait_for_timeout(50)  # so that each is painted by itself
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert max(page.evaluate("shifts"), default=0) <= 0.02


def test_without_a_script_the_page_follows_the_answer(visit: Visit, duck: Duck) -> None:
    gate = steps(duck, *[said(PARAGRAPH)] * 12, said("Now."), CHAT[-1])
    page = visit("/chat/gated", scripts=False).page
    ask(page, "?")
    gate.open(13)
    expect(page.get_by_text("Now.")).to_be_in_viewport()
    gate.open()
    expect(box_of(page)).to_be_in_viewport()


def test_the_box_grows_with_its_text(visit: Visit) -> None:
    page = visit("/chat/plain").page
    box = box_of(page)
    heights = []
    for text in ("a", "a\nb\nc\nd", "a\n" * 100, ""):
        box.fill(text)
        heights.append(box.evaluate("element => element.offsetHeight"))
    assert heights[0] == heights[3] < heights[1] < heights[2] <= page.evaluate("innerHeight") / 2


@pytest.mark.parametrize(("touch", "focused"), [(False, True), (True, False)])
def test_the_box_has_the_focus_unless_that_would_open_a_keyboard_on_the_screen(visit: Visit, touch: bool, focused: bool) -> None:
    page = visit("/chat/plain", has_touch=touch, is_mobile=touch).page
    assert page.evaluate("document.activeElement.name === 'query'") == focused


# What can be done with an answer


@pytest.mark.parametrize("clipboard", [True, False], ids=["https", "http"])
def test_an_answer_and_its_code_can_be_copied(visit: Visit, duck: Duck, clipboard: bool) -> None:
    text = "Some **code**:\n\n```python\nprint(1)\n```\n\nThat is all."
    answers(duck, text)
    visitor = visit("/chat/plain")
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.page
    if not clipboard:  # as over plain HTTP
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    ask(page, "?")
    box = box_of(page)
    for name, copied in ((".actions", text), ("pre", "print(1)\n")):
        page.locator(name).get_by_role("button", name="Copy").click()
        expect(page.locator(name).get_by_role("button", name="Copied")).to_be_visible()
        box.fill("")
        box.press("Control+v")
        expect(box).to_have_value(copied)


def test_a_question_can_be_asked_again_or_changed(visit: Visit, duck: Duck) -> None:
    answers(duck)
    page = visit("/chat/plain").page
    ask(page, "First\nline")
    expect(last(page, "[slot=blocks]")).to_have_text("Hi there")
    box = box_of(page)
    box.fill("A draft")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("article")).to_have_count(2)
    expect(last(page, "[slot=blocks]")).to_have_text("Hi there")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(box).to_have_value("A draft")
    page.get_by_role("button", name="Edit").first.click()
    expect(box).to_have_value("First\nline")
    box.press("Escape")
    expect(box).to_have_value("A draft")
    page.get_by_role("button", name="Edit").last.click()
    box.press("End")
    box.press_sequentially("!")
    box.press("Enter")
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(box).to_have_value("A draft")
    assert [call.query for call in duck.host.calls[-3:]] == ["First\nline", "First\nline", "First\nline!"]


def test_steps_are_folded_away(visit: Visit) -> None:
    page = visit("/chat/chatflow").page
    ask(page, "a duck")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(last(page, "x-step").first).not_to_be_visible()
    last(page, ".answer").get_by_text("Steps").click()
    expect(last(page, "x-step").first).to_be_visible()


# What is typed


# In Chrome's order the composition is still open at the Enter that ends it, in Safari's it has ended just before.
COMPOSING = {
    "Chrome": """(box) => {
        box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", keyCode: 229, isComposing: true, bubbles: true}));
        box.dispatchEvent(new CompositionEvent("compositionend", {data: "鸭", bubbles: true}));
    }""",
    "Safari": """(box) => {
        box.dispatchEvent(new CompositionEvent("compositionend", {data: "鸭", bubbles: true}));
        box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", keyCode: 229, isComposing: false, bubbles: true}));
    }""",
}


@pytest.mark.parametrize("events", COMPOSING.values(), ids=COMPOSING.keys())
def test_an_enter_that_ends_a_composition_sends_nothing(visit: Visit, duck: Duck, events: str) -> None:
    answers(duck)
    page = visit("/chat/plain").page
    box = box_of(page)
    box.fill("鸭")
    box.evaluate(events)
    expect(page.get_by_role("article")).to_have_count(0)
    box.press("Enter")
    expect(last(page, "[slot=blocks]")).to_have_text("Hi there")
    expect(page.get_by_role("article")).to_have_count(1)


def test_a_question_that_could_not_be_sent_comes_back(visit: Visit, duck: Duck) -> None:
    answers(duck)
    visitor = visit("/chat/plain")
    page = visitor.page
    visitor.context.set_offline(True)
    ask(page, "Why?")
    expect(page.get_by_role("alert")).to_have_text("You are offline, so nothing was sent.")
    expect(box_of(page)).to_have_value("Why?")
    visitor.context.set_offline(False)
    page.get_by_role("button", name="Send").click()
    expect(last(page, "[slot=blocks]")).to_have_text("Hi there")


def test_what_is_not_from_duck_is_no_answer(visit: Visit) -> None:
    page = visit("/chat/plain").page
    page.route("**/chat/plain?", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>"))
    ask(page, "Why?")
    expect(page.get_by_role("alert")).to_have_text("The answer could not be fetched. The app may have run all the same.")
    expect(box_of(page)).to_have_value("Why?")
    expect(page.get_by_text("Bad Gateway")).to_have_count(0)


# Files


def test_files_are_shown_in_the_box_and_beside_the_question(visit: Visit) -> None:
    page = visit("/chat/chatbot").page
    choose = page.locator("input[name=files]")
    choose.set_input_files([picture()])
    choose.set_input_files([DOCUMENT])
    expect(page.locator(".chips .chip")).to_have_text(["cat.png \N{MULTIPLICATION SIGN}", "plan.txt \N{MULTIPLICATION SIGN}"])
    page.get_by_role("button", name="Remove cat.png").click()
    expect(page.locator(".chips .chip")).to_have_text(["plan.txt \N{MULTIPLICATION SIGN}"])
    ask(page, "What is this?")
    expect(last(page, ".question .chip")).to_have_text("plan.txt")
    expect(last(page, "[slot=blocks]").last).to_contain_text("plan.txt, text/plain")
    expect(page.locator(".chips .chip")).to_have_count(0)
    expect(last(page, ".question .chip")).to_have_text("plan.txt")


def test_a_picture_can_be_pasted_and_dropped(visit: Visit) -> None:
    page = visit("/chat/chatbot").page
    box_of(page).evaluate("""(box) => {
        for (const [type, name] of [["paste", "clipboardData"], ["drop", "dataTransfer"]]) {
            const data = new DataTransfer();
            data.items.add(new File(["x"], `${type}.png`, {type: "image/png"}));
            box.dispatchEvent(Object.assign(new Event(type, {bubbles: true, cancelable: true}), {[name]: data}));
        }
    }""")
    expect(page.locator(".chips .chip")).to_have_text(["paste.png \N{MULTIPLICATION SIGN}", "drop.png \N{MULTIPLICATION SIGN}"])


def test_a_mistake_keeps_the_files_that_were_chosen(visit: Visit) -> None:
    page = visit("/workflow/strict").page
    page.get_by_label("City").evaluate("element => element.removeAttribute('maxlength')")
    page.get_by_label("City").fill("Reykjavik")
    page.get_by_label("Document").set_input_files([DOCUMENT])
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("at most 5 characters, this has 9")).to_be_visible()
    assert page.get_by_label("Document").evaluate("input => input.files[0].name") == "plan.txt"
    page = visit("/chat/chatbot").page
    page.locator("input[name=files]").set_input_files([picture(), DOCUMENT, picture("b.png"), picture("c.png")])
    ask(page, "What are these?")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".chips .chip")).to_have_count(4)
    expect(box_of(page)).to_have_value("What are these?")
    page.get_by_role("button", name="Remove c.png").click()
    page.get_by_role("button", name="Send").click()
    expect(last(page, ".question .chip")).to_have_text(["cat.png", "plan.txt", "b.png"])


# A reload


def test_a_reload_keeps_the_conversation(visit: Visit, duck: Duck) -> None:
    answers(duck, "Hi **there**.\n\n```\ncode\n```")
    page = visit("/chat/plain").page
    ask(page, "First?")
    expect(last(page, "[slot=blocks] strong")).to_have_text("there")
    box_of(page).fill("A draft")
    page.reload()
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.get_by_role("heading", name="First?")).to_be_visible()
    expect(last(page, "[slot=blocks] strong").first).to_be_visible()
    expect(box_of(page)).to_have_value("A draft")
    expect(page.get_by_role("button", name="Copy")).to_have_count(2)
    ask(page, "Second?")
    expect(page.get_by_role("article")).to_have_count(2)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert duck.host.calls[-1].conversation_id == CHAT[0]["conversation_id"]
    page.get_by_role("link", name="Start over").click()
    expect(box_of(page)).to_have_value("")
    expect(page.get_by_role("article")).to_have_count(0)


def test_a_reload_while_an_answer_comes_keeps_what_came(visit: Visit, duck: Duck) -> None:
    gate = steps(duck, said("One"), CHAT[-1])
    page = visit("/chat/gated").page
    ask(page, "Why?")
    gate.open()
    expect(last(page, "x-t")).to_have_text("One")
    page.reload()
    expect(last(page, "x-t")).to_have_text("One")
    expect(last(page, ".note")).to_have_text("You left the page while this answer came. The run goes on in Dify.")
    gate.open()
    answers(duck)
    duck.host.apps[GATED] = duck.host.apps[PLAIN]
    ask(page, "And now?")
    expect(last(page, "[slot=blocks] strong")).to_have_text("there")
    assert duck.host.calls[-1].conversation_id == CHAT[0]["conversation_id"]


def test_where_nothing_may_be_stored_the_page_works(visit: Visit, duck: Duck) -> None:
    answers(duck)
    visitor = visit("/chat/plain")
    page = visitor.page
    page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    )
    page.reload()
    ask(page, "Why?")
    expect(last(page, "[slot=blocks] strong")).to_have_text("there")
    page.reload()
    expect(page.get_by_role("article")).to_have_count(0)


def test_a_connection_that_breaks_leaves_a_turn_that_can_be_asked_again(visit: Visit, duck: Duck) -> None:
    gate = steps(duck, said("One"), CHAT[-1])
    page = visit("/chat/gated").page
    with cutting(duck.host.port) as (port, cut):
        page.goto(page.url.replace(f":{duck.host.port}", f":{port}"))
        ask(page, "Why?")
        gate.open()
        expect(last(page, "x-t")).to_have_text("One")
        cut()
        expect(page.get_by_role("alert")).to_be_visible()
    gate.open()
    assert page.locator("[name='duck.turns']").input_value() == '[["Why?","One"]]'


# A browser's and a reader's oddities


def test_a_double_click_sends_and_does_not_stop(visit: Visit, duck: Duck) -> None:
    gate = steps(duck, said("One"), CHAT[-1])
    page = visit("/chat/gated").page
    box_of(page).fill("Why?")
    page.get_by_role("button", name="Send").dblclick()
    gate.open(2)
    expect(last(page, "[slot=done]")).to_have_text("Finished")
    expect(page.get_by_role("article")).to_have_count(1)


def test_enter_in_an_input_does_not_stop_an_answer(visit: Visit, duck: Duck) -> None:
    gate = Gate([said("One"), CHAT[-1]])
    with patch.dict(duck.host.apps, {ASKING: replace(duck.host.apps[ASKING], script=gate.app().script)}):
        page = visit("/chat/asking").page
        page.get_by_text("Inputs").click()
        ask(page, "Why?")
        gate.open()
        expect(last(page, "x-t")).to_have_text("One")
        page.get_by_text("Inputs").click()
        page.get_by_label("Name").press("Enter")
        gate.open()
        expect(last(page, "[slot=done]")).to_have_text("Finished")


def test_a_reload_keeps_the_inputs_and_a_missing_one_is_shown(visit: Visit, duck: Duck) -> None:
    page = visit("/chat/asking").page
    page.get_by_text("Inputs").click()
    page.get_by_label("Name").fill("Ada")
    ask(page, "Why?")
    expect(last(page, "[slot=done]")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Name")).not_to_be_visible()
    ask(page, "And now?")
    expect(page.get_by_role("article")).to_have_count(2)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert duck.host.calls[-1].inputs["name"] == "Ada"
    page.get_by_label("Name").evaluate("input => { input.required = true; input.value = ''; }")
    ask(page, "Once more?")
    expect(page.get_by_label("Name")).to_be_visible()


@pytest.mark.parametrize(("types", "pasted"), [("text/plain", []), ("", ["x.png \N{MULTIPLICATION SIGN}"])])
def test_a_pasted_table_is_text(visit: Visit, types: str, pasted: list[str]) -> None:
    page = visit("/chat/chatbot").page
    box_of(page).evaluate(
        """(box, types) => {
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File(["x"], "x.png", {type: "image/png"}));
            if (types) clipboardData.setData(types, "a table");
            box.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }""",
        types,
    )
    expect(page.locator(".chips .chip")).to_have_text(pasted)


@pytest.mark.parametrize("kept", ["<article>", '<article><h2 class="question">', ""])
def test_an_answer_that_is_cut_off_without_an_error_is_told_of(visit: Visit, duck: Duck, kept: str) -> None:
    answers(duck)
    page = visit("/chat/plain").page
    page.evaluate(
        """(kept) => {
            const real = fetch;
            globalThis.fetch = (...wanted) => real(...wanted).then(({status, headers}) => new Response(kept, {status, headers}));
        }""",
        kept,
    )
    ask(page, "Why?")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    page.reload()
    expect(page.get_by_role("article").get_by_role("alert")).to_be_visible()


def test_a_silent_connection_is_lost(visit: Visit, duck: Duck) -> None:
    gate = steps(duck, said("One"), CHAT[-1])
    page = visit("/chat/gated").page
    page.clock.install()
    ask(page, "Why?")
    gate.open()
    expect(last(page, "x-t")).to_have_text("One")
    page.clock.fast_forward(46_000)
    expect(page.get_by_role("alert")).to_contain_text("The connection broke off.")
    gate.open()


def test_a_new_conversation_begins_empty_wherever_one_was_before(visit: Visit, duck: Duck) -> None:
    answers(duck)
    page = visit("/chat/plain?").page
    ask(page, "Secret?")
    expect(last(page, "[slot=done]")).to_be_visible()
    page.goto(f"{duck.host.url}/chat/plain?utm_source=mail")
    ask(page, "Other?")
    expect(last(page, "[slot=done]")).to_be_visible()
    page.get_by_role("link", name="Start over").click(modifiers=["Control"])
    page.reload()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("link", name="Start over").click()
    expect(page.get_by_role("textbox")).to_be_focused()
    expect(page.get_by_role("article")).to_have_count(0)


def test_broken_storage_is_no_conversation(visit: Visit) -> None:
    page = visit("/chat/plain").page
    page.evaluate("removeEventListener, sessionStorage.setItem(`duck ${location.pathname}`, '{bad')")
    page.evaluate("Storage.prototype.setItem = () => {}")
    page.reload()
    expect(box_of(page)).to_be_focused()


def test_files_for_the_next_question_stay_when_one_is_asked_again(visit: Visit, duck: Duck) -> None:
    page = visit("/chat/chatbot").page
    ask(page, "Why?")
    expect(page.get_by_role("button", name="Ask again")).to_be_visible()
    page.locator("input[name=files]").set_input_files([DOCUMENT])
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("article")).to_have_count(2)
    expect(page.locator(".question .chip")).to_have_count(0)
    expect(page.locator(".chips .chip")).to_have_count(1)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert not duck.host.calls[-1].files
