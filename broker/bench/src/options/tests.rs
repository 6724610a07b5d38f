use super::{Format, Options, clients, kept_qos, size, time};
use clap::{Args, Command, FromArgMatches};
use std::time::Duration;

fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
    let command = Options::augment_args(Command::new("bench"));
    let matches = command.try_get_matches_from([&["bench"], arguments].concat())?;
    Options::from_arg_matches(&matches)
}

#[test]
fn the_command_line_holds_together() {
    Options::augment_args(Command::new("bench")).debug_assert();
    for scenario in ["p2p", "fanout", "fanin", "shared", "connect", "retained", "churn", "offline", "storm"] {
        parse(&[scenario]).unwrap();
        parse(&[scenario, "--url", "ws://x", "--pid", "1,2", "--pid", "3", "--json", "-"]).unwrap();
    }
    assert!(parse(&[]).is_err());
}

#[test]
fn times_have_units() {
    assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
    assert_eq!(time("1h"), Ok(Duration::from_secs(3600)));
    assert_eq!(time("7"), Ok(Duration::from_secs(7)));
    for wrong in ["", "s", "5 s", "-1s", "3d", "1.2.3s"] {
        assert!(time(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_payload_has_a_size_that_goes_with_its_format() {
    for scenario in ["p2p", "retained", "churn", "offline", "storm"] {
        let payload = |more: &[&str]| {
            let options = parse(&[&[scenario], more].concat()).unwrap();
            let payload = options.scenario.payload().unwrap();
            (payload.format, payload.size, payload.check().is_ok())
        };
        assert_eq!(payload(&[]), (Format::Bytes, 64, true));
        assert_eq!(payload(&["--payload", "json"]), (Format::Json, 128, true));
        assert_eq!(payload(&["--payload", "json", "--size", "120"]), (Format::Json, 120, true));
        assert_eq!(payload(&["--payload", "json", "--size", "119"]), (Format::Json, 119, false));
        assert_eq!(payload(&["--size", "24"]), (Format::Bytes, 24, true));
    }
    assert!(parse(&["connect"]).unwrap().scenario.payload().is_none());
}

#[test]
fn numbers_have_ranges() {
    assert_eq!((size("24"), size("23").is_err()), (Ok(24), true));
    assert!(size("268000001").is_err());
    assert_eq!((clients("1"), clients("0").is_err()), (Ok(1), true));
    assert!(kept_qos("1").is_ok() && kept_qos("2").is_ok());
    assert!(kept_qos("0").unwrap_err().contains("QoS 0"));
}
