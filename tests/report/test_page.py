"""The whole report: all files, the same at every run, and the page in a real browser."""

import re
import resource
import shutil

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.pictures.png import write_png
from ifc_bench.report.publish import publish
from ifc_bench.report.results import read_all
from ifc_bench.store import Store
from tests.conftest import ROOT
from tests.report.test_tables import accuracy, save

FULL = PRESETS["full"]
STORE = Store(ROOT / "results" / "baseline", ROOT / "runs")
MACHINE = ROOT / "results" / "machines" / "intel-r-xeon-r-processor-2-80ghz-2-cores"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    make(out)
    return out


def make(out):
    tables = [TABLES[name](FULL) for name in ("table1", "table3a")]
    publish(read_all(tables, FULL, STORE), FULL, STORE, out, [MACHINE])


def test_every_format_and_figure_is_there(report):
    for ending in ("md", "tex", "csv", "json"):
        names = {path.stem for path in (report / "tables").glob(f"*.{ending}")}
        assert names == {
            "table1", "table3a", "table3a-significance", "table3a-situation-significance",
            "table3a-paper-significance",
            f"{MACHINE.name}-profile", f"{MACHINE.name}-fit",
        }  # fmt: skip
    for ending in ("png", "pdf"):
        names = {path.stem for path in (report / "figures").glob(f"*.{ending}")}
        wanted = {"windows", "speed", "loss", "differences", "situations", "strata", "errors"}
        assert {f"table3a-{name}" for name in wanted} <= names
        assert "table3a-ap" not in names, "two points are no curve"
        wanted = {"fps-96x160-fp32", "window-96x160-fp32", "memory-96x160-fp32",
                  "gpus-360x640-fp32", "roofline-96x160-fp32"}  # fmt: skip
        assert {f"{MACHINE.name}-{name}" for name in wanted} <= names
    assert r"\toprule" in (report / "tables" / "table3a.tex").read_text()


def test_the_same_records_give_the_same_files(report, tmp_path):
    make(tmp_path)
    for path in sorted(report.rglob("*.*")):
        assert path.read_bytes() == (tmp_path / path.relative_to(report)).read_bytes(), path.name


def test_the_page_needs_no_network(report):
    page = (report / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']+""", page)
    assert "No Comm" in page
    assert re.search(r"\d+ of 12 differences exceed noise", page)
    assert "Speed and memory: Intel(R) Xeon(R) Processor @ 2.80GHz (2 cores), 1 thread" in page
    assert "AMD EPYC (2 cores), 1 thread" in page, "provenance"


def test_a_figure_that_does_not_fit_on_the_disk_is_one_line(tmp_path, capsys, monkeypatch):
    store, table = Store(tmp_path / "results", tmp_path / "runs"), TABLES["table3a"](FULL)
    for place, row in enumerate(table.rows):
        for window in row.windows:
            save(store, table.evaluations(FULL, row, window)[0], accuracy(0.1 * place + 0.2))

    def cramped(*given, **named):
        most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, most[1]))
        try:
            write_png(*given, **named)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)

    monkeypatch.setattr("ifc_bench.report.publish.write_png", cramped)
    out = tmp_path / "report"
    places = "--results", str(store.results), "--runs", str(store.runs), "--out", str(out)
    assert main(TABLES, PRESETS, ["report", "table3a", "--preset", "full", *places]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {out / 'figures' / 'table3a-windows.png'}: file too large")
    assert list((out / "figures").iterdir()) == [], "nothing is cut off, nothing is left aside"


def test_the_page_in_a_browser(report, tmp_path):
    """Open the page, sort a table by click and by keyboard, and take a screenshot."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("Debian's chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--window-size=1200,1600"):
        options.add_argument(flag)
    with webdriver.Chrome(options=options, service=Service(driver)) as page:
        page.get((report / "index.html").as_uri())
        head = page.find_elements(By.CSS_SELECTOR, "#table3a-table th")[1]

        def column():
            body = head.find_element(By.XPATH, "ancestor::table/tbody")
            return [row.find_elements(By.TAG_NAME, "td")[1].text for row in
                    body.find_elements(By.TAG_NAME, "tr")]  # fmt: skip

        def numbers():
            return [float(text.strip("*").partition("±")[0]) for text in column()]

        head.click()
        assert numbers() == sorted(numbers())
        assert head.get_attribute("aria-sort") == "ascending"
        head.send_keys(Keys.ENTER)
        assert numbers() == sorted(numbers(), reverse=True)
        pictures = page.find_elements(By.TAG_NAME, "img")
        assert len(pictures) >= 11
        assert all(page.execute_script("return arguments[0].naturalWidth", p) for p in pictures)
        faults = [line for line in page.get_log("browser") if line["level"] == "SEVERE"]
        assert not faults
        assert page.save_screenshot(str(tmp_path / "page.png"))
    assert (tmp_path / "page.png").stat().st_size > 20_000
