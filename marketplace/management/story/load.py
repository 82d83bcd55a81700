"""Loading the story into an empty register, for newcomers to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from marketplace.management.story.tell import Story, tell
from marketplace.management.supervisor import Supervisor
from marketplace.models import User
from provenance.core.refusal import Refusal


def load_story_if_empty(
    supervisor: Supervisor, *, say: Callable[[str], None], begin: Callable[[str], None], stopped: Callable[[], bool]
) -> None:
    """Tell the story when nobody has ever signed up; then say who can sign in, and what to try."""
    letter = Path(supervisor.var) / "story" / "accounts.txt"
    if not User.objects.exists():
        say("The register is empty: loading the demo story through the real pipeline (two minutes or so).")
        story = Story(site=supervisor.url, folder=letter.parent, say=say, stopped=stopped, begin=begin)
        try:
            tell(story)
        except Refusal as refusal:
            say(f"The story stopped: {refusal} The site goes on.")
        letter.write_text(_letter(story))
    if letter.exists():
        say(letter.read_text())


def _letter(story: Story) -> str:
    lines = ["", "Sign in as:"]
    lines += [f"  {person.email:24} {person.password}" for person in story.cast.values()]
    derived = story.datasets.get("derived")
    lines += [
        "",
        "Try:",
        f"  {story.site}/                       what is listed",
        *([f"  {story.site}/d/{derived['id']}/provenance   a trail, without an account"] if derived else []),
        f"  {story.site}/publish                publish something (drop {story.folder / 'copy'}: it is stopped)",
        f"  {story.site}/settings/keys          make an API key, then: bin/cadastre login --site {story.site}",
        "  bin/cadastre --help                   the command line",
        "",
    ]
    return "\n".join(lines)
