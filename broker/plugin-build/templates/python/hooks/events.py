"""{{name}}: says in the log who comes and goes."""

from tidegate import Event, Plugin, Scope, log


class Comings(Plugin):
    def scopes(self) -> list[Scope]:
        return [Scope("events", wants=["connected", "disconnected"])]

    def on_events(self, events: list[Event], lost: int) -> None:
        for event in events:
            log("info", "client", client=event.client_id, event=event.kind)
