import pytest
import typer

from rsd_graph.cli.errors import FAILED, INTERRUPTED, STOPPED_EARLY, ErrorLine, exit_codes
from rsd_graph.errors import ConfigurationError, RSDError


def code_after(error: BaseException, line: ErrorLine | None = None) -> int:
    """The exit code of a command that raises this."""
    with pytest.raises(typer.Exit) as ended, exit_codes(line or ErrorLine(), extras="eval", again="resume"):
        raise error
    return int(ended.value.exit_code)


def test_the_exit_codes_are_fixed() -> None:
    """Scripts rely on them."""
    assert (FAILED, STOPPED_EARLY, INTERRUPTED) == (1, 3, 130)


def test_an_error_of_ours_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, all its lines, without markup and without wrapping."""
    assert code_after(RSDError("[draft] is wrong; its log ends with:\n    " + 200 * "x")) == 1
    assert capsys.readouterr() == ("", "rsd: [draft] is wrong; its log ends with:\n    " + 200 * "x" + "\n")


def test_an_error_of_the_system_says_how_to_continue(capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk is not the end of the work."""
    assert code_after(OSError(28, "No space left on device")) == 1
    assert capsys.readouterr().err == (
        "rsd: [Errno 28] No space left on device; fix this, then rerun the command to resume\n"
    )


def test_a_missing_package_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    """By the extra's name."""
    assert code_after(ModuleNotFoundError("No module named 'scipy'")) == 1
    assert capsys.readouterr().err == (
        "rsd: a package is missing (No module named 'scipy'): run `pip install 'rsd-graph[eval]'`\n"
    )


def test_ctrl_c_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """And says whether work is lost."""
    assert code_after(KeyboardInterrupt(), ErrorLine("resume")) == 130
    assert capsys.readouterr().err == "rsd: stopped; rerun the command to resume\n"
    assert code_after(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "rsd: stopped; rerun the command to start over\n"


def test_a_closed_pipe_is_left_to_typer(capsys: pytest.CaptureFixture[str]) -> None:
    """`rsd ... | head` prints no error."""
    with pytest.raises(BrokenPipeError), exit_codes(ErrorLine()):
        raise BrokenPipeError
    assert capsys.readouterr().err == ""


def test_other_errors_and_success_pass_through() -> None:
    """A bug keeps its traceback, and an exit its code."""
    with pytest.raises(ZeroDivisionError), exit_codes(ErrorLine()):
        raise ZeroDivisionError
    with pytest.raises(typer.Exit) as ended, exit_codes(ErrorLine()):
        raise typer.Exit(STOPPED_EARLY)
    assert ended.value.exit_code == 3
    with exit_codes(ErrorLine()):
        pass


def test_a_command_may_show_errors_in_its_own_way(capsys: pytest.CaptureFixture[str]) -> None:
    """As `rsd solve --json` does; it gets every failure as an RSDError."""
    shown: list[RSDError] = []

    class View:
        def error(self, error: RSDError) -> None:
            shown.append(error)

        def interrupted(self) -> None:
            shown.append(RSDError("interrupted"))

    for error in (ConfigurationError("a"), OSError("b"), ImportError("c"), KeyboardInterrupt()):
        with pytest.raises(typer.Exit), exit_codes(View()):
            raise error
    assert [type(error) for error in shown] == [ConfigurationError, RSDError, ConfigurationError, RSDError]
    assert capsys.readouterr() == ("", "")
