"""What plugins do to paho-mqtt, one line per scenario; the plugin's answers are in tests/clients/hooks.rs, which starts this."""

from scenarios import Client, Failed, expect, main, text

QUOTA_EXCEEDED = 0x97
NOT_AUTHORIZED = 0x87
# All that 3.1.1 says in SUBACK.
FAILURE = 0x80


def refused(site, client, topic, reason):
    """MQTT 5 is told; in 3.1.1 the message is acknowledged and dropped."""
    mid = client.publish(topic, "x", 1)
    answered, told = client.wait(client.acknowledged, "PUBACK")
    expect("packet identifier of PUBACK", mid, answered)
    expect(f"reason of PUBACK for {topic}", reason if site.v5 else 0, told.value)


def denied(site, client, topic):
    _, mid = client.paho.subscribe(topic, 1)
    answered, reasons = client.wait(client.subscribed, "SUBACK")
    expect("packet identifier of SUBACK", mid, answered)
    expect(f"reason of SUBACK for {topic}", [NOT_AUTHORIZED if site.v5 else FAILURE], [reason.value for reason in reasons])


def publish_edits(site):
    client = site.client("editor").subscribe("edited")
    for qos in (0, 1, 2):
        client.publish("edit", f"x{qos}", qos)
        message = client.message()
        expect("what became of it", ("edited", f"x{qos}!".encode(), qos), (message.topic, message.payload, message.qos))
    client.leave()


def publish_refuses(site):
    client = site.client("refused").subscribe("#")
    refused(site, client, "refuse", QUOTA_EXCEEDED)
    client.nothing_more("a refused message is not delivered")
    client.leave()


def acl_denies_messages(site):
    client = site.client("denied").subscribe("#")
    refused(site, client, "secret/x", NOT_AUTHORIZED)
    client.nothing_more("a denied message is not delivered")
    client.leave()


def acl_denies_subscriptions(site):
    client = site.client("curious")
    denied(site, client, "hidden/#")
    client.deliver("hidden/x", "x")
    client.nothing_more("a denied subscription brings nothing")
    client.leave()


def subscribe_rewrites(site):
    client = site.client("rewritten").subscribe("rewrite")
    client.deliver("rewrite", "not this")
    client.deliver("rewritten", "this")
    expect("what the subscription became", ["this"], text(client.take(1)))
    client.paho.unsubscribe("rewrite")
    client.nothing_more("no more than that")
    client.deliver("rewritten", "not this either")
    client.nothing_more("UNSUBSCRIBE ends what it became")
    client.leave()


def subscribe_refuses(site):
    client = site.client("refused")
    denied(site, client, "closed/#")
    client.deliver("closed/x", "x")
    client.nothing_more("a refused subscription brings nothing")
    client.leave()


def authenticate_grants(site):
    client = site.client("anybody").subscribe("granted")
    client.deliver("granted", "x", 2)
    expect("messages", ["x"], text(client.take(1)))
    client.leave()


def authenticate_refuses(site):
    try:
        Client(site, "stranger").connect()
    except Failed as error:
        expect("why", "stranger is not let in: Not authorized", str(error))
    else:
        raise Failed("a stranger is let in")


def to_some(site, topic, others):
    """Who gets it, and who does not."""
    ones, others = (site.client(name).subscribe(topic) for name in ("ones", others))
    sender = site.client("sender")
    for qos in (0, 1, 2):
        sender.publish(topic, str(qos), qos)
    expect("messages", ["0", "1", "2"], text(ones.take(3)))
    others.nothing_more(f"{topic} is not for everybody")
    for client in (ones, others, sender):
        client.leave()


def scenarios(_):
    yield "on-publish edits", publish_edits
    yield "on-publish refuses", publish_refuses
    yield "acl denies messages", acl_denies_messages
    yield "acl denies subscriptions", acl_denies_subscriptions
    yield "on-subscribe rewrites", subscribe_rewrites
    yield "on-subscribe refuses", subscribe_refuses
    yield "authenticate grants", authenticate_grants
    yield "authenticate refuses", authenticate_refuses
    yield "on-deliver drops", lambda site: to_some(site, "dropped", "without")
    yield "select chooses", lambda site: to_some(site, "chosen", "without")


if __name__ == "__main__":
    main(scenarios)
