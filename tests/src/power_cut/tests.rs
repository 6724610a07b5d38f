use super::*;
use std::process::Command;

const ROOT: u64 = 2;

fn file(inode: u64) -> Entry {
    Entry { inode, is_folder: false }
}

fn entries(names: &[(&str, u64)]) -> Entries {
    names.iter().map(|(name, inode)| ((*name).into(), file(*inode))).collect()
}

fn disk(names: &[(&str, u64)], files: &[(u64, &[u8])]) -> Disk {
    Disk {
        root: ROOT,
        files: files.iter().map(|(inode, bytes)| (*inode, bytes.to_vec())).collect(),
        folders: HashMap::from([(ROOT, entries(names))]),
    }
}

fn write(inode: u64, offset: u64, bytes: &[u8]) -> Note {
    Note::Write { inode, offset, bytes: bytes.to_vec() }
}

fn synced_file(inode: u64, name: &str, number: u64) -> [Note; 2] {
    let names = vec![(name.into(), file(inode))];
    [Note::SyncBegins { inode, is_folder: false, number, names }, Note::SyncEnds { number }]
}

fn synced_root(names: &[(&str, u64)], number: u64) -> [Note; 2] {
    let names = entries(names).into_iter().collect();
    [Note::SyncBegins { inode: ROOT, is_folder: true, number, names }, Note::SyncEnds { number }]
}

fn chance(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |end| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    }
}

/// All that may be left, by name.
fn outcomes(
    before: &Disk,
    notes: &[Note],
    last: &[(&str, u64)],
    names: Names,
) -> BTreeSet<BTreeMap<String, Vec<u8>>> {
    let last = disk(last, &[]);
    let left = (0..2_000).map(|seed| {
        let after = after(before, notes, &last, names, &mut chance(seed));
        let entries = &after.folders[&ROOT];
        let named = entries
            .iter()
            .map(|(name, entry)| (name.to_str().unwrap().to_owned(), after.files[&entry.inode].clone()));
        named.collect()
    });
    left.collect()
}

fn left(files: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

#[test]
fn what_was_synced_is_there_and_what_was_not_may_be() {
    let before = disk(&[("a", 5)], &[(5, b"old")]);
    let [begins, ends] = synced_file(5, "a", 1);
    let notes = [write(5, 0, b"new"), begins, write(5, 3, b"er"), ends];
    let expected = [left(&[("a", b"new")]), left(&[("a", b"newer")]), left(&[("a", b"new\0\0")])];
    assert_eq!(outcomes(&before, &notes, &[("a", 5)], Names::default()), BTreeSet::from(expected));
}

#[test]
fn a_sync_that_did_not_end_counts_for_nothing() {
    let before = disk(&[("a", 5)], &[(5, b"old")]);
    let [begins, _] = synced_file(5, "a", 1);
    let notes = [write(5, 0, b"new"), begins];
    let expected = [left(&[("a", b"old")]), left(&[("a", b"new")])];
    assert_eq!(outcomes(&before, &notes, &[("a", 5)], Names::default()), BTreeSet::from(expected));
}

#[test]
fn a_write_is_torn_at_sectors() {
    let before = disk(&[("a", 5)], &[(5, &[b'o'; 1024])]);
    let notes = [write(5, 0, &[b'n'; 1024])];
    let outcomes = outcomes(&before, &notes, &[("a", 5)], Names::default());
    let half = |first: u8, second: u8| left(&[("a", &[[first; 512], [second; 512]].concat())]);
    let expected = [half(b'o', b'o'), half(b'n', b'o'), half(b'o', b'n'), half(b'n', b'n')];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn a_name_is_safe_after_a_sync_of_the_file_or_only_of_the_folder() {
    let before = disk(&[], &[]);
    let [begins, ends] = synced_file(5, "a", 1);
    let mut notes = vec![write(5, 0, b"new"), begins, ends];
    let (with, without) = (left(&[("a", b"new")]), left(&[]));
    let last = [("a", 5)];
    let by_file = outcomes(&before, &notes, &last, Names::BySyncOfTheFile);
    assert_eq!(by_file, BTreeSet::from([with.clone()]));
    let by_folder = outcomes(&before, &notes, &last, Names::BySyncOfTheFolderOnly);
    assert_eq!(by_folder, BTreeSet::from([with.clone(), without]));
    notes.extend(synced_root(&[("a", 5)], 2));
    let both = outcomes(&before, &notes, &last, Names::BySyncOfTheFolderOnly);
    assert_eq!(both, BTreeSet::from([with]));
}

#[test]
fn a_rename_over_another_file_may_be_undone_but_leaves_one_of_both() {
    let before = disk(&[("current", 5)], &[(5, b"old")]);
    let [begins, ends] = synced_file(6, "temporary", 1);
    let notes = [write(6, 0, b"new"), begins, ends];
    let outcomes = outcomes(&before, &notes, &[("current", 6)], Names::BySyncOfTheFolderOnly);
    let expected = [left(&[("current", b"old")]), left(&[("current", b"new")])];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn a_deleted_file_may_come_back_until_the_folder_is_synced() {
    let before = disk(&[("a", 5)], &[(5, b"old")]);
    let expected = [left(&[("a", b"old")]), left(&[])];
    assert_eq!(outcomes(&before, &[], &[], Names::default()), BTreeSet::from(expected));
    let notes = synced_root(&[], 1);
    assert_eq!(outcomes(&before, &notes, &[], Names::default()), BTreeSet::from([left(&[])]));
}

/// The broker is not needed: programs that everybody has write, sync and rename.
fn watched(cut: &PowerCut, script: &str) {
    let status = Command::new("sh")
        .args(["-ec", script])
        .envs(cut.environment(Duration::ZERO, false))
        .current_dir(&cut.data)
        .status();
    assert!(status.unwrap().success(), "{script}");
}

#[test]
fn programs_are_watched() {
    let folder = Folder::new("");
    let mut cut = PowerCut::new(&folder, Names::BySyncOfTheFolderOnly);
    let read = |name: &str| fs::read_to_string(folder.data_dir().join(name)).ok();
    let mut seen = HashSet::new();
    for seed in 0..40 {
        let mut below = chance(seed);
        watched(&cut, "rm -rf *; mkdir in; printf old > in/a; sync in/a in .; printf 1 > b");
        cut.strike(&mut below);
        assert_eq!(read("in/a").as_deref(), Some("old"));
        watched(&cut, "printf new > in/t; sync in/t; mv in/t in/a; printf 2 >> b");
        cut.strike(&mut below);
        seen.insert((read("in/a"), read("b")));
        watched(&cut, "printf newer > in/t; sync in/t; mv in/t in/a; sync in");
        cut.strike(&mut below);
        assert_eq!(read("in/a").as_deref(), Some("newer"));
    }
    let a: HashSet<_> = seen.iter().map(|(a, _)| a.as_deref()).collect();
    assert_eq!(a, HashSet::from([Some("old"), Some("new")]));
    let b: HashSet<_> = seen.iter().map(|(_, b)| b.as_deref()).collect();
    assert!(b.contains(&None) && b.contains(&Some("12")), "{b:?}");
}
