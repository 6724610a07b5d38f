//! Files that come, go and change; only that, without load.

use std::fs;
use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{Client, Folder, PATIENCE, guest, plugin};

#[test]
fn a_plugin_may_come_while_the_broker_runs_and_go_again() {
    let broker = Folder::new("[plugin.probe-publish.config]\nobey = true\n").start();
    let mut client = Client::connect(&broker, Version::V5, "c");
    assert_eq!(client.publish("probe/a", "refuse", QoS::AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    broker.folder().rename_plugin("probe-publish", &guest("probe-publish"));
    broker.wait_for_log("plugin probe-publish: generation 1", PATIENCE);
    assert_eq!(client.publish("probe/a", "refuse", QoS::AtLeastOnce), ReasonCode::PayloadFormatInvalid);
    broker.folder().remove_plugin("probe-publish");
    broker.wait_for_log("plugin probe-publish: removed", PATIENCE);
    assert_eq!(client.publish("probe/a", "refuse", QoS::AtLeastOnce), ReasonCode::NoMatchingSubscribers);
    client.ping();
}

#[test]
fn sys_topics_tell_the_generation() {
    let folder = Folder::new("");
    folder.install_plugin("stamp", &plugin("stamp"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("$SYS/broker/plugins/stamp/generation", QoS::AtMostOnce);
    assert_eq!(client.message().payload, "1");
    broker.folder().install_plugin("stamp", &guest("stamp-two"));
    assert_eq!(client.message().payload, "2");
}

#[test]
fn compiled_code_is_cached_in_the_data_folder_and_never_taken_from_the_plugin_folder() {
    let folder = Folder::new("");
    folder.install_plugin("stamp", &plugin("stamp"));
    folder.start().stop();
    let cached: Vec<_> = fs::read_dir(folder.data_dir().join("compiled")).unwrap().flatten().collect();
    assert_eq!(cached.len(), 1);
    // What lies in the plugin folder is a component or nothing, whatever its name.
    fs::copy(cached[0].path(), folder.plugin_file("stamp")).unwrap();
    fs::copy(cached[0].path(), folder.plugin_dir().join("stamp.cwasm")).unwrap();
    let broker = folder.start();
    assert!(broker.log_contains("plugin stamp"));
    assert!(!broker.log_contains("plugin stamp: generation"));
    broker.stop();
}

#[test]
fn a_plugin_for_hooks_that_are_not_served_is_refused() {
    let folder = Folder::new("");
    for (name, bytes) in [
        ("core", &b"\0asm\x01\0\0\0"[..]),
        ("garbage", &[7; 1000][..]),
        ("empty", &[][..]),
        ("truncated", &fs::read(plugin("stamp")).unwrap()[..5000]),
    ] {
        fs::write(folder.plugin_file(name), bytes).unwrap();
    }
    let broker = folder.start();
    for name in ["core", "garbage", "empty", "truncated"] {
        assert!(broker.log_contains(&format!("plugin {name}: ")), "{name}");
        assert!(!broker.log_contains(&format!("plugin {name}: generation")), "{name}");
    }
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.ping();
    broker.stop();
}

#[test]
fn sighup_reads_the_tables_of_plugins_again() {
    let config = |field: &str| format!("[plugin.stamp.config]\nfield = \"{field}\"\n");
    let folder = Folder::new(&config("one"));
    folder.install_plugin("stamp", &plugin("stamp"));
    let broker = folder.start();
    let mut client = Client::connect(&broker, Version::V5, "c");
    client.subscribe("t", QoS::AtMostOnce);
    client.publish("t", "{}", QoS::AtMostOnce);
    assert!(client.message().payload.starts_with("{\"one\":"));
    folder.write_config("[plugin.stamp.confg]\n");
    broker.hang_up();
    broker.wait_for_log("the config stays as it was", PATIENCE);
    folder.write_config(&config("two"));
    broker.hang_up();
    broker.wait_for_log("plugin stamp: generation 2", PATIENCE);
    client.publish("t", "{}", QoS::AtMostOnce);
    assert!(client.message().payload.starts_with("{\"two\":"));
}
