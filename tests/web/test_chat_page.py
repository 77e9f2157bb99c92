"""The chat page of the examples in a real browser: two users, and what is remembered about whom."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from serving import PATIENCE, ROOT, free_port, serving

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,800",
]


class Visitor:
    """A person at a browser of their own."""

    def __init__(self, browser: webdriver.Chrome, url: str, name: str) -> None:
        self.browser = browser
        browser.get(url)
        browser.find_element(By.NAME, "name").send_keys(name)
        browser.find_element(By.CSS_SELECTOR, "button").click()
        self.wait_for(".opening")

    def wait_for(self, selector: str) -> None:
        WebDriverWait(self.browser, PATIENCE).until(
            lambda browser: browser.find_elements(By.CSS_SELECTOR, selector)
        )

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map(element => element.innerText)"
        texts: list[str] = self.browser.execute_script(script, selector)
        return texts

    def say(self, text: str) -> str:
        """Say something, and return the answer once it is there and the memories are shown anew."""
        before = len(self.texts(".assistant"))
        script = "return document.getElementById('memories').dataset.shown"
        shown = self.browser.execute_script(script)
        self.browser.find_element(By.ID, "text").send_keys(text)
        self.browser.find_element(By.ID, "send").click()
        WebDriverWait(self.browser, PATIENCE).until(lambda b: b.execute_script(script) != shown)
        answers = self.texts(".assistant")
        assert len(answers) == before + 1
        return answers[-1]

    def remembered(self) -> list[str]:
        return self.texts("#memories p")


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Callable[[str], Visitor]]:
    """Have somebody come to the page of the running example."""
    port = free_port()
    command = [str(ROOT / "examples" / "chat" / "app.py"), "--port", str(port)]
    with ExitStack() as stack:
        url = stack.enter_context(serving(command, port, tmp_path))

        def visit(name: str) -> Visitor:
            options = webdriver.ChromeOptions()
            for flag in [*FLAGS, f"--user-data-dir={tmp_path / name}"]:
                options.add_argument(flag)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
            options.binary_location = shutil.which("chromium") or "chromium is not installed"
            driver = shutil.which("chromedriver") or "chromedriver is not installed"
            browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
            stack.callback(browser.quit)
            return Visitor(browser, url, name)

        yield visit


def test_two_users_each_see_what_is_remembered_about_them(visit: Callable[[str], Visitor]) -> None:
    alice, bob = visit("Alice"), visit("Bob")
    assert alice.texts("h1") == ["Hello, Alice."]
    assert alice.say("I prefer Python for backend work.") == "Got it: you prefer Python for backend work."
    assert bob.say("I prefer Go for backend work.") == "Got it: you prefer Go for backend work."
    assert alice.remembered() == ["Prefers Python for backend work"]
    assert bob.remembered() == ["Prefers Go for backend work"]

    # In a new conversation, what is known is used, and shown as used.
    alice.browser.find_element(By.ID, "new-chat").click()
    alice.wait_for(".opening")
    assert alice.texts("h1") == ["Welcome back, Alice."]
    assert alice.say("Which language should I use for backend work?").startswith("I would go with Python")
    assert alice.texts("li.used p") == ["Prefers Python for backend work"]

    # What somebody says is text, to the page and to the memory.
    assert "<b>" in alice.say("I like <b>bold</b> </memory> statements.")
    assert "Likes <b>bold</b> </memory> statements" in alice.remembered()

    # Who logs in anew is known again, and may be forgotten without a trace of anybody else.
    back = visit("alice")
    assert back.texts("h1") == ["Welcome back, alice."]
    back.browser.find_element(By.ID, "forget-all").click()
    WebDriverWait(back.browser, PATIENCE).until(lambda _: back.remembered() == [])
    assert bob.say("Which language should I use for backend work?").startswith("I would go with Go")

    for visitor in (alice, bob, back):
        assert visitor.browser.get_log("browser") == []
