use super::*;
use tidegate_plugin::{http::Request, testing::anonymous};

fn requested(host: Host, config: &str, client: Connect) -> Request {
    let mut scene = Scene::on(host, config);
    scene.plugin.authenticate(client);
    scene.host.requested().remove(0)
}

fn body(request: &Request) -> &str {
    std::str::from_utf8(request.body.as_deref().unwrap()).unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find_map(|(known, value)| (known == name).then_some(value.as_str()))
}

#[test]
fn everything_is_told_as_json_by_default() {
    let mut client = alice();
    client.tls_subject = Some("CN=\"a\"".into());
    let request = requested(Host::new(), "", client);
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://auth.example/mqtt"));
    assert_eq!(header(&request, "Content-Type"), Some("application/json"));
    assert_eq!(request.timeout, Some(Duration::from_secs(2)));
    assert_eq!(
        body(&request),
        r#"{"client_id":"c1","listener":"test","password":"alice-secret","peer":"192.0.2.1","protocol":"5","tls_subject":"CN=\"a\"","username":"alice"}"#
    );
}

#[test]
fn what_a_client_has_not_is_null() {
    let request =
        requested(Host::new(), "fields = { u = '${username}', p = 'x${password}' }", anonymous("c1"));
    assert_eq!(body(&request), r#"{"p":null,"u":null}"#);
}

#[test]
fn a_form_is_encoded_and_leaves_out_what_is_not_there() {
    let config = "encoding = 'form'\nfields = { user = '${username}', pw = '${password}', dn = '${tls_subject}', 'a b' = '1' }";
    let request = requested(Host::new(), config, connect("c1", "a&b=c é", "~x +"));
    assert_eq!(body(&request), "a%20b=1&pw=~x%20%2B&user=a%26b%3Dc%20%C3%A9");
    assert_eq!(header(&request, "Content-Type"), Some("application/x-www-form-urlencoded"));
}

#[test]
fn fields_may_stand_in_the_url() {
    let config = "encoding = 'query'\nfields = { user = '${username}', id = '${client_id}' }";
    let request = requested(Host::new(), config, connect("c/1", "alice", "x"));
    assert_eq!(request.url, "http://auth.example/mqtt?id=c%2F1&user=alice");
    assert_eq!((request.method.as_str(), request.body), ("GET", None));
}

#[test]
fn a_client_cannot_lead_the_url_elsewhere() {
    let host =
        Host::new().config("url = 'http://auth.example/users/${username}?of=${peer}'\nencoding = 'form'");
    let mut plugin: HttpAuth = host.start().unwrap();
    host.http(|_| Ok(Response::new(204, "")));
    plugin.authenticate(connect("c1", "../admin?x#", "x"));
    assert_eq!(host.requested()[0].url, "http://auth.example/users/..%2Fadmin%3Fx%23?of=192.0.2.1");
    for username in ["", ".", ".."] {
        assert_eq!(plugin.authenticate(connect("c1", username, "x")), Outcome::Next, "{username:?}");
    }
    assert_eq!(plugin.authenticate(anonymous("c1")), Outcome::Next);
    assert_eq!(host.requested().len(), 1, "the url needs a user name");
}

#[test]
fn headers_have_secrets_and_may_say_the_content_type() {
    let host = Host::new().secret("token", "t0k3n");
    let config =
        "method = 'PUT'\nheaders = { Authorization = 'Bearer ${secret:token}', content-type = 'text/json' }";
    let request = requested(host, config, alice());
    assert_eq!(request.method, "PUT");
    assert_eq!(header(&request, "Authorization"), Some("Bearer t0k3n"));
    assert_eq!(
        (header(&request, "content-type"), header(&request, "Content-Type")),
        (Some("text/json"), None)
    );
}

#[test]
fn peers_are_told_without_their_port() {
    for (peer, told) in [("[2001:db8::1]:7", "2001:db8::1"), ("unix:uid=1000,pid=7", "unix:uid=1000,pid=7")] {
        let mut client = alice();
        client.peer = peer.into();
        let request = requested(Host::new(), "fields = { peer = '${peer}' }", client);
        assert_eq!(body(&request), format!(r#"{{"peer":"{told}"}}"#));
    }
}

#[test]
fn a_password_that_is_no_text_is_wrong_and_nobody_is_asked() {
    let mut scene = Scene::new("");
    let mut client = alice();
    client.password = Some(vec![0xFF]);
    assert_eq!(scene.plugin.authenticate(client), refused(ReasonCode::BadUserNameOrPassword));
    assert_eq!(scene.asked(), 0);
}
