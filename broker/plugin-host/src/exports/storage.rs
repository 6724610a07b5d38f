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
}
