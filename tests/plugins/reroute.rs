//! A message that one plugin moves to another topic, and the plugin that looks at what comes there.

use tidegate_mqtt::{QoS, ReasonCode, Version};
use tidegate_tests::{Client, Folder, plugin};

#[test]
fn a_rewritten_topic_is_no_way_past_a_check() {
    for order in ["", "[plugin.topic-rewrite]\norder = 7\n"] {
        let folder = Folder::new(&format!(
            "{order}[[plugin.topic-rewrite.config.rewrite]]\ntopic = \"old/#\"\nto = \"site/$1\"\n\
             [[plugin.json-schema.config.check]]\ntopics = [\"site/#\"]\nschema = {{ type = \"number\" }}\n"
        ));
        for name in ["topic-rewrite", "json-schema"] {
            folder.install_plugin(name, &plugin(name));
        }
        let broker = folder.start();
        let mut listens = Client::connect(&broker, Version::V5, "listens");
        listens.subscribe("site/#", QoS::AtMostOnce);
        let mut client = Client::connect(&broker, Version::V5, "client");
        for topic in ["site/x", "old/x"] {
            assert_eq!(
                client.publish(topic, "text", QoS::AtLeastOnce),
                ReasonCode::PayloadFormatInvalid,
                "{topic}"
            );
        }
        assert_eq!(client.publish("old/x", "21.5", QoS::AtLeastOnce), ReasonCode::Success);
        assert_eq!((listens.accept().payload.as_str(), listens.drain().len()), ("21.5", 0));
    }
}
