"""{{name}}: an alarm goes to the first on the list who is there, and to nobody else."""

from dataclasses import dataclass, field

from tidegate import Candidate, Everybody, Message, Only, Plugin, Scope


@dataclass
class Config:
    """`[plugin.{{name}}.config]` in the broker's config."""

    topics: list[str] = field(default_factory=lambda: ["alarms/#"])
    # Client ids.
    order: list[str] = field(default_factory=list)


class OnCall(Plugin):
    Config = Config
    config: Config

    def scopes(self) -> list[Scope]:
        # Other topics cost nothing.
        return [Scope("subscribers", self.config.topics)]

    def select(self, message: Message, candidates: list[Candidate]) -> Everybody | Only:
        first = self.first(candidates)
        # If nobody on the list is there, everybody gets it: no alarm is lost.
        return Everybody() if first is None else Only([first])

    def pick(self, message: Message, group: str, members: list[Candidate]) -> int | None:
        return self.first(members)

    def first(self, there: list[Candidate]) -> int | None:
        places = {candidate.client_id: index for index, candidate in enumerate(there)}
        return next((places[client_id] for client_id in self.config.order if client_id in places), None)
