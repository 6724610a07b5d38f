//! Files and configurations that change under a running host.

use crate::{
    guests, logs,
    place::{Place, generation, until},
};
use std::{fs, time::Duration};
use tidegate_hooks::PublishOutcome;
use tidegate_plugin_host::PluginState;

#[tokio::test]
async fn a_file_comes_is_replaced_goes_and_comes_back() {
    let place = Place::new();
    let host = place.start().await;
    assert!(host.reports().is_empty());

    place.write("comes.wasm", guests::publish("one"));
    let report = generation(&host, "comes", 1).await;
    assert_eq!((report.state, report.hooks), (PluginState::Running, vec!["publish"]));
    assert_eq!(place.edited("e").await, "one");
    let lines = logs::lines("plugin comes: generation 1");
    assert_eq!(lines.len(), 1);
    for field in ["hooks=\"publish\"", "scopes=\"publish: all\"", "compile_ms="] {
        assert!(lines[0].contains(field), "{}", lines[0]);
    }

    // Replaced by a rename.
    place.write("comes.tmp", guests::publish("two"));
    fs::rename(place.path("comes.tmp"), place.path("comes.wasm")).unwrap();
    generation(&host, "comes", 2).await;
    assert_eq!(place.edited("e").await, "two");
    assert_eq!(place.edited("S").await, "left-one", "the state went from one to the next");

    // Overwritten in place.
    place.write("comes.wasm", guests::publish("three"));
    generation(&host, "comes", 3).await;
    assert_eq!(place.edited("e").await, "three");

    fs::remove_file(place.path("comes.wasm")).unwrap();
    until(&host, <[_]>::is_empty).await;
    assert!(matches!(place.publish("e").await, Ok(PublishOutcome::Unchanged)));
    assert_eq!(logs::lines("plugin comes: removed, generation 3 stopped").len(), 1);

    place.write("comes.wasm", guests::publish("three"));
    generation(&host, "comes", 4).await;
    assert_eq!(place.edited("S").await, "left-three");
    host.stop().await;
    assert_eq!(place.edited("e").await, "three", "a stopping broker lets nothing pass unasked");
    assert_eq!(place.fault("l").await, "deadline passed", "nor wait for ever");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_but_a_line_in_the_log() {
    let place = Place::with("kept.wasm", &guests::publish("one"));
    let host = place.start().await;
    let two = guests::publish("two");
    for bad in [&two[..two.len() / 3], b"rubbish that is no component", &guests::publish("bad")] {
        place.write("kept.wasm", bad);
        let reports = until(&host, |reports| reports[0].problem.is_some()).await;
        assert_eq!((reports[0].generation, &reports[0].state), (1, &PluginState::Running));
        assert_eq!(place.edited("e").await, "one");
        // The same as before: nothing to replace.
        place.write("kept.wasm", guests::publish("one"));
        until(&host, |reports| reports[0].problem.is_none()).await;
    }
    let lines = logs::lines("plugin kept: generation 1 stays");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("kept.wasm: ") && lines[0].contains("again"),
        "{}",
        lines[0]
    );
    place.write("kept.wasm", &two);
    generation(&host, "kept", 2).await;
    assert_eq!(logs::lines("plugin kept: generation").iter().filter(|line| line.contains("INFO")).count(), 2);
}

#[tokio::test]
async fn a_file_that_is_still_being_written_is_left_alone() {
    let place = Place::with("grows.wasm", &guests::publish("one"));
    let host = place.start().await;
    let two = guests::publish("two");
    // In parts, each sooner than a file settles.
    let mut file = fs::File::create(place.path("grows.wasm")).unwrap();
    for part in two.chunks(two.len() / 10) {
        std::io::Write::write_all(&mut file, part).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(file);
    generation(&host, "grows", 2).await;
    assert_eq!(place.edited("e").await, "two");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_switched() {
    let place = Place::new();
    let elsewhere = tempfile::tempdir().unwrap();
    for says in ["one", "two"] {
        fs::write(elsewhere.path().join(says), guests::publish(says)).unwrap();
    }
    std::os::unix::fs::symlink(elsewhere.path().join("one"), place.path("link.wasm")).unwrap();
    let host = place.start().await;
    assert_eq!(place.edited("e").await, "one");
    std::os::unix::fs::symlink(elsewhere.path().join("two"), place.path("link.new")).unwrap();
    fs::rename(place.path("link.new"), place.path("link.wasm")).unwrap();
    generation(&host, "link", 2).await;
    assert_eq!(place.edited("e").await, "two");
}

/// As Kubernetes mounts a ConfigMap: every file is a link through `..data`, which is switched as a whole.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_behind_all_links_is_switched() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    for (version, says) in [("..v1", "one"), ("..v2", "two")] {
        fs::create_dir(place.path(version)).unwrap();
        place.write(&format!("{version}/p.wasm"), guests::publish(says));
        place.write(&format!("{version}/p.toml"), format!("config.greeting = '{says}'"));
    }
    symlink("..v1", place.path("..data")).unwrap();
    for file in ["p.wasm", "p.toml"] {
        symlink(format!("..data/{file}"), place.path(file)).unwrap();
    }
    let host = place.start().await;
    assert_eq!((place.edited("e").await, place.edited("C").await), ("one".into(), "one".into()));
    symlink("..v2", place.path("..data_tmp")).unwrap();
    fs::rename(place.path("..data_tmp"), place.path("..data")).unwrap();
    generation(&host, "p", 2).await;
    assert_eq!((place.edited("e").await, place.edited("C").await), ("two".into(), "two".into()));
    assert_eq!(host.reports().len(), 1, "one swap, and nothing else is taken for a plugin");
}

#[tokio::test]
async fn a_folder_that_is_made_anew_is_followed() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    let plugins = place.folder.path().join("plugins");
    fs::rename(&plugins, place.folder.path().join("old")).unwrap();
    fs::create_dir(&plugins).unwrap();
    place.write("p.wasm", guests::publish("two"));
    generation(&host, "p", 2).await;
    // This one is watched now.
    place.write("p.wasm", guests::publish("three"));
    generation(&host, "p", 3).await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_said_and_changes_nothing() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    fs::create_dir(place.path("folder.wasm")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("dangling.wasm")).unwrap();
    let host = place.start().await;
    let reports = host.reports();
    for (name, what) in [("folder", "a folder, not a file"), ("dangling", "a link that leads nowhere")] {
        let report = reports.iter().find(|report| report.name == name).unwrap();
        let PluginState::Refused { reason } = &report.state else { panic!("{report:?}") };
        assert!(reason.contains(&format!("{name}.wasm: {what}")), "{reason}");
        assert_eq!(logs::lines(&format!("plugin {name}: refused")).len(), 1);
    }
    fs::remove_file(place.path("p.wasm")).unwrap();
    fs::create_dir(place.path("p.wasm")).unwrap();
    let has_problem = |reports: &[tidegate_plugin_host::PluginReport]| {
        reports.iter().any(|report| report.name == "p" && report.problem.is_some())
    };
    let reports = until(&host, has_problem).await;
    assert_eq!(reports[2].generation, 1);
    assert_eq!(place.edited("e").await, "one");
    fs::remove_dir(place.path("p.wasm")).unwrap();
    place.write("p.wasm", guests::publish("two"));
    generation(&host, "p", 2).await;
    place.write("p.toml", "order = 1");
    generation(&host, "p", 3).await;
    fs::remove_file(place.path("p.toml")).unwrap();
    fs::create_dir(place.path("p.toml")).unwrap();
    let reports = until(&host, has_problem).await;
    assert!(reports[2].problem.as_ref().unwrap().contains("p.toml: a folder"), "its grants are not known");
}

#[tokio::test]
async fn a_table_beside_the_file_is_followed() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    let host = place.start().await;
    assert_eq!(host.reports()[0].order, 0);
    place.write("p.toml", "order = 5\nconfig.greeting = 'hi'");
    let report = generation(&host, "p", 2).await;
    assert_eq!(report.order, 5);
    assert_eq!(place.edited("C").await, "hi");
    place.write("p.toml", "order = ");
    let reports = until(&host, |reports| reports[0].problem.is_some()).await;
    assert!(reports[0].problem.as_ref().unwrap().contains("p.toml"));
    assert_eq!(reports[0].generation, 2);
    fs::remove_file(place.path("p.toml")).unwrap();
    assert_eq!(generation(&host, "p", 3).await.order, 0);
}

#[tokio::test]
async fn calls_go_on_while_generations_change() {
    let place = Place::with("p.wasm", &guests::publish("g1"));
    let host = place.start().await;
    let calling = async {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "g4") {
            let says = place.edited("e").await;
            if seen.last() != Some(&says) {
                seen.push(says);
            }
            tokio::task::yield_now().await;
        }
        seen
    };
    let changing = async {
        for number in 2..=4 {
            place.write("p.wasm", guests::publish(&format!("g{number}")));
            generation(&host, "p", number).await;
        }
    };
    let (seen, ()) = tokio::join!(calling, changing);
    assert_eq!(seen, ["g1", "g2", "g3", "g4"]);
}

#[tokio::test]
async fn a_new_generation_that_fails_again_and_again_gives_way_to_the_old_one() {
    let place = Place::with("falls.wasm", &guests::publish("one"));
    let host = place.start().await;
    place.write("falls.wasm", guests::publish("two"));
    generation(&host, "falls", 2).await;
    for _ in 0..5 {
        place.fault("t").await;
    }
    let reports = until(&host, |reports| reports[0].generation == 1).await;
    assert!(reports[0].problem.as_ref().unwrap().contains("generation 2 failed"));
    assert_eq!(place.edited("e").await, "one");
    place.write("falls.wasm", guests::publish("three"));
    generation(&host, "falls", 3).await;
}

#[tokio::test]
async fn compiled_code_is_kept_and_a_damaged_file_is_compiled_again() {
    let place = Place::with("p.wasm", &guests::publish("one"));
    place.start().await.stop().await;
    let compiled = || {
        fs::read_dir(place.folder.path().join("data/compiled"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect::<Vec<_>>()
    };
    let files = compiled();
    assert_eq!(files.len(), 1);
    place.start().await.stop().await;
    assert_eq!(compiled(), files);
    let whole = fs::read(&files[0]).unwrap();
    fs::write(&files[0], &whole[..whole.len() / 2]).unwrap();
    let host = place.start().await;
    assert_eq!(place.edited("e").await, "one");
    assert_eq!(fs::read(&files[0]).unwrap().len(), whole.len(), "written anew");
    host.stop().await;
}
