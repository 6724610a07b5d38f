//! `tidegate:plugin/storage`

use super::broken;
use crate::wire;
use tidegate_hooks::FaultKind;

/// Rows of a scan: in the order of their keys, all with the prefix, all behind `after`.
pub(crate) fn rows(
    rows: Vec<wire::Row>,
    prefix: &[u8],
    after: Option<&[u8]>,
) -> Result<Vec<wire::Row>, FaultKind> {
    let mut before = after;
    for (at, row) in rows.iter().enumerate() {
        if !row.key.starts_with(prefix) {
            return Err(broken(&format!("rows[{at}].key"), "it does not begin with the prefix"));
        }
        if before.is_some_and(|before| *before >= *row.key) {
            return Err(broken(&format!("rows[{at}].key"), "it does not come after the one before"));
        }
        before = Some(&row.key);
    }
    Ok(rows)
}

/// The last durable commit of an instance that was just opened. One that was said to be durable is lost if it is an older one.
pub(crate) fn opened(last: u64, durable: u64) -> Result<(), FaultKind> {
    if last < durable {
        return Err(broken("open", format_args!("{last}, but {durable} was said to be durable")));
    }
    Ok(())
}

/// Another instance for a term that goes on.
pub(crate) fn joined(opened: wire::Opened, term: u64, durable: u64) -> Result<(), FaultKind> {
    if opened.term != term {
        return Err(broken("open", format_args!("term {}, asked for was {term}", opened.term)));
    }
    self::opened(opened.sequence, durable)
}

/// The sequence of a commit, which follows one that was said to be durable.
pub(crate) fn committed(sequence: u64, durable: u64) -> Result<u64, FaultKind> {
    if sequence <= durable {
        return Err(broken("commit", format_args!("{sequence} does not come after {durable}")));
    }
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(keys: &[&str], after: Option<&str>) -> Result<usize, String> {
        let made = keys.iter().map(|key| wire::Row { key: key.as_bytes().into(), value: b"value".into() });
        let rows = rows(made.collect(), b"a", after.map(str::as_bytes));
        rows.map(|rows| rows.len()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn rows_come_in_order_and_belong_to_the_scan() {
        assert_eq!(scanned(&["a", "a1", "ab"], None), Ok(3));
        assert_eq!(scanned(&["ab"], Some("a1")), Ok(1));
        assert_eq!(scanned(&[], None), Ok(0));
        assert!(scanned(&["b"], None).unwrap_err().contains("rows[0].key"));
        assert!(scanned(&["a2", "a1"], None).unwrap_err().contains("rows[1].key"));
        assert!(scanned(&["a", "a"], None).unwrap_err().contains("rows[1].key"));
        assert!(scanned(&["a"], Some("a")).unwrap_err().contains("rows[0].key"));
    }

    #[test]
    fn what_was_durable_stays() {
        assert!(opened(7, 7).is_ok() && opened(8, 7).is_ok() && opened(0, 0).is_ok());
        assert!(opened(6, 7).unwrap_err().to_string().contains("open: 6, but 7 was said to be durable"));
        let join = |term| joined(wire::Opened { sequence: 7, term }, 2, 7);
        assert!(
            join(2).is_ok() && join(3).unwrap_err().to_string().contains("open: term 3, asked for was 2")
        );
        assert_eq!((committed(8, 7), committed(1, 0)), (Ok(8), Ok(1)));
        assert!(committed(7, 7).unwrap_err().to_string().contains("commit: 7 does not come after 7"));
    }
}
