"""The harness of notebook tests: what it shows of cells, and that a notebook has no network."""

import sys

import nbformat
import pytest

from support.notebooks import execute, shown

pytestmark = pytest.mark.notebook

CONNECT = """
import errno, socket
far = socket.socket()
far.settimeout(5)
print(errno.errorcode[far.connect_ex(("{address}", 80))])
"""
LOOPBACK = """
server = socket.create_server(("127.0.0.1", 0))
with socket.create_connection(server.getsockname()) as near:
    print(near.getpeername() == server.getsockname())
"""


def run(*cells: str, **options):
    return execute(list(cells), python=sys.executable, **{"env": {}, **options}).cells


def test_a_notebook_has_no_network_but_for_loopback(here):
    far = [CONNECT.format(address=address) for address in ("1.1.1.1", "10.0.0.1")]
    *cells, near = run(*far, LOOPBACK, cwd=here)
    assert [shown(cell) for cell in cells] == ["ENETUNREACH\n"] * 2
    assert shown(near) == "True\n"


def test_a_kernel_has_its_own_variables_and_folder(here, monkeypatch):
    monkeypatch.setenv("OURS", "1")
    cell = "import os; print(os.getcwd(), os.environ.get('OURS'), os.environ['THEIRS'])"
    (cell,) = run(cell, cwd=here, env={"THEIRS": "2"})
    assert shown(cell) == f"{here} None 2\n"


def test_outputs_are_shown_in_order(here):
    (cell,) = run("import sys; print('a'); print('b', file=sys.stderr); 'c'", cwd=here)
    assert shown(cell) == "a\nb\n'c'\n"


def test_a_cell_that_fails_fails_the_test_and_is_shown(here):
    with pytest.raises(pytest.fail.Exception, match=r"In this cell:\n1 / 0\n(.|\n)*division") as e:
        run("1 / 0", "print('more')", cwd=here)
    assert "more" not in str(e.value)


def test_where_errors_are_allowed_the_cells_after_them_run(here):
    first, second = run("1 / 0", "print('more')", cwd=here, allow_errors=True)
    assert "division by zero" in shown(first)
    assert shown(second) == "more\n"


def test_the_file_of_a_notebook_stays_as_it_is(here):
    path = here / "some.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")]), path)
    before = path.read_bytes()
    (cell,) = execute(path, python=sys.executable, cwd=here, env={}).cells
    assert shown(cell) == "1\n"
    assert path.read_bytes() == before
