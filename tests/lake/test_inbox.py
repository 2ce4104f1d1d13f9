"""What lies in the inbox without being a delivery: nobody's files, and files still on their way."""

from lake import landing
from lake.contracts.model import Companion, ControlTotals
from lake.inbox import unmatched
from orchestration.commands.options import output
from orchestration.show import ingest_lines
from tests.lake.loading_kit import HEADER, company, contract, deliver, load, rows

GOOD = HEADER + "A,1,,\n"


def test_files_that_no_contract_reads_are_named_and_no_error(tmp_path, capsys):
    home = company(tmp_path)
    (home.inbox / "deep").mkdir()
    for name in (
        "sales_1.csv",
        "sales_1.xlsx.old",
        "deep/Sale s.csv",
        "\x1b[31mred.csv",
        ".hidden",
        "sales_2.csv.part",
    ):
        deliver(home, name, GOOD)
    report = load(home, contract())
    assert report.is_clean
    assert report.unmatched == ["\x1b[31mred.csv", "deep/Sale s.csv", "sales_1.xlsx.old"]
    assert report.left == ["sales_2.csv.part"]
    output(None, False, lambda: ingest_lines(report))
    shown = capsys.readouterr().out
    assert "deep/Sale s.csv" in shown
    assert "\\x1b[31mred.csv" in shown
    assert "\x1b" not in shown


def test_a_name_of_a_file_on_its_way_is_not_taken_even_by_a_wide_glob(tmp_path):
    home = company(tmp_path)
    for name in ("sales.csv", "sales_a.csv.filepart", "sales_b.tmp", "sales_c.csv~", "sales_D.PART"):
        deliver(home, name, GOOD)
    report = load(home, contract(location={"path": "${INBOX}/sales*"}))
    assert [one.file_name for one in report.files] == ["sales.csv"]
    assert len(report.left) == 4
    (home.inbox / "sales_b.tmp").rename(home.inbox / "sales_b.csv")
    assert len(load(home, contract(location={"path": "${INBOX}/sales*"}), run_id="2").left) == 3


def test_a_file_that_grows_while_it_is_read_waits_for_the_next_time(tmp_path, monkeypatch):
    home = company(tmp_path)
    path = deliver(home, "sales_1.csv", GOOD)
    deliver(home, "sales_2.csv", HEADER + "B,1,,\n")
    copy, is_growing = landing._copy, True

    def growing(source, write):
        found = copy(source, write)
        if source == path and is_growing:
            with path.open("a") as file:
                file.write("C,1,,\n")
        return found

    monkeypatch.setattr(landing, "_copy", growing)
    report = load(home, contract())
    assert (report.left, report.is_clean, report.totals["loaded"]) == (["sales_1.csv"], True, 1)
    assert rows(home, "SELECT file_name, status FROM lake.meta.delivery") == [("sales_2.csv", "loaded")]
    is_growing = False
    assert load(home, contract(), run_id="again").totals["loaded"] >= 2


def test_a_control_file_belongs_to_its_data_file(tmp_path):
    home = company(tmp_path)
    for name in ("sales_1.csv", "sales_1.ctl", "sales_9.ctl"):
        deliver(home, name, GOOD)
    totals = ControlTotals(companion=Companion("{stem}.ctl", ()))
    assert unmatched(home, [contract(control_totals=totals)]) == ["sales_9.ctl"]
