use super::{Place, place};

fn parts(url: &str) -> Place<'_> {
    place(url).unwrap()
}

#[test]
fn each_scheme_has_its_port_and_layers() {
    let plain = |host, port| Place { is_tls: false, websocket: None, host, port };
    assert_eq!(parts("mqtt://broker"), plain("broker", 1883));
    assert_eq!(parts("mqtt://127.0.0.1:1/"), plain("127.0.0.1", 1));
    assert_eq!(parts("mqtt://[::1]"), plain("[::1]", 1883));
    assert_eq!(parts("mqtt://[::1]:7"), plain("[::1]", 7));
    assert_eq!(parts("mqtts://broker"), Place { is_tls: true, ..plain("broker", 8883) });
    let websocket = |path: &str| Some(path.to_owned());
    assert_eq!(parts("ws://broker"), Place { websocket: websocket("/mqtt"), ..plain("broker", 80) });
    let wss = Place { is_tls: true, websocket: websocket("/a/b?c"), ..plain("broker", 4) };
    assert_eq!(parts("wss://broker:4/a/b?c"), wss);
}

#[test]
fn other_urls_are_refused_with_a_reason() {
    for (url, why) in [
        ("broker:1883", "mqtt://HOST:PORT"),
        ("http://broker", "scheme"),
        ("mqtt://", "host"),
        ("mqtt://broker:99999", "port"),
        ("mqtt://broker/path", "path"),
        ("mqtt://alice:secret@broker", "--password-file"),
        ("ws://broker/a b", "blank"),
    ] {
        let refused = place(url).unwrap_err();
        assert!(refused.contains(why), "{url}: {refused}");
    }
}
