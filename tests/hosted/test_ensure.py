"""ensure: what an image lacks goes into a folder beside it; the image stays as it is.

Packages are made up (pawprint, tailwag, whisker); pip is the real one, with wheels of a folder.
"""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.hosted import packages, pip
from support.commands import PROJECT
from support.wheels import install, make_wheel

MADE_UP = ("pawprint", "tailwag", "whisker")


class Image:
    """An interpreter with an old pawprint, for a project that asks for a newer one and tailwag."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.image, self.project = folder / "image", folder / "project"
        self.lib, self.wheels = folder / "our lib", folder / "all wheels"
        self._monkeypatch = monkeypatch
        install(self.image, "pawprint", "1.0")
        self.project.mkdir()
        self.asks("pawprint>=2", "tailwag>=1")
        make_wheel(self.wheels, "pawprint", "2.1")
        make_wheel(self.wheels, "tailwag", "1.5", ["whisker>=3"])
        make_wheel(self.wheels, "whisker", "3.2", ["pawprint"])
        path = os.pathsep.join([str(self.image), os.environ["PYTHONPATH"]])
        monkeypatch.setenv("PYTHONPATH", path)
        monkeypatch.setenv("PIP_USER", "1")  # some images install for the user by default
        monkeypatch.setattr(environment, "PROJECT", self.project)

    def asks(self, *requirements: str) -> None:
        (self.project / "pyproject.toml").write_text(
            f"[project]\ndependencies = {list(requirements)}\n"
            "[project.optional-dependencies]\ndev = []\n"
        )
        environment.requirements.cache_clear()

    def pins(self, *lines: str) -> None:
        (self.project / "requirements.txt").write_text("# exact\n" + "\n".join(lines) + "\n")

    def new_session(self) -> None:
        """Begin as a new process would: nothing made up is imported, the image alone is seen."""
        for name in MADE_UP:
            sys.modules.pop(name, None)
        sys.path[:] = [str(self.image), *(x for x in sys.path if not self._ours(x))]
        environment.installed.cache_clear()
        environment.requirements.cache_clear()

    def _ours(self, path: str) -> bool:
        return path in (str(self.lib), str(self.image))

    def ensure(self) -> None:
        packages.ensure(self.lib, self.wheels)

    def without_pip(self) -> None:
        self._monkeypatch.setattr(pip, "_pip", None)

    def leave(self) -> None:
        self.new_session()
        sys.path.remove(str(self.image))


@pytest.fixture
def image(tmp_path, monkeypatch):
    made = Image(tmp_path, monkeypatch)
    made.new_session()
    yield made
    made.leave()


def versions() -> dict[str, str]:
    """Return module -> the version that an import gives."""
    return {name: import_module(name).VERSION for name in MADE_UP}


def test_what_is_missing_or_too_old_goes_into_the_folder_with_what_it_needs(image, capsys):
    before = sorted(image.image.rglob("*"))
    image.ensure()
    assert sys.path[0] == str(image.lib)
    assert versions() == {"pawprint": "2.1", "tailwag": "1.5", "whisker": "3.2"}
    assert environment.versions("pawprint", "tailwag") == {"pawprint": "2.1", "tailwag": "1.5"}
    assert sorted(x for x in image.image.rglob("*") if "__pycache__" not in x.parts) == before
    assert capsys.readouterr().out.splitlines() == [
        "packages: this environment has pawprint 1.0 (pawprint>=2 is needed) and lacks tailwag: "
        "installing",
        f"packages: pawprint 2.1, tailwag 1.5, whisker 3.2 from {image.lib}",
    ]


def test_what_the_image_has_in_a_good_version_is_not_installed(image, capsys):
    install(image.image, "whisker", "3.0")
    image.ensure()
    assert versions()["whisker"] == "3.0"
    assert not (image.lib / "whisker").exists()
    image.asks("whisker>=3")
    image.new_session()
    capsys.readouterr()
    image.without_pip()
    image.ensure()
    assert capsys.readouterr().out == "packages: this environment has all, new enough\n"
    assert str(image.lib) not in sys.path


def test_with_the_folder_filled_no_pip_is_called_in_this_session_or_the_next(image, capsys):
    image.ensure()
    image.without_pip()
    line = capsys.readouterr().out.splitlines()[-1]
    image.ensure()
    image.new_session()
    image.ensure()
    assert capsys.readouterr().out.splitlines() == [line, line]
    assert versions()["tailwag"] == "1.5"


def test_two_sessions_get_the_versions_of_the_pins(image):
    make_wheel(image.wheels, "pawprint", "3.0")
    image.pins("pawprint==2.1", "whisker==3.2 ; python_full_version >= '3.11'", "numpy==0.1")
    image.ensure()
    assert versions() == {"pawprint": "2.1", "tailwag": "1.5", "whisker": "3.2"}


def test_one_pin_gives_way_where_it_needs_a_newer_numpy_than_the_images(image):
    make_wheel(image.wheels, "tailwag", "2.0", ["numpy>=99"])
    make_wheel(image.wheels, "numpy", "99.0")
    make_wheel(image.wheels, "pawprint", "3.0")
    image.pins("tailwag==2.0", "pawprint==2.1")
    image.ensure()
    assert versions() == {"pawprint": "2.1", "tailwag": "1.5", "whisker": "3.2"}
    assert not (image.lib / "numpy").exists()


@pytest.mark.parametrize("name", ["numpy", "tensorflow"])
def test_what_the_images_tensorflow_was_built_for_is_never_replaced(image, name):
    image.asks("pawprint>=2", f"{name}>=99")
    make_wheel(image.wheels, name, "99.0")
    image.without_pip()
    with pytest.raises(UserError, match=rf"has {name} \d.*\({name}>=99 is needed\).*latest env"):
        image.ensure()
    assert not image.lib.exists()


def test_an_old_version_that_is_imported_already_asks_for_a_restart(image):
    import_module("pawprint")
    with pytest.raises(UserError, match=r"Another version of pawprint.* 2\.1 .*Restart the sess"):
        image.ensure()
    assert str(image.lib) not in sys.path
    image.new_session()
    image.without_pip()
    image.ensure()
    assert versions()["pawprint"] == "2.1"


def test_what_a_killed_pip_or_another_python_has_left_is_made_anew(image):
    image.ensure()
    (image.lib / "tailwag" / "__init__.py").write_text("VERSION = 'of Python 3.10'\n")
    (image.lib / packages.MARK).write_text("cpython-310 linux-x86_64")
    draft = image.lib.with_name(f".{image.lib.name}.draft")
    (draft / "tailwag").mkdir(parents=True)
    (draft / "half").touch()
    image.new_session()
    image.ensure()
    assert versions()["tailwag"] == "1.5"
    assert not draft.exists()
    assert not (image.lib / "half").exists()


def test_a_folder_that_the_kernel_had_on_its_path_is_made_anew_whole(image, monkeypatch):
    image.ensure()
    monkeypatch.setenv("PYTHONPATH", f"{image.lib}{os.pathsep}{os.environ['PYTHONPATH']}")
    make_wheel(image.wheels, "pawprint", "2.5")
    image.asks("pawprint>=2.5", "tailwag>=1")
    image.new_session()
    sys.path.insert(0, str(image.lib))
    image.ensure()
    assert versions() == {"pawprint": "2.5", "tailwag": "1.5", "whisker": "3.2"}


def test_a_folder_with_other_files_is_refused(image):
    image.lib.mkdir()
    (image.lib / "thesis.txt").touch()
    with pytest.raises(UserError, match="has other files"):
        image.ensure()
    assert [x.name for x in image.lib.iterdir()] == ["thesis.txt"]


def test_a_wheel_that_is_not_there_is_named_in_one_line(image):
    next(image.wheels.glob("whisker*")).unlink()
    with pytest.raises(UserError) as error:
        image.ensure()
    text = str(error.value)
    assert "\n" not in text
    assert "whisker" in text
    assert f"{image.wheels} lacks some. Turn the internet on in the notebook's settings" in text
    assert not image.lib.exists()


def test_without_a_network_pip_soon_gives_up_and_one_line_says_what_to_do(image, monkeypatch):
    image.pins("pawprint==2.1", "tailwag==1.5")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as ipykernel does
    for name, value in {
        "CONFIG_FILE": os.devnull,
        "INDEX_URL": "http://127.0.0.1:9",
        "NO_INDEX": "0",
        "FIND_LINKS": "",
        "RETRIES": "0",
    }.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    calls, honest = [], pip._pip

    def counted(*arguments):
        calls.append(arguments)
        return honest(*arguments)

    monkeypatch.setattr(pip, "_pip", counted)
    with pytest.raises(
        UserError, match=r"\(ERROR: No matching.*\)\. Check that the internet is on\.$"
    ):
        packages.ensure(image.lib)
    assert len(calls) == 2


def test_the_module_takes_the_standard_library_alone():
    code = "import dogs_vs_cats.hosted.packages as p; print(len(p.wanted()))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(PROJECT / "src")},
    )
    assert int(done.stdout) == len(environment.requirements()[""])
