"""``synthema review``: clinicians judge synthetic records beside real ones, without knowing which is which."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthema.cli.client import call
from synthema.cli.options import HERE, HomeOption, KeyOption, PassphraseOption, PersonOption, open_key
from synthema.cli.output import Format, FormatOption, answer, note, say, show_table
from synthema.errors import InputError

app = typer.Typer(help="Blinded clinical review: plan, open, take a seat, judge, close, report.")

ReviewArgument = Annotated[str, typer.Argument(help="Identifier of the review.", metavar="REVIEW")]
CodeOption = Annotated[
    str,
    typer.Option(
        "--code",
        envvar="REVIEW_CODE",
        prompt="Code of your seat",
        hide_input=True,
        help="The code of your seat, from: synthema review join. You are asked for it if left out.",
        metavar="CODE",
    ),
]
Vignettes = Annotated[int, typer.Option("--vignettes", help="How many records are shown, about half of them real.")]
Reviewers = Annotated[int, typer.Option("--reviewers", help="How many clinicians judge all of them; at least two.")]
REASON = typer.Option("--reason", help="Why; goes into the log.", metavar="TEXT")


@app.command("advise")
def advise(
    reviewers: Reviewers,
    vignettes: Annotated[
        int | None, typer.Option("--vignettes", help="Say what this many would tell.", show_default=False)
    ] = None,
    half_width: Annotated[
        float, typer.Option("--half-width", help="How closely the AUC is to be known, e.g. 0.10.", metavar="NUMBER")
    ] = 0.10,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say how many vignettes a question needs, before any record is opened.

    Example: synthema review advise --reviewers 3 --half-width 0.1 --home clinic
    """
    value = {"reviewers": reviewers, "vignettes": vignettes, "half_width": half_width}
    answer(call(home, "review/advise", value), output, lambda found: say(*found["sentences"]))


@app.command("open")
def open_review(
    run: Annotated[str, typer.Argument(help="The run whose synthetic rows are judged.", metavar="RUN")],
    *,
    title: Annotated[str, typer.Option("--title", help="What reviewers see it named.", metavar="TEXT")],
    vignettes: Vignettes,
    reviewers: Reviewers,
    days: Annotated[int, typer.Option("--days", help="Until when it can be answered, at most 90.")] = 30,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Ask the policies, draw the vignettes and seal them. Who opens a review does not review.

    Example: synthema review open run-… --title "MGUS, first candidate" --vignettes 60 --reviewers 3
    --person person-… --key steward.pem --home clinic
    """
    value = {"run": run, "vignettes": vignettes, "reviewers": reviewers, "days": days}
    signature = _signed(home, "review/opening", value, key, passphrase_file)
    made = call(home, "review/open", value | {"title": title, "person": person, "signature": signature})
    answer(
        made,
        output,
        lambda found: say(
            f"The review is open until {found['expires'][:10]}: {found['review']}",
            f"The log holds the commitment to its assignment: {found['commitment']}",
            f"Next, each clinician: synthema review join {found['review']} --person … --key …",
        ),
    )


@app.command("join")
def join(
    review: ReviewArgument,
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take a seat as a clinician. You get a code; with it you judge here or in the console. A lost code is replaced.

    Example: synthema review join review-… --person person-… --key doctor.pem --home clinic
    """
    signature = _signed(home, "review/seating", {"review": review}, key, passphrase_file)
    answer(
        call(home, "review/join", {"review": review, "person": person, "signature": signature}),
        output,
        lambda found: say(
            f"You have seat {found['seat']}. Your code, shown only now: {found['code']}",
            "Judge one record after another with: synthema review judge",
            "Do not open the synthetic data elsewhere and do not talk about the records until the review is closed.",
        ),
    )


@app.command("next")
def next_vignette(code: CodeOption, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show the record that you are to judge now; the same one until you have answered.

    Example: synthema review next --code ABCD-… --home clinic
    """
    answer(call(home, "review/next", {"code": code}), output, _show_vignette)


@app.command("answer")
def give_answer(
    vignette: Annotated[str, typer.Argument(help="Name of the record, as shown.", metavar="RECORD")],
    *,
    code: CodeOption,
    guess: Annotated[str | None, typer.Option("--guess", help="real or synthetic.", show_default=False)] = None,
    sure: Annotated[
        int | None, typer.Option("--sure", help="1 guessing, 2 fairly sure, 3 sure.", min=1, max=3, show_default=False)
    ] = None,
    plausible: Annotated[
        bool | None, typer.Option("--plausible/--implausible", help="Could this be a patient?", show_default=False)
    ] = None,
    reason: Annotated[
        list[str] | None, typer.Option("--reason", help="Code of a reason for implausible; repeatable.", metavar="CODE")
    ] = None,
    remark: Annotated[str, typer.Option("--remark", help="Free text, kept sealed inside; no names.")] = "",
    recognised: Annotated[
        bool, typer.Option("--recognised", help="You know this patient: the record is left out for everybody.")
    ] = False,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Keep your judgement on the record that is shown, once.

    Example: synthema review answer 0a1b… --code ABCD-… --guess synthetic --sure 2 --implausible --reason combination
    """
    value = {
        "code": code, "vignette": vignette, "guess": guess, "confidence": sure, "plausible": plausible,
        "reasons": reason or [], "remark": remark, "recognised": recognised,
    }  # fmt: skip
    answer(call(home, "review/answer", value), output, lambda found: say(f"Kept. Answers so far: {found['answered']}"))


@app.command("judge")
def judge(code: CodeOption, home: HomeOption = HERE) -> None:
    """Judge one record after another; each answer is kept at once, and you may stop (Ctrl+C) and go on later.

    Example: synthema review judge --home clinic
    """
    while (shown := call(home, "review/next", {"code": code}))["vignette"] is not None:
        _show_vignette(shown)
        call(home, "review/answer", {"code": code, "vignette": shown["vignette"]["name"], **_asked(shown)})
    say("You have judged all records. Thank you. The truth is opened when the review is closed.")


@app.command("list")
def list_reviews(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the reviews of a connector, and the outputs that wait for one.

    Example: synthema review list --home clinic
    """
    answer(call(home, "review/list"), output, _show_list)


@app.command("status")
def status(review: ReviewArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show how far each reviewer is; nothing of what was answered.

    Example: synthema review status review-… --home clinic
    """
    answer(call(home, "review/status", {"review": review}), output, _show_status)


@app.command("stop")
def stop(
    review: ReviewArgument,
    reason: Annotated[str, REASON],
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show nothing more of a review. What was answered counts when it is closed.

    Example: synthema review stop review-… --reason "a patient was recognised twice" --person person-… --key dpo.pem
    """
    value = {"review": review, "reason": reason}
    signature = _signed(home, "review/stopping", value, key, passphrase_file)
    answer(call(home, "review/stop", value | {"person": person, "signature": signature}), output, _show_status)


@app.command("close")
def close(
    review: ReviewArgument,
    person: PersonOption,
    key: KeyOption,
    reason: Annotated[str, REASON] = "",
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Open the truth for good, compute the figures, delete the records, and settle what waited for the review.

    Example: synthema review close review-… --person person-… --key steward.pem --home clinic
    """
    value = {"review": review, "reason": reason}
    signature = _signed(home, "review/closing", value, key, passphrase_file)
    answer(call(home, "review/close", value | {"person": person, "signature": signature}), output, _show_report)


@app.command("report")
def report(review: ReviewArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show the figures of a closed review beside the machine's checks.

    Example: synthema review report review-… --home clinic
    """
    answer(call(home, "review/report", {"review": review}), output, _show_report)


@app.command("remarks")
def remarks(review: ReviewArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show what reviewers remarked on synthetic records; remarks on real ones were deleted at the close.

    Example: synthema review remarks review-… --home clinic
    """
    answer(
        call(home, "review/remarks", {"review": review}),
        output,
        lambda found: show_table(
            ("Seat", "Remark"), ((each["seat"], each["remark"]) for each in found), empty="Nobody remarked anything."
        ),
    )


@app.command("forgo")
def forgo(
    run: Annotated[str, typer.Argument(help="The run whose output waits.", metavar="RUN")],
    reason: Annotated[str, REASON],
    person: PersonOption,
    key: KeyOption,
    home: HomeOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Give an output up that waits for a review: it is deleted and never released.

    Example: synthema review forgo run-… --reason "nobody has time" --person person-… --key steward.pem --home clinic
    """
    value = {"run": run, "reason": reason}
    signature = _signed(home, "review/forgoing", value, key, passphrase_file)
    answer(
        call(home, "review/forgo", value | {"person": person, "signature": signature}),
        output,
        lambda found: say(f"{found['run']} is {found['state']}; its output is deleted."),
    )


def _signed(home: Path, operation: str, value: dict[str, Any], key: Path, passphrase_file: Path | None) -> str:
    """A person's signature over what an operation says is to be signed."""
    asked = call(home, operation, value)["sign"]
    return open_key(key, passphrase_file).sign(bytes.fromhex(asked)).hex()


def _asked(shown: dict[str, Any]) -> dict[str, Any]:
    """What a person answers to the questions on one record."""
    first = _choice("Real (r), synthetic (s), or do you know this patient (k)?", ("r", "s", "k"))
    if first == "k":
        return {"recognised": True}
    note(*(f"  {level}  {words}" for level, words in shown["confidence"].items()))
    found: dict[str, Any] = {
        "guess": "real" if first == "r" else "synthetic",
        "confidence": int(_choice("How sure are you?", tuple(shown["confidence"]))),
        "plausible": _choice("Plausible (p) or implausible (i)?", ("p", "i")) == "p",
    }
    if not found["plausible"]:
        reasons = shown["reasons"]
        note(*(f"  {number}  {each['words']}" for number, each in enumerate(reasons, start=1)))
        found["reasons"] = _numbers("Why? Numbers, with spaces between", [each["code"] for each in reasons])
    found["remark"] = typer.prompt("A remark (no names; Enter for none)", default="", show_default=False, err=True)
    return found


def _choice(question: str, known: tuple[str, ...]) -> str:
    while True:
        typed = str(typer.prompt(question, err=True)).strip().casefold()[:1]
        if typed in known:
            return typed
        note(f"Type one of: {', '.join(known)}")


def _numbers(question: str, codes: list[str]) -> list[str]:
    while True:
        typed = str(typer.prompt(question, err=True)).split()
        try:
            return [codes[_index(word, len(codes))] for word in dict.fromkeys(typed)]
        except InputError as error:
            note(error.fix)


def _index(word: str, count: int) -> int:
    if not word.isascii() or not word.isdigit() or not 1 <= int(word) <= count:
        raise InputError("this is no number of a reason", fix=f"Type numbers from 1 to {count}")
    return int(word) - 1


def _show_vignette(found: dict[str, Any]) -> None:
    shown = found["vignette"]
    if shown is None:
        say("You have judged all records of this review.")
        return
    say("", f"{found['title']} – record {shown['number']} of {shown['of']} ({shown['name']})", *shown["sentences"])


def _show_list(found: dict[str, Any]) -> None:
    rows = (
        (each["review"], each["title"], each["state"], each["vignettes"], f"{len(each['seats'])}/{each['reviewers']}")
        for each in found["reviews"]
    )
    show_table(("Review", "Title", "State", "Records", "Seats"), rows, empty="No review was opened yet.")
    for each in found["waiting"]:
        say(f"{each['run']} waits for a review since {each['since'][:10]}: synthema review open {each['run']}")


def _show_status(found: dict[str, Any]) -> None:
    say(f"{found['title']}: {found['state']}" + (f" ({found['reason']})" if found["reason"] else ""))
    say(f"{found['vignettes']} records, {found['reviewers']} reviewers, until {found['expires'][:10]}")
    rows = ((seat["seat"], seat["person"], f"{seat['answered']} of {found['vignettes']}") for seat in found["seats"])
    show_table(("Seat", "Account", "Answered"), rows, empty="Nobody has taken a seat yet.")


def _show_report(found: dict[str, Any]) -> None:
    result = found["result"]
    say(
        f"{found['title']}: {result['reviewers']} reviewers, {result['real']} real and {result['synthetic']} synthetic "
        f"records count. Log entry {found['logPosition']}.",
        *result["notes"],
    )
    figures = (
        (f["metric"], f"{f['value']:.3f}", f"{f['lower']:.3f} to {f['upper']:.3f}", f["n"], _rounded(f["control"]))
        for f in result["figures"]
    )
    show_table(("Figure", "Value", "95 % interval", "n", "Real"), figures, empty="There are no figures.")
    reasons = ((r["words"], r["synthetic"], _few(r["real"])) for r in result["reasons"])
    show_table(("Reason for implausible", "Synthetic", "Real"), reasons, empty="Nobody called anything implausible.")
    rules = (
        (r["sentence"], f"{r['synthetic']} of {r['synthetic_rows']}", f"{_few(r['real'])} of {r['real_rows']}")
        for r in found["rules"]
    )
    show_table(("Rule the machine checked", "Synthetic rows break it", "Real rows"), rows=rules, empty="")
    if found.get("outcome"):
        say(found["outcome"])


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _few(count: int | None) -> str:
    return "fewer than 5" if count is None else str(count)
