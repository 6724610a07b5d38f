"""{{name}}: whoever subscribes to `inbox` gets an inbox of its own, `inbox/CLIENT-ID`."""

from tidegate import Change, Next, Plugin, ReasonCode, Refuse, Scope, SubscribeRequest


class Inboxes(Plugin):
    def scopes(self) -> list[Scope]:
        # Other filters cost nothing.
        return [Scope("subscribe", ["inbox"])]

    def on_subscribe(self, request: SubscribeRequest) -> Next | Change | Refuse:
        if request.filter != "inbox":
            # Such as `#`, which has `inbox` in it.
            return Next()
        # A client id may hold anything, but reaches no further than its level.
        if not request.client_id or any(character in request.client_id for character in "/+#"):
            return Refuse(ReasonCode.NOT_AUTHORIZED)
        return Change(filter=f"inbox/{request.client_id}")
