"""A clause's figures from all of a story's measurements, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.records.comparison import Change
from trimtab.records.profile import ClauseResult, Profile
from trimtab.records.story import Story


@dataclass(frozen=True, slots=True)
class ClauseFigures:
    """One clause at the end and, where it was measured too, before."""

    after: ClauseResult
    before: ClauseResult | None
    change: Change | None


def clause_figures(story: Story) -> list[ClauseFigures]:
    """The clauses of the story's profile, in the charter's order."""
    changes = story.comparison.changes if story.comparison else ()
    change_of = {change.clause: change for change in changes}
    return [
        ClauseFigures(
            after=result,
            before=result_in(story.before, result.clause),
            change=change_of.get(result.clause),
        )
        for result in story.profile.clauses
    ]


def result_in(profile: Profile | None, clause: str) -> ClauseResult | None:
    """One clause's result, None where there is no profile or the profile lacks the clause."""
    results = profile.clauses if profile else ()
    return next((result for result in results if result.clause == clause), None)
