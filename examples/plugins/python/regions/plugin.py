"""regions: what is about a region, `weather/REGION/…`, goes to those who are there: whose client ids begin with `REGION-` or `all-`."""

from dataclasses import dataclass, field

from tidegate import Candidate, Everybody, Message, Only, Plugin, Scope

# For how long the broker may remember an answer; it asks again when subscriptions have changed.
MINUTE = 60_000


@dataclass
class Config:
    """`[plugin.regions.config]` in the broker's config."""

    topics: list[str] = field(default_factory=lambda: ["weather/#"])
    # A region.
    everywhere: str = "all"


class Regions(Plugin):
    Config = Config
    config: Config

    def scopes(self) -> list[Scope]:
        return [Scope("subscribers", self.config.topics)]

    def select(self, message: Message, candidates: list[Candidate]) -> Everybody | Only:
        there = self.who_is_there(message, candidates)
        return Everybody(MINUTE) if there is None else Only(there, MINUTE)

    def pick(self, message: Message, group: str, members: list[Candidate]) -> int | None:
        there = self.who_is_there(message, members)
        return there[0] if there else None

    def who_is_there(self, message: Message, candidates: list[Candidate]) -> list[int] | None:
        """By index; None: it is about no region."""
        levels = message.topic.split("/")
        if len(levels) < 2:
            return None
        beginnings = (levels[1] + "-", self.config.everywhere + "-")
        return [index for index, candidate in enumerate(candidates) if candidate.client_id.startswith(beginnings)]
