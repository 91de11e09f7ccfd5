"""A story as GitHub-flavoured Markdown, for pull requests and model cards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from trimtab.records.reply import Reply
from trimtab.records.story import Candidate, SideBySide, Story
from trimtab.reports import wording
from trimtab.reports.clauses import ClauseFigures, clause_figures, result_in
from trimtab.reports.doses import doses
from trimtab.reports.losses import held_out_losses
from trimtab.reports.replies import ClauseReplies, Shown, replies_by_clause

MOST_FAILURES = 10
MOST_PASSES = 2
CELL_CHARACTERS = 400
MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$&@])")


def render_markdown(story: Story) -> str:
    """Headline, what was asked, clauses, some replies, training, cost and how to repeat it.

    What models and files say stands in code spans, where no markup, mention or link works.
    """
    sections = [
        _headline(story),
        _asked(story),
        _clauses(story),
        _replies(story),
        _training(story),
        _losses(story),
        _cost(story),
        _warnings(story),
        _repeat(story),
    ]
    return "\n\n".join(block for section in sections for block in section) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    >>> print(table(["clause", "rate"], [["book", "97.5%"]]))
    | clause | rate |
    | --- | --- |
    | book | 97.5% |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    r"""One line of text in which nothing is markup.

    >>> print(plain("a|b *c*\nd"))
    a\|b \*c\* d
    """
    return MARKS.sub(r"\\\1", " ".join(wording.visible(text).split()))


def quoted(text: str, characters: int = CELL_CHARACTERS) -> str:
    r"""A code span that fits in a table's cell: one line, line ends shown as ↵.

    >>> print(quoted("two\nlines | with `code`"))
    `` two ↵ lines \| with `code` ``
    >>> quoted("")
    '(empty)'
    """
    shown = wording.clip(wording.visible(text), characters)
    line = re.sub(r"\s*\n\s*", " ↵ ", shown).replace("\t", " ").strip().replace("|", "\\|")
    if not line:
        return "(empty)"
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"`{line}`"


def _headline(story: Story) -> Iterator[str]:
    yield f"# {plain(story.charter.name)}"
    yield f"**{plain(wording.verdict_sentence(story))}**"
    models = [story.before.model, story.profile.model] if story.before else [story.profile.model]
    facts = [
        f"`trimtab {story.command}`, {plain(story.date)}",
        f"Model: {' → '.join(plain(model) for model in models)}",
        f"Cost: {plain(wording.cost_line(story.cost))}",
        wording.looks_sentence(story),
    ]
    yield "\n".join(f"- {fact}" for fact in facts)


def _asked(story: Story) -> Iterator[str]:
    yield "## What was asked"
    yield table(
        ["clause", "kind", "checks", "target", "requests", "probes"],
        (
            [
                asked.clause.id,
                f"{asked.clause.kind}: {wording.DUTIES[asked.clause.kind]}",
                ", ".join(map(quoted, asked.checks)),
                wording.goal(asked.clause.kind, asked.clause.target),
                quoted(wording.file_name(asked.clause.requests)),
                wording.probes_of(asked),
            ]
            for asked in story.asked
        ),
    )


def _clauses(story: Story) -> Iterator[str]:
    yield "## Clauses"
    columns = ["clause", "kind", "verdict", "target"]
    columns += ["before [95%]"] if story.before else []
    columns += ["after [95%]" if story.before else "rate [95%]", "n", "errors"]
    columns += ["change [95%]", "p (Holm)"] if story.comparison else []
    columns += ["against the baseline", "more probes needed"]
    yield table(columns, (_clause_row(story, figures) for figures in clause_figures(story)))


def _clause_row(story: Story, figures: ClauseFigures) -> list[str]:
    result, change = figures.after, figures.change
    row = [result.clause, result.kind, f"{wording.SIGNS[result.verdict]} {result.verdict}"]
    row += [wording.goal(result.kind, result.target)]
    row += [wording.rate_and_span(figures.before)] if story.before else []
    row += [wording.rate_and_span(result), wording.count(result.n), wording.count(result.errors)]
    if story.comparison:
        row += [wording.moved(change.difference) if change else "–"]
        row += [wording.p_value(change.p_holm) if change else "–"]
    row += [wording.moved(result.change) if result.change else "–"]
    return [*row, wording.more_probes(result) or "–"]


def _replies(story: Story) -> Iterator[str]:
    shelves = replies_by_clause(story, most_passing=MOST_PASSES)
    if shelves:
        yield "## Replies"
    for shelf in shelves:
        shown = [*shelf.failures[:MOST_FAILURES], *shelf.passes]
        yield f"### {shelf.clause.id}"
        yield _shelf_sentence(shelf)
        before = ["before"] if story.before else []
        yield table(
            ["", "request", *before, "after" if before else "reply", "why"],
            (_reply_row(one, story) for one in shown),
        )


def _shelf_sentence(shelf: ClauseReplies) -> str:
    probes = shelf.failing + shelf.passing
    sentence = wording.failures(shelf.failing, probes, shelf.unanswered)
    left_out = shelf.failing - min(len(shelf.failures), MOST_FAILURES)
    return f"{sentence} {wording.count(left_out)} of them are not shown." if left_out else sentence


def _reply_row(shown: Shown, story: Story) -> list[str]:
    probe = shown.probe
    row = [shown.outcome, quoted(probe.probe.request.text)]
    if story.before:
        row.append(_reply(probe.before.reply) if probe.before else "–")
    return [*row, _reply(probe.after.reply), _whys(probe)]


def _reply(reply: Reply) -> str:
    if reply.finish == "error":
        return f"no reply: {quoted(reply.error or '')}"
    return quoted(reply.text)


def _whys(probe: SideBySide) -> str:
    return "; ".join(quoted(why) for why in probe.after.score.whys) or "–"


def _training(story: Story) -> Iterator[str]:
    if story.ended:
        yield "## Training"
        yield f"The search ended because {plain(story.ended)}."
    if story.plan:
        yield table(
            ["kind", "teaches", "asked for", "in the pool", "trained on"],
            (
                [
                    dose.kind or "none",
                    dose.purpose,
                    *map(wording.count, (dose.asked, dose.held, dose.chosen)),
                ]
                for dose in doses(story.plan)
            ),
        )
    if story.candidates:
        clauses = [result.clause for result in story.profile.clauses]
        yield table(
            ["candidate", "doses", "rows", "tokens", "time", *clauses],
            (_candidate_row(candidate, clauses) for candidate in story.candidates),
        )
        yield wording.choice_sentence(story)


def _candidate_row(candidate: Candidate, clauses: Sequence[str]) -> list[str]:
    results = [result_in(candidate.profile, clause) for clause in clauses]
    return [
        f"**{candidate.number}, chosen**" if candidate.chosen else str(candidate.number),
        ", ".join(f"{kind} {wording.count(rows)}" for kind, rows in candidate.doses.items()),
        wording.count(candidate.rows),
        wording.count(candidate.tokens),
        wording.duration(candidate.seconds),
        *(wording.rate(result) if result else "–" for result in results),
    ]


def _losses(story: Story) -> Iterator[str]:
    losses = held_out_losses(story)
    if losses:
        yield "## Held-out loss"
        yield table(
            ["model", "held-out loss, nats per token [95%]", "rows"],
            ([name, wording.loss(loss), wording.count(loss.rows)] for name, loss in losses.items()),
        )
    if story.control:
        yield (
            "The control was trained for as many steps on the plan without contrast. "
            f"{wording.control_sentence(story.control)}"
        )


def _cost(story: Story) -> Iterator[str]:
    yield "## Cost"
    yield (
        f"{plain(wording.cost_line(story.cost))}. The last profile took "
        f"{wording.count(story.profile.prompt_tokens)} tokens in and "
        f"{wording.count(story.profile.reply_tokens)} out."
    )
    if story.cost.tokens:
        yield f"Tokens trained on, prompts included: {wording.tokens_by_part(story.cost)}."


def _warnings(story: Story) -> Iterator[str]:
    if story.warnings:
        yield "## Warnings"
        yield "\n".join(f"- {plain(warning)}" for warning in story.warnings)


def _repeat(story: Story) -> Iterator[str]:
    yield "## How to repeat it"
    if story.repeat:
        yield "\n".join(
            f"    {wording.visible(line)}"
            for command in story.repeat
            for line in command.splitlines()
        )
    yield plain(wording.made_with(story))
    yield (
        f"Suite `{story.profile.suite}`, model {quoted(story.profile.fingerprint)}. Rates are on "
        f"the {story.profile.split} probes, with Wilson's 95% interval; verdicts rest on the exact "
        "one (Clopper–Pearson)."
    )
