use super::*;
use crate::{Durability, Memory, Operation, Store};
use std::sync::Arc;

/// One record in each table.
fn filled() -> Memory {
    let memory = Memory::default();
    let record = |table: Table| {
        let key = Bytes::from(format!("\0{}", table.name()));
        let value = records::seal(table, &key, b"value");
        Operation::Put(table, key, value)
    };
    memory.commit(&Table::ALL.map(record), Durability::None).unwrap();
    memory
}

fn all(backend: &dyn Backend) -> Vec<Vec<Row>> {
    Table::ALL.map(|table| backend.scan(table, b"", None, usize::MAX).unwrap()).to_vec()
}

fn exported(backend: &dyn Backend) -> String {
    let mut text = Vec::new();
    assert_eq!(export(backend, &mut text).unwrap(), 10);
    String::from_utf8(text).unwrap()
}

fn refused(text: &str) -> String {
    let memory = Memory::default();
    let error = import(&memory, &mut text.as_bytes()).unwrap_err().to_string();
    assert!(all(&memory).iter().all(Vec::is_empty), "nothing is left of {text}");
    error
}

#[test]
fn a_copy_is_read_as_it_was_written_and_a_backup_is_the_same() {
    let memory = filled();
    let text = exported(&memory);
    assert_eq!(text.lines().count(), 11);
    assert_eq!(text.lines().last(), Some("{\"records\":10}"));
    let mut backed_up = Vec::new();
    assert_eq!(backup(memory.snapshot().unwrap(), &mut backed_up).unwrap(), 10);
    assert_eq!(text.as_bytes(), backed_up);
    let other = Memory::default();
    assert_eq!(import(&other, &mut text.as_bytes()).unwrap(), 10);
    assert_eq!(all(&other), all(&memory));
    assert!(import(&other, &mut text.as_bytes()).unwrap_err().to_string().contains("not empty"));
    assert_eq!(all(&other), all(&memory));
    let empty = Memory::default();
    assert_eq!(import(&empty, &mut &b"{\"records\":0}\n"[..]).unwrap(), 0);
}

#[test]
fn a_copy_that_was_cut_anywhere_is_refused_and_nothing_of_it_stays() {
    let text = exported(&filled());
    for length in 0..text.len() - 1 {
        let error = refused(&text[..length]);
        let (cut_off, in_a_line) = (error.contains("not as a whole copy"), error.starts_with("line "));
        assert!(cut_off || in_a_line, "{length}: {error}");
    }
    // The end of the last line says nothing.
    assert!(import(&Memory::default(), &mut text.trim_end().as_bytes()).is_ok());
    let (_, one_less) = text.split_once('\n').unwrap();
    assert!(refused(one_less).contains("after 9 records"), "the last line counts");
    let twice = text.replace("{\"records\":10}", "{\"records\":10}\n{\"records\":10}");
    assert_eq!(refused(&twice), "line 12: something follows the end");
}

#[test]
fn an_import_that_did_not_end_keeps_a_broker_from_starting() {
    let memory = filled();
    let value = records::seal(Table::Meta, copy::IMPORTING, b"");
    let mark = Operation::Put(Table::Meta, Bytes::from_static(copy::IMPORTING), value);
    memory.commit(&[mark], Durability::None).unwrap();
    assert!(check(&memory).unwrap().contains(&Finding::HalfImported));
    let refused = Store::open(Arc::new(memory), Durability::None).unwrap_err().to_string();
    assert!(refused.contains("import again"), "{refused}");
}

#[test]
fn lines_are_known_by_their_form() {
    assert_eq!(CopyLine::of(b"{\"records\":7}\n"), Some(CopyLine::End(7)));
    assert_eq!(CopyLine::of(b"{\"table\":\"meta\",\"key\":\"\",\"value\":\"\"}"), Some(CopyLine::Record));
    for other in ["", "{\"records\":7", "{\"records\":-1}", "{\"tidegate\":1}", "{\"tab"] {
        assert_eq!(CopyLine::of(other.as_bytes()), None, "{other}");
    }
}
