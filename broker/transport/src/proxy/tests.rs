use super::*;
use proptest::prelude::*;

fn v1(line: &str) -> Result<Source, ProxyError> {
    parse(line.as_bytes()).map(|parsed| {
        let (header, len) = parsed.expect("the line is whole");
        assert_eq!(len, line.find('\n').expect("the line ends") + 1);
        header.source
    })
}

fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[version_command, family], &len, body].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

const TCP4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0x07, 0x5B];

#[test]
fn version_1_names_the_source() {
    let tcp4 = v1("PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\nrest").unwrap();
    assert_eq!(tcp4.to_string(), "192.0.2.1:4711");
    let tcp6 = v1("PROXY TCP6 2001:db8::1 ::1 65535 1883\r\n").unwrap();
    assert_eq!(tcp6.to_string(), "[2001:db8::1]:65535");
    assert_eq!(v1("PROXY UNKNOWN\r\n"), Ok(Source::Unknown));
    assert_eq!(v1("PROXY UNKNOWN what ever 1 2\r\n"), Ok(Source::Unknown));
}

#[test]
fn version_1_in_another_form_is_malformed() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 4711 1883\r\n",
        "PROXY TCP4 2001:db8::1 ::1 4711 1883\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 4711 1883\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883 1\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 4711 1883\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 1883\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 1883\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  1883\r\n",
    ] {
        assert_eq!(v1(line), Err(ProxyError::Malformed), "{line}");
    }
    assert_eq!(parse(b"PROXY \xff\r\n"), Err(ProxyError::Malformed));
}

#[test]
fn version_1_is_bounded() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_BOUND - 16));
    assert_eq!(longest.len(), LINE_BOUND);
    assert_eq!(v1(&longest), Ok(Source::Unknown));
    assert_eq!(parse(&longest.as_bytes()[..LINE_BOUND - 1]), Ok(None));
    let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_BOUND - 15));
    assert_eq!(parse(longer.as_bytes()), Err(ProxyError::TooLong));
}

#[test]
fn version_2_names_the_source() {
    let source = |bytes: &[u8]| {
        let (header, len) = parse(bytes).unwrap().unwrap();
        assert_eq!(len, bytes.len());
        header.source
    };
    assert_eq!(source(&v2(0x21, 0x11, &TCP4)).to_string(), "192.0.2.1:4711");
    let mut tcp6 = [0; 36];
    (tcp6[15], tcp6[31], tcp6[33]) = (1, 2, 9);
    assert_eq!(source(&v2(0x21, 0x21, &tcp6)).to_string(), "[::1]:9");
    let mut unix = [0; 216];
    unix[..5].copy_from_slice(b"/path");
    unix[108..113].copy_from_slice(b"/here");
    assert_eq!(source(&v2(0x21, 0x31, &unix)).to_string(), "unix:/path");
    assert_eq!(source(&v2(0x21, 0x00, b"")), Source::Unknown);
    // A health check of the proxy itself, whatever it adds.
    assert_eq!(source(&v2(0x20, 0x11, &TCP4)), Source::Unknown);
    assert_eq!(source(&v2(0x20, 0xFF, b"???")), Source::Unknown);
}

#[test]
fn version_2_in_another_form_is_refused() {
    let refused = |bytes: &[u8]| parse(bytes).unwrap_err();
    assert_eq!(refused(&v2(0x31, 0x11, &TCP4)), ProxyError::Malformed, "version");
    assert_eq!(refused(&v2(0x22, 0x11, &TCP4)), ProxyError::Malformed, "command");
    assert_eq!(refused(&v2(0x21, 0x12, &TCP4)), ProxyError::Malformed, "datagrams");
    assert_eq!(refused(&v2(0x21, 0x21, &TCP4)), ProxyError::Malformed, "too short for IPv6");
    assert_eq!(refused(&v2(0x21, 0x11, &[&TCP4[..], &[1]].concat())), ProxyError::Malformed, "half a TLV");
    let long = [&TCP4[..], &tlv(4, &[0; HEADER_BOUND - FIXED - 12 - 3])].concat();
    assert!(parse(&v2(0x21, 0x11, &long)).unwrap().is_some());
    let longer = [&TCP4[..], &tlv(4, &[0; HEADER_BOUND - FIXED - 12 - 2])].concat();
    assert_eq!(refused(&v2(0x21, 0x11, &longer)), ProxyError::TooLong);
    // Before the rest of it has come.
    assert_eq!(refused(&v2(0x21, 0x11, &longer)[..FIXED]), ProxyError::TooLong);
    assert_eq!(refused(b"\x10\x0c\0\x04MQTT"), ProxyError::Missing);
    assert_eq!(refused(b"PROXY2"), ProxyError::Missing);
}

#[test]
fn the_name_of_a_certificate_counts_if_the_proxy_has_verified_it() {
    let name = |flags: u8, verify: u8| {
        let ssl = [&[flags, 0, 0, 0, verify][..], &tlv(0x21, b"TLSv1.3"), &tlv(0x22, b"sensor-7")].concat();
        let body = [&TCP4[..], &tlv(1, b"h2"), &tlv(0x20, &ssl)].concat();
        parse(&v2(0x21, 0x11, &body)).unwrap().unwrap().0.common_name
    };
    assert_eq!(name(0x07, 0).as_deref(), Some("sensor-7"));
    assert_eq!(name(0x05, 0).as_deref(), Some("sensor-7"));
    assert_eq!(name(0x01, 0), None);
    assert_eq!(name(0x07, 1), None);
}

#[test]
fn a_part_is_not_enough_and_nothing_behind_is_asked_for() {
    let body = [&TCP4[..], &tlv(4, b"padding")].concat();
    for header in
        [&b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n"[..], b"PROXY UNKNOWN\r\n", &v2(0x21, 0x11, &body)]
    {
        for len in 0..header.len() {
            assert_eq!(parse(&header[..len]), Ok(None));
            assert!((1..=header.len() - len).contains(&missing(&header[..len])), "{len}");
        }
        assert_eq!(parse(header).unwrap().unwrap().1, header.len());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        crate::fuzz::proxy_header(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_good_beginning_are_taken_or_refused(
        version in 0x1F_u8..0x23,
        family in prop::sample::select(vec![0x00, 0x11, 0x21, 0x31, 0x12]),
        body in proptest::collection::vec(any::<u8>(), 0..600),
        line in "[A-Z0-9 .:\r\n]{0,120}",
    ) {
        crate::fuzz::proxy_header(&v2(version, family, &body));
        crate::fuzz::proxy_header(format!("PROXY {line}\r\n").as_bytes());
        crate::fuzz::proxy_header(format!("PROXY TCP4 {line}\r\n").as_bytes());
    }
}
