use super::*;
use tidegate_plugin::testing::{Granted, Host};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn put(table: u8, key: &str, value: &str) -> Op {
    Op::Put(Entry::new(table, key, value))
}

fn started(host: &Host) -> Crypt {
    let mut store: Crypt = host.start().unwrap();
    store.open(1, None).unwrap();
    store
}

#[test]
fn what_is_kept_comes_back_and_lies_there_encrypted() {
    let mut store = started(&Host::new().secret("key", &format!("{KEY}\n")));
    let ops = vec![put(3, "a", "plain text"), put(3, "b", "plain text"), put(4, "a", "")];
    let before = store.open(1, Some(1)).unwrap().sequence;
    assert_eq!(store.commit(ops, true), Ok(before + 1));
    assert_eq!(store.get(3, b"a".to_vec()).unwrap().unwrap(), b"plain text");
    assert_eq!(store.get(4, b"a".to_vec()).unwrap().unwrap(), b"");
    assert_eq!(store.get(4, b"b".to_vec()), Ok(None));
    let rows = store.scan(3, Vec::new(), None, 1000).unwrap();
    assert_eq!(
        rows.iter().map(|row| (&*row.key, &*row.value)).collect::<Vec<_>>(),
        [(&b"a"[..], &b"plain text"[..]), (&b"b"[..], &b"plain text"[..])]
    );
    let lies = engine::scan(3, b"", None, 1000).unwrap();
    assert!(lies.iter().all(|row| !row.value.windows(5).any(|part| part == b"plain")));
    assert_ne!(lies[0].value, lies[1].value);
    assert_eq!(lies[0].value.len(), "plain text".len() + 45);
    store.commit(vec![Op::Delete { table: 3, key: b"a".to_vec() }], true).unwrap();
    assert_eq!(store.get(3, b"a".to_vec()), Ok(None));
}

#[test]
fn our_own_row_is_not_shown() {
    let mut store = started(&Host::new().secret("key", KEY));
    assert_eq!(store.scan(0, Vec::new(), None, 1), Ok(Vec::new()));
    let last = Op::Put(Entry::new(0, [0xFF; 30], "2"));
    store.commit(vec![put(0, "run", "1"), last], true).unwrap();
    assert_eq!(store.scan(0, Vec::new(), None, 1000).unwrap().len(), 2);
    // One at a time: each page has a row until there is none.
    let mut keys = Vec::new();
    while let Some(row) = store.scan(0, Vec::new(), keys.last().cloned(), 0).unwrap().pop() {
        keys.push(row.key);
    }
    assert_eq!(keys, [b"run".to_vec(), vec![0xFF; 30]]);
}

#[test]
fn a_value_that_was_moved_or_changed_is_not_served() {
    let mut store = started(&Host::new().secret("key", KEY));
    store.commit(vec![put(3, "a", "1")], true).unwrap();
    let sealed = engine::get(3, b"a").unwrap().unwrap();
    let mut flipped = sealed.clone();
    flipped[40] ^= 1;
    for (table, key, value, why) in [
        (3, "b", sealed.clone(), "damaged"),
        (4, "a", sealed, "damaged"),
        (3, "a", flipped, "damaged"),
        (3, "c", b"plain".to_vec(), "not encrypted by this plugin"),
    ] {
        engine::commit(vec![Op::Put(Entry::new(table, key, value))], true).unwrap();
        let error = store.get(table, key.into()).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(key), "{error}");
        assert!(store.scan(table, key.into(), None, 1000).is_err());
    }
}

#[test]
fn a_key_is_changed_by_giving_both() {
    let host = Host::new().secret("key", KEY);
    started(&host).commit(vec![put(3, "old", "1")], true).unwrap();
    // The other key alone reads nothing, and writes nothing.
    let host = host.secret("key", OTHER);
    let error = host.start::<Crypt>().unwrap().open(1, None).unwrap_err().to_string();
    assert!(error.contains("another key"), "{error}");
    let host = host.secret("previous_key", KEY);
    let mut store = started(&host);
    store.commit(vec![put(3, "new", "2")], true).unwrap();
    assert_eq!(store.scan(3, Vec::new(), None, 1000).unwrap().len(), 2);
    assert_eq!(store.get(3, b"old".to_vec()).unwrap().unwrap(), b"1");
}

#[test]
fn records_of_others_are_refused() {
    let host = Host::new().secret("key", KEY);
    engine::open(1, None).unwrap();
    engine::commit(vec![put(0, "run", "1")], true).unwrap();
    let error = host.start::<Crypt>().unwrap().open(1, None).unwrap_err().to_string();
    assert!(error.contains("they are not encrypted"), "{error}");
}

#[test]
fn what_it_needs_is_said() {
    let refused = |host: &Host| host.start::<Crypt>().err().unwrap();
    assert!(refused(&Host::new()).contains("openssl rand -hex 32"));
    for key in ["", "00", &KEY[1..], &format!("{KEY}0"), &KEY.replace('a', "g"), &KEY.replace("00", "+1")] {
        let why = refused(&Host::new().secret("key", key));
        assert!(why.starts_with("secrets.key is not 64") && (key.len() < 3 || !why.contains(key)), "{why}");
    }
    assert!(refused(&Host::new().secret("key", KEY).secret("previous_key", "x")).contains("previous_key"));
    let mut denied: Crypt = Host::new().secret("key", KEY).without(Granted::Engine).start().unwrap();
    assert_eq!(denied.open(1, None), Err(Error::Fatal("not granted".into())));
    let mut store: Crypt = Host::new().secret("key", KEY).start().unwrap();
    assert!(store.open(2, None).is_err());
}
