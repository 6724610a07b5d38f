//! Values by topic filter: in a hash table those without wildcards, in a trie the others.
//!
//! The trie has a node for every level and finds all filters of a topic in one walk down. Its nodes lie in one vector and name each
//! other by index, so that neither matching nor dropping recurses: a filter may have 32,768 levels, more than a stack can bear.

use ahash::RandomState;
use smallvec::SmallVec;
use std::{collections::HashMap, num::NonZeroUsize};
use tidegate_mqtt::TopicFilter;

/// Values by filter.
#[derive(Debug)]
pub(crate) struct Filters<V> {
    exact: HashMap<TopicFilter, V, RandomState>,
    wildcard: Trie<V>,
}

impl<V> Filters<V> {
    pub(crate) fn new() -> Self {
        Self { exact: HashMap::default(), wildcard: Trie::new() }
    }

    /// The value of `filter`, made by `new` if there is none.
    pub(crate) fn value_or_insert(&mut self, filter: &TopicFilter, new: impl FnOnce() -> V) -> &mut V {
        if filter.is_exact() {
            self.exact.entry(filter.clone()).or_insert_with(new)
        } else {
            self.wildcard.value_or_insert(filter, new)
        }
    }

    /// The value of `filter`, if there is one.
    pub(crate) fn value(&self, filter: &TopicFilter) -> Option<&V> {
        if filter.is_exact() { self.exact.get(filter) } else { self.wildcard.value(filter) }
    }

    /// As [`Filters::value`], to be changed.
    pub(crate) fn value_mut(&mut self, filter: &TopicFilter) -> Option<&mut V> {
        if filter.is_exact() { self.exact.get_mut(filter) } else { self.wildcard.value_mut(filter) }
    }

    /// Takes `filter` and its value out.
    pub(crate) fn remove(&mut self, filter: &TopicFilter) -> Option<V> {
        if !filter.is_exact() {
            return self.wildcard.remove(filter);
        }
        let removed = self.exact.remove(filter);
        if self.exact.len() < self.exact.capacity() / 8 {
            self.exact.shrink_to(self.exact.len() * 2);
        }
        removed
    }

    /// Calls `found` with every filter that matches `topic`, the one without wildcards first.
    pub(crate) fn matching<'a>(&'a self, topic: &str, mut found: impl FnMut(&'a TopicFilter, &'a V)) {
        if let Some((filter, value)) = self.exact.get_key_value(topic) {
            found(filter, value);
        }
        self.wildcard.matching(topic, found);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }
}

/// Values by filter, a node for every level.
#[derive(Debug)]
struct Trie<V> {
    /// The first one is the root and always there.
    nodes: Vec<Node<V>>,
    free: Vec<NodeIndex>,
}

/// Never the root, which no node leads to.
type NodeIndex = NonZeroUsize;
const ROOT: usize = 0;

/// What may come after some levels. The fields are small because most nodes use one or two of them.
#[derive(Debug)]
struct Node<V> {
    #[expect(clippy::box_collection, reason = "a HashMap is 64 bytes, and most nodes have none")]
    literal: Option<Box<HashMap<Box<str>, NodeIndex, RandomState>>>,
    plus: Option<NodeIndex>,
    /// Of the filter that ends here.
    here: Option<Box<(TopicFilter, V)>>,
    /// Of the filter that ends here with a `#`.
    and_below: Option<Box<(TopicFilter, V)>>,
}

impl<V> Trie<V> {
    fn new() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }

    /// The value of `filter`, made by `new` if there is none.
    fn value_or_insert(&mut self, filter: &TopicFilter, new: impl FnOnce() -> V) -> &mut V {
        let (levels, ends_below) = split(filter);
        let mut at = ROOT;
        for level in levels.into_iter().flat_map(|levels| levels.split('/')) {
            at = match self.nodes[at].next(level) {
                Some(next) => next.get(),
                None => self.grow(at, level),
            };
        }
        &mut self.nodes[at].value_mut(ends_below).get_or_insert_with(|| Box::new((filter.clone(), new()))).1
    }

    fn value(&self, filter: &TopicFilter) -> Option<&V> {
        let (levels, ends_below) = split(filter);
        let mut at = ROOT;
        for level in levels.into_iter().flat_map(|levels| levels.split('/')) {
            at = self.nodes[at].next(level)?.get();
        }
        self.nodes[at].value(ends_below).map(|value| &value.1)
    }

    /// The value of `filter`, if there is one.
    fn value_mut(&mut self, filter: &TopicFilter) -> Option<&mut V> {
        let (levels, ends_below) = split(filter);
        let mut at = ROOT;
        for level in levels.into_iter().flat_map(|levels| levels.split('/')) {
            at = self.nodes[at].next(level)?.get();
        }
        self.nodes[at].value_mut(ends_below).as_mut().map(|value| &mut value.1)
    }

    /// Takes `filter` and its value out, and the nodes that only it needed.
    fn remove(&mut self, filter: &TopicFilter) -> Option<V> {
        let (levels, ends_below) = split(filter);
        let mut path: SmallVec<[(usize, &str, NodeIndex); 8]> = SmallVec::new();
        let mut at = ROOT;
        for level in levels.into_iter().flat_map(|levels| levels.split('/')) {
            let next = self.nodes[at].next(level)?;
            path.push((at, level, next));
            at = next.get();
        }
        let removed = self.nodes[at].value_mut(ends_below).take()?;
        for (parent, level, child) in path.into_iter().rev() {
            if !self.nodes[child.get()].is_empty() {
                break;
            }
            self.nodes[parent].cut(level);
            self.free.push(child);
        }
        if self.is_empty() {
            *self = Self::new();
        }
        Some(removed.1)
    }

    /// Calls `found` with every filter that matches `topic`, `$` or not; [MQTT-4.7.2-1] is the caller's.
    fn matching<'a>(&'a self, topic: &str, mut found: impl FnMut(&'a TopicFilter, &'a V)) {
        // A node, and the levels of the topic below it.
        let mut to_visit: SmallVec<[(usize, Option<&str>); 16]> = SmallVec::new();
        to_visit.push((ROOT, Some(topic)));
        while let Some((at, rest)) = to_visit.pop() {
            let node = &self.nodes[at];
            if let Some(value) = &node.and_below {
                found(&value.0, &value.1);
            }
            let Some(rest) = rest else {
                if let Some(value) = &node.here {
                    found(&value.0, &value.1);
                }
                continue;
            };
            let (level, below) = match rest.split_once('/') {
                Some((level, below)) => (level, Some(below)),
                None => (rest, None),
            };
            to_visit.extend(node.plus.map(|next| (next.get(), below)));
            to_visit.extend(node.next_literal(level).map(|next| (next.get(), below)));
        }
    }

    /// Whether it holds no filter at all.
    fn is_empty(&self) -> bool {
        self.nodes.len() - self.free.len() == 1 && self.nodes[ROOT].is_empty()
    }

    /// Puts a node for `level` below `parent`.
    fn grow(&mut self, parent: usize, level: &str) -> usize {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            // There is always a root, so this index is never 0.
            NodeIndex::MIN.saturating_add(self.nodes.len() - 2)
        });
        let parent = &mut self.nodes[parent];
        if level == "+" {
            parent.plus = Some(child);
        } else {
            parent.literal.get_or_insert_default().insert(level.into(), child);
        }
        child.get()
    }
}

/// The levels that lead to the node of `filter` (none: the root), and whether the filter goes on with `#`.
fn split(filter: &TopicFilter) -> (Option<&str>, bool) {
    if filter.as_str() == "#" {
        return (None, true);
    }
    match filter.strip_suffix("/#") {
        Some(levels) => (Some(levels), true),
        None => (Some(filter.as_str()), false),
    }
}

impl<V> Node<V> {
    /// `level` as it stands in a filter, so it may be `+`.
    fn next(&self, level: &str) -> Option<NodeIndex> {
        if level == "+" { self.plus } else { self.next_literal(level) }
    }

    fn next_literal(&self, level: &str) -> Option<NodeIndex> {
        self.literal.as_ref()?.get(level).copied()
    }

    fn value(&self, ends_below: bool) -> Option<&(TopicFilter, V)> {
        if ends_below { self.and_below.as_deref() } else { self.here.as_deref() }
    }

    fn value_mut(&mut self, ends_below: bool) -> &mut Option<Box<(TopicFilter, V)>> {
        if ends_below { &mut self.and_below } else { &mut self.here }
    }

    fn cut(&mut self, level: &str) {
        if level == "+" {
            self.plus = None;
        } else if let Some(literal) = &mut self.literal {
            literal.remove(level);
            if literal.is_empty() {
                self.literal = None;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.literal.is_none() && self.plus.is_none() && self.here.is_none() && self.and_below.is_none()
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { literal: None, plus: None, here: None, and_below: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::new(text).unwrap()
    }

    fn trie(filters: &[&str]) -> Trie<()> {
        let mut trie = Trie::new();
        for text in filters {
            trie.value_or_insert(&filter(text), || ());
        }
        trie
    }

    fn matching(trie: &Trie<()>, topic: &str) -> Vec<String> {
        let mut found = Vec::new();
        trie.matching(topic, |filter, ()| found.push(filter.to_string()));
        found.sort();
        found
    }

    #[test]
    fn v5_4_7_1_1_multi_level_wildcard_matches_its_parent_and_all_below() {
        let trie = trie(&["sport/tennis/player1/#", "sport/#", "#"]);
        let all = ["#", "sport/#", "sport/tennis/player1/#"];
        assert_eq!(matching(&trie, "sport/tennis/player1"), all);
        assert_eq!(matching(&trie, "sport/tennis/player1/score/wimbledon"), all);
        assert_eq!(matching(&trie, "sport"), ["#", "sport/#"]);
        assert_eq!(matching(&trie, "/"), ["#"]);
    }

    #[test]
    fn v5_4_7_1_2_single_level_wildcard_matches_one_level_which_may_be_empty() {
        let trie = trie(&["+", "+/+", "/+", "sport/+", "+/tennis/#"]);
        assert_eq!(matching(&trie, "sport"), ["+"]);
        assert_eq!(matching(&trie, "/finance"), ["+/+", "/+"]);
        assert_eq!(matching(&trie, "sport/"), ["+/+", "sport/+"]);
        assert_eq!(matching(&trie, "sport/tennis"), ["+/+", "+/tennis/#", "sport/+"]);
        assert_eq!(matching(&trie, "sport/tennis/player1"), ["+/tennis/#"]);
    }

    #[test]
    fn v5_4_7_3_4_levels_are_compared_byte_by_byte() {
        let trie = trie(&["Accounts/#", "accounts/#", "e\u{301}/#"]);
        assert_eq!(matching(&trie, "accounts"), ["accounts/#"]);
        assert_eq!(matching(&trie, "\u{e9}"), [""; 0]);
    }

    #[test]
    fn removing_a_filter_leaves_the_others_and_no_node_without_use() {
        let filters = ["a/b/c/+", "a/b/#", "a/+/c", "#", "a", "a/b/c"];
        let mut trie = trie(&filters);
        assert_eq!(trie.remove(&filter("a/b/c/#")), None);
        assert_eq!(trie.remove(&filter("a/x")), None);
        for (index, text) in filters.iter().enumerate() {
            assert_eq!(trie.remove(&filter(text)), Some(()));
            assert_eq!(trie.remove(&filter(text)), None);
            for kept in &filters[index + 1..] {
                assert!(trie.value_mut(&filter(kept)).is_some(), "{kept} after {text}");
            }
        }
        assert!(trie.is_empty());
        assert_eq!((trie.nodes.len(), trie.free.len()), (1, 0));
    }

    #[test]
    fn nodes_are_used_again() {
        let mut trie = trie(&["kept/#", "a/b/+"]);
        let nodes = trie.nodes.len();
        trie.remove(&filter("a/b/+"));
        for round in 0..100 {
            let other = filter(&format!("a/{round}/+"));
            trie.value_or_insert(&other, || ());
            assert!(trie.remove(&other).is_some());
        }
        assert_eq!(trie.nodes.len(), nodes);
        assert_eq!(trie.free.len(), 3);
    }

    #[test]
    fn the_deepest_filter_overflows_no_stack() {
        let deep = filter(&"+/".repeat(32_767));
        let mut trie = Trie::new();
        trie.value_or_insert(&deep, || ());
        let mut found = 0;
        trie.matching(&"/".repeat(32_767), |_, ()| found += 1);
        assert_eq!(found, 1);
        let second = filter(&format!("{}#", "+/".repeat(32_767)));
        trie.value_or_insert(&second, || ());
        assert!(trie.remove(&deep).is_some());
        drop(trie);
    }
}
