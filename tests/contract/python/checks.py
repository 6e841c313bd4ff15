"""The parts of a check of the scenario: its name, its expectations, and a line with its result."""

from typing import Any, Callable

from client import ApiError, Response, raise_for_status

CHECKS: list[tuple[str, Callable]] = []


def check(run: Callable) -> Callable:
    """Adds a check under the name of its function, with dashes."""
    CHECKS.append((run.__name__.replace("_", "-"), run))
    return run


def run_all(scenario: Any) -> bool:
    """Runs every check in order, prints each result, and returns whether all passed."""
    well = True
    for name, run in CHECKS:
        try:
            run(scenario)
            print(f"ok {name}", flush=True)
        except Exception as error:
            well = False
            why = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"FAILED {name}: {why}", flush=True)
    return well


def expect(found: Any, wanted: Any) -> None:
    if type(found) is not type(wanted) or found != wanted:
        raise AssertionError(f"wanted {wanted!r}, found {found!r}")


def expect_true(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def expect_refusal(status: int, code: str, request: Callable) -> ApiError:
    """Requires this refusal, with a sentence beside the code."""
    try:
        answer = request()
        if isinstance(answer, Response):
            raise_for_status(answer)
    except ApiError as refusal:
        expect((refusal.status, refusal.code), (status, code))
        expect_true(len(refusal.message) > 10, f"no sentence: {refusal.message!r}")
        return refusal
    raise AssertionError(f"wanted {status} {code}, and it was done")
