"""The report's page in headless Chromium, without a network: it loads, searches, shows, sorts, and believes no name."""
import json
import time

import pytest

from tenon.report import ConversionReport
from browser import CHROMIUM, Browser
from test_report import ENGINES, HOSTILE, LAYERS, NODES, big_graph

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the Debian package chromium (scripts/setup.sh test)")
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
DETAILS = "document.getElementById('details').innerText"


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


@pytest.fixture
def page(browser, tmp_path):
    """A function that shows a report's page."""
    def show(report):
        browser.errors.clear()
        report.save_html(tmp_path / "report.html")
        browser.open(tmp_path / "report.html")
        browser.run(DRAWN)
        return browser
    yield show
    assert browser.errors == []
    assert browser.requests == [(tmp_path / "report.html").as_uri()]


def small():
    report = ConversionReport({"notes": ["a note"]}, NODES, ENGINES)
    report.add_layer_times(LAYERS)
    return report


def search(page, text):
    page.run("document.getElementById('search').focus(), document.getElementById('search').select()")
    page.type(text)
    page.wait(f"document.getElementById('matches').textContent.includes('match') || {json.dumps(text)} === ''")


def column(page, table, number):
    return page.run(f"[...document.querySelectorAll('#{table} tbody tr')].map((row) => row.cells[{number}].innerText)")


def sort(page, table, title):
    page.run(f"[...document.querySelectorAll('#{table} thead button')].find((b) => b.textContent.startsWith('{title}')).click()")
    return page.run(f"[...document.querySelectorAll('#{table} th[aria-sort]')].map((head) => head.getAttribute('aria-sort'))")


def pixel(page, x, y):
    """The colour that the drawing has at a place of the window."""
    return page.run(f"""(() => {{ const canvas = document.getElementById('canvas'), box = canvas.getBoundingClientRect();
      const copy = document.createElement('canvas').getContext('2d');
      copy.drawImage(canvas, box.x - {x}, box.y - {y});
      return [...copy.getImageData(0, 0, 1, 1).data]; }})()""")


def test_it_loads_with_everything_to_see(page):
    shown = page(small())
    assert shown.run("document.getElementById('summary').textContent").startswith("1 engine · 3 of 7 nodes in engines")
    assert column(shown, "engines", 0) == ["E0"]
    assert column(shown, "reasons", 2) == ["no kernel", "its segment is too small"]
    assert column(shown, "nodes", 0) == [node["name"] for node in NODES]
    assert "a note" in shown.run("document.body.innerText")
    assert [shown.run(f"document.querySelectorAll('{what}').length") for what in ("table", "table caption")] == [4, 4]


def test_searching_a_name_shows_the_node_and_its_reason(page):
    shown = page(small())
    search(shown, "c/unique")
    assert column(shown, "nodes", 0) == ["c/unique"]
    assert shown.run("document.getElementById('matches').textContent") == "1 of 7 nodes match"
    shown.press("Enter")
    text = shown.run(DETAILS)
    assert "c/unique" in text and "no kernel" in text and "native" in text


def test_searching_an_op_or_reason_filters_all_tables(page):
    shown = page(small())
    search(shown, "no kernel")
    assert column(shown, "nodes", 0) == ["b/unique", "c/unique"]
    assert column(shown, "reasons", 0) == ["Unique"] and column(shown, "engines", 0) == []
    shown.press("Escape")
    assert len(column(shown, "nodes", 0)) == 7 and column(shown, "engines", 0) == ["E0"]


def test_keys_reach_the_search_and_walk_its_matches(page):
    shown = page(small())
    shown.run("document.body.focus()")
    shown.press("/")
    assert shown.run("document.activeElement.id") == "search"
    search(shown, "unique")
    for expected in ("b/unique", "c/unique", "b/unique"):
        shown.press("Enter")
        assert expected in shown.run(DETAILS)


def test_clicking_a_node_of_the_drawing_shows_its_reason(page):
    shown = page(small())
    search(shown, "c/cast")
    shown.press("Enter")  # the node is in the middle of the drawing now
    x, y = shown.middle("#canvas")
    shown.press("Escape")
    shown.click(x, y - 45)  # beside it
    assert "Click a node" in shown.run(DETAILS)
    shown.click(x, y)
    text = shown.run(DETAILS)
    assert "c/cast" in text and "its segment is too small" in text


def test_a_node_of_an_engine_shows_engine_time_and_neighbours(page):
    shown = page(small())
    search(shown, "a/conv")
    shown.press("Enter")
    text = shown.run(DETAILS)
    assert "E0" in text and "1.500 ms (75.0%), gemm, [1,8,8,4]" in text and "a/kernel" in text and "a/relu" in text
    search(shown, "a/relu")
    shown.press("Enter")
    assert "a part of a/conv" in shown.run(DETAILS).replace("\n", " ")


def test_engines_and_native_nodes_have_their_colours(page):
    shown = page(small())
    colours = {}
    for name in ("a/conv", "a/relu", "b/unique", "c/cast", "x"):
        search(shown, name)
        shown.press("Enter")
        shown.run(DRAWN)
        x, y = shown.middle("#canvas")
        colours[name] = tuple(pixel(shown, x + 50, y + 14))
    assert colours["a/conv"] == colours["a/relu"] and colours["b/unique"] == colours["c/cast"]
    assert len(set(colours.values())) == 3


def test_tables_sort_by_their_columns(page):
    shown = page(small())
    assert sort(shown, "layers", "ms").count("descending") == 1
    assert column(shown, "layers", 2) == ["1.500", "0.500"]
    assert sort(shown, "layers", "ms").count("ascending") == 1
    assert column(shown, "layers", 0) == ["b/unique", "a/conv"]
    sort(shown, "nodes", "Op")
    assert column(shown, "nodes", 1) == sorted((node["op"] for node in NODES), key=str.lower)


def test_groups_open_and_close(page):
    shown = page(small())
    shown.run("document.getElementById('collapse-all').click()")
    search(shown, "a/conv")
    shown.press("Enter")
    shown.press("Escape")
    actions = "[...document.querySelectorAll('#details .actions button')].map((b) => b.textContent)"
    assert shown.run(actions) == ["Close E0", "Close a"]
    shown.run("document.querySelector('#details .actions button').click()")
    assert "engine" in shown.run(DETAILS) and "Open E0" in shown.run(DETAILS)
    shown.run(DRAWN)
    shown.click(*shown.middle("#canvas"), count=2)
    assert "Close E0" in shown.run(DETAILS)
    x, y = shown.middle("#canvas")
    shown.click(x, y)
    assert "x" != shown.run(DETAILS).split("\n")[0] and "E0" in shown.run(DETAILS)  # one of its nodes, or a scope in it


def test_every_way_of_grouping_draws(page):
    shown = page(ConversionReport({}, big_graph(blocks=24)))
    for mode in ("scope", "flat", "engine"):
        shown.run(f"document.getElementById('mode').value = '{mode}'")
        shown.run("document.getElementById('mode').dispatchEvent(new Event('change'))")
        shown.run("document.getElementById('constants').click()")
        shown.run("document.getElementById('expand-all').click(), document.getElementById('fit').click()")
        shown.run(DRAWN)


def test_weights_are_hidden_until_looked_for(page):
    shown = page(small())
    boxes = "document.getElementById('constants').checked"
    assert shown.run(boxes) is False
    search(shown, "a/kernel")
    shown.press("Enter")
    assert "a/kernel" in shown.run(DETAILS) and shown.run(boxes) is True


def test_hostile_names_are_only_text(page):
    nodes = [{"name": HOSTILE, "op": HOSTILE, "engine": "", "reason": HOSTILE, "inputs": []},
             {"name": "a/" * 5000 + "deep", "op": "Neg", "engine": HOSTILE, "reason": "", "inputs": [HOSTILE]},
             {"name": "", "op": "", "engine": "", "reason": "", "inputs": [""]},
             {"name": "__proto__", "op": "constructor", "engine": "__proto__", "reason": "", "inputs": ["__proto__"]}]
    report = ConversionReport({"notes": [HOSTILE]}, nodes, [{"name": HOSTILE, "nodes": 1, "ops": {HOSTILE: 1}}])
    report.add_layer_times([{"node": HOSTILE, "op": HOSTILE, "kernel": HOSTILE, "shape": HOSTILE, "ms": 1, "engine": HOSTILE}])
    shown = page(report)
    assert shown.run("document.images.length") == 0 and shown.run("document.scripts.length") == 2
    search(shown, "<img src=x onerror=alert(2)>")
    shown.press("Enter")
    assert "<img src=x onerror=alert(2)>" in shown.run(DETAILS)
    assert shown.run("document.images.length") == 0


def test_cycles_are_drawn(page):
    ring = [{"name": f"n{i}", "op": "Merge", "engine": "", "reason": "loop", "inputs": [f"n{(i - 1) % 5}", f"n{(i + 2) % 5}"]}
            for i in range(5)]
    shown = page(ConversionReport({}, ring))
    search(shown, "n3")
    shown.press("Enter")
    assert "loop" in shown.run(DETAILS)


def test_an_empty_report_is_a_page(page):
    assert page(ConversionReport({})).run("document.querySelectorAll('table').length") == 3


def test_five_thousand_nodes_load_and_open_soon(page):
    nodes = big_graph()
    report = ConversionReport({}, nodes)
    report.add_layer_times({"node": node["name"], "op": node["op"], "ms": 0.1, "engine": node["engine"]} for node in nodes)
    start = time.monotonic()
    shown = page(report)
    shown.run("document.getElementById('expand-all').click(), document.getElementById('fit').click()")
    shown.run(DRAWN)
    assert time.monotonic() - start < 10
    start = time.monotonic()
    search(shown, "block279/conv5/Relu")
    shown.press("Enter")
    assert "block279/conv5/Relu" in shown.run(DETAILS) and time.monotonic() - start < 5


def test_dark_and_light_follow_the_reader(tmp_path):
    small().save_html(tmp_path / "report.html")
    backgrounds = set()
    for dark in (False, True):
        with Browser(dark=dark) as one:
            one.open(tmp_path / "report.html")
            one.run(DRAWN)
            x, y = one.middle("#canvas")
            drawn = pixel(one, one.run("document.getElementById('canvas').getBoundingClientRect().x + 2"), y)
            page = one.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert drawn[:3] == page and one.errors == []
            backgrounds.add(tuple(page))
    assert len(backgrounds) == 2
