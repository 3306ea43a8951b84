"""The report in a real headless browser: sorting, filters, values under the pointer, no network.

Skipped where no Chromium is found; LYCEUM_BROWSER names one that is not on the search path.
"""

import shutil

import pytest

from benchmark.commands import BOARDS
from benchmark.report import write_report
from tests.browser import Browser, find_browser
from tests.report_boards import EVIL, hostile_boards

BINARY = find_browser()
BOARD = "stump_tracks-laptop-v1"  # two teachers, one of them provisional
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium is installed")
NAMES = "[...document.querySelectorAll('#board tbody tr')].map(row => row.dataset.teacher)"
HEADERS = "[...document.querySelectorAll('#board thead th')]"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    for name in (BOARD, "digits-standard-v1"):
        shutil.copytree(BOARDS / name, folder / "boards" / name)
    write_report(folder / "site", folder / "boards")
    return folder / "site"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Browser(BINARY, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(running):
    running.complaints.clear()
    running.requests.clear()
    running.resize(1280, 900)
    return running


def drawn(browser, path):
    browser.open(path)
    browser.wait("document.querySelectorAll('.chart .main-svg').length > 0")


def press_header(browser, label):
    """Sort by a column as somebody without a mouse does; return its aria-sort."""
    header = f"{HEADERS}.find(th => th.textContent.trim() === '{label}')"
    browser.evaluate(f"{header}.querySelector('button').focus()")
    browser.press("Enter")
    return browser.evaluate(f"{header}.getAttribute('aria-sort')")


def test_pages_open_without_complaint_and_ask_for_files_only(browser, site):
    for path in ("index.html", f"protocols/{BOARD}.html", "teachers/anti.html"):
        browser.open(site / path)
    browser.wait("document.querySelectorAll('.chart .main-svg').length > 0")
    assert browser.complaints == []
    assert len(browser.requests) > 6
    outside = [url for url in browser.requests if not url.startswith(("file:", "data:"))]
    assert outside == []


def test_a_key_sorts_the_table_in_both_directions(browser, site):
    drawn(browser, site / "protocols/digits-standard-v1.html")
    finals = (
        "[...document.querySelectorAll('#board tbody tr')].map(row => +row.cells[6].dataset.value)"
    )
    assert press_header(browser, "Final") == "descending"
    down = browser.evaluate(finals)
    assert down == sorted(down, reverse=True)
    assert len(down) >= 8
    assert press_header(browser, "Final") == "ascending"
    assert browser.evaluate(finals) == down[::-1]
    assert press_header(browser, "Teacher") == "ascending"
    names = browser.evaluate(NAMES)
    assert names == sorted(names)
    sorts = browser.evaluate(f"{HEADERS}.map(th => th.getAttribute('aria-sort'))")
    assert sorts == ["ascending"] + ["none"] * (len(sorts) - 1)
    assert browser.complaints == []


def test_missing_values_stay_last_whatever_the_direction(browser, site):
    drawn(browser, site / "protocols/digits-standard-v1.html")
    for order in ("descending", "ascending"):
        assert press_header(browser, "Area vs reference") == order
        assert browser.evaluate(NAMES)[-1] == "uniform"


def test_filters_hide_rows_and_say_how_many_are_left(browser, site):
    drawn(browser, site / f"protocols/{BOARD}.html")
    visible = (
        "[...document.querySelectorAll('#board tbody tr')].filter(row => row.offsetHeight > 0)"
        ".map(row => row.dataset.teacher)"
    )
    choose = (
        "(() => {{ const field = document.querySelector('[name={0}]'); field.value = '{1}';"
        " field.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
    )
    said = "document.querySelector('.filters output').textContent"
    every, provisional = browser.evaluate(visible), ["adr", "alp_gmm", "plr", "riac"]
    assert browser.evaluate(said) == f"{len(every)} of {len(every)} shown"
    browser.evaluate(choose.format("status", "provisional"))
    assert sorted(browser.evaluate(visible)) == provisional
    assert browser.evaluate(said) == f"{len(provisional)} of {len(every)} shown"
    browser.evaluate(choose.format("text", "UNIF"))
    assert browser.evaluate(visible) == []
    browser.evaluate(choose.format("status", ""))
    assert browser.evaluate(visible) == ["uniform"]


def test_pointing_at_a_curve_shows_its_value_and_interval(browser, site):
    drawn(browser, site / "protocols/digits-standard-v1.html")
    browser.evaluate("document.querySelector('[data-figure=curves]').scrollIntoView()")
    trace = (
        "document.querySelector('[data-figure=curves]').data"
        ".find(t => t.name === 'self_paced_capped (n = 20)')"
    )
    place = browser.evaluate(
        "(() => { const chart = document.querySelector('[data-figure=curves]');"
        f" const trace = {trace};"
        " const box = chart.getBoundingClientRect(), full = chart._fullLayout;"
        " return [box.left + full._size.l + full.xaxis.l2p(trace.x[15]),"
        " box.top + full._size.t + full.yaxis.l2p(trace.y[15]), trace.text[15]]; })()"
    )
    browser.point(*place[:2])
    browser.wait("document.querySelectorAll('.hovertext').length > 0")
    shown = browser.evaluate("document.querySelector('.hovertext').textContent")
    assert "self_paced_capped (n = 20)" in shown
    assert place[2] in shown
    assert "[" in place[2]
    assert browser.complaints == []


def test_hostile_text_is_only_text_to_a_browser(browser, tmp_path):
    write_report(tmp_path / "site", hostile_boards(tmp_path))
    for path in ("protocols/digits-noise-v1.html", "protocols/hypercube-v1.html"):
        drawn(browser, tmp_path / "site" / path)
        assert EVIL in browser.evaluate("document.body.textContent")
        assert browser.evaluate("window.obeyed === undefined && !document.querySelector('img')")
    assert browser.complaints == []


@pytest.mark.parametrize("path", ["index.html", f"protocols/{BOARD}.html", "teachers/anti.html"])
def test_no_page_is_wider_than_a_phone(browser, site, path):
    browser.resize(390, 844)
    browser.open(site / path)
    browser.wait("document.fonts.status === 'loaded'")
    assert browser.evaluate("document.documentElement.scrollWidth") == 390
    # Wide tables scroll by themselves, and the keyboard reaches them.
    assert browser.evaluate(
        "[...document.querySelectorAll('table.sortable')].every(table =>"
        " table.parentElement.tabIndex === 0 && table.parentElement.getAttribute('aria-label'))"
    )


def test_the_policy_forbids_the_network_and_scripts_in_the_page(browser, site):
    browser.open(site / "index.html")
    browser.evaluate(
        "window.refused = []; document.addEventListener('securitypolicyviolation',"
        " event => window.refused.push(event.effectiveDirective))"
    )
    browser.evaluate("void (new Image().src = 'http://127.0.0.1:9/x.png')")
    browser.evaluate("void fetch('http://127.0.0.1:9/').catch(() => 0)")
    browser.evaluate(
        "(() => { const script = document.createElement('script');"
        " script.textContent = 'window.obeyed = true'; document.body.append(script); })()"
    )
    browser.wait("window.refused.length >= 3")
    assert sorted(browser.evaluate("window.refused")) == [
        "connect-src", "img-src", "script-src-elem",
    ]  # fmt: skip
    assert browser.evaluate("window.obeyed === undefined")
