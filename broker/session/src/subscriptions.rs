//! The subscriptions of one session.

use crate::{shared_keys::SharedKeys, state::Subscribed};
use std::{collections::HashMap, mem};
use tidegate_mqtt::SubscriptionFilter;

/// What a session subscribed to, by filter. Most have one subscription, which takes no table; some have a hundred thousand.
#[derive(Clone, Debug)]
pub struct Subscriptions(Inner);

#[derive(Clone, Debug)]
enum Inner {
    /// Up to [`FEW`], looked through.
    Few(Vec<(SubscriptionFilter, Subscribed)>),
    Many(HashMap<SubscriptionFilter, Subscribed, SharedKeys>),
}

const FEW: usize = 8;

impl Default for Subscriptions {
    fn default() -> Self {
        Self(Inner::Few(Vec::new()))
    }
}

impl Subscriptions {
    /// What it replaced.
    pub fn insert(&mut self, filter: SubscriptionFilter, subscribed: Subscribed) -> Option<Subscribed> {
        let few = match &mut self.0 {
            Inner::Many(many) => return many.insert(filter, subscribed),
            Inner::Few(few) => few,
        };
        if let Some((_, old)) = few.iter_mut().find(|(one, _)| *one == filter) {
            return Some(mem::replace(old, subscribed));
        }
        if few.len() == FEW {
            let mut many: HashMap<_, _, SharedKeys> = few.drain(..).collect();
            many.insert(filter, subscribed);
            self.0 = Inner::Many(many);
        } else {
            // No room for those that will not come.
            few.reserve_exact(1);
            few.push((filter, subscribed));
        }
        None
    }

    /// What was taken out.
    pub fn remove(&mut self, filter: &SubscriptionFilter) -> Option<Subscribed> {
        match &mut self.0 {
            Inner::Few(few) => {
                let found = few.iter().position(|(one, _)| one == filter)?;
                Some(few.swap_remove(found).1)
            }
            Inner::Many(many) => {
                let removed = many.remove(filter);
                if many.len() <= FEW / 2 {
                    self.0 = Inner::Few(mem::take(many).into_iter().collect());
                }
                removed
            }
        }
    }

    /// Of this filter, if there is one.
    pub fn get(&self, filter: &SubscriptionFilter) -> Option<&Subscribed> {
        match &self.0 {
            Inner::Few(few) => few.iter().find(|(one, _)| one == filter).map(|(_, subscribed)| subscribed),
            Inner::Many(many) => many.get(filter),
        }
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&SubscriptionFilter, &Subscribed)> {
        let (few, many) = match &self.0 {
            Inner::Few(few) => (few.as_slice(), None),
            Inner::Many(many) => (&[][..], Some(many)),
        };
        few.iter().map(|(filter, subscribed)| (filter, subscribed)).chain(many.into_iter().flatten())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Inner::Few(few) => few.len(),
            Inner::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn few_and_many_are_found_replaced_and_removed() {
        let filter = |n: u32| SubscriptionFilter::new(&format!("devices/{n}")).unwrap();
        let with = |n: u32| Subscribed { identifier: NonZeroU32::new(n), ..Subscribed::default() };
        let mut subscriptions = Subscriptions::default();
        for n in 1..=20 {
            assert_eq!(subscriptions.insert(filter(n), with(n)), None);
            assert_eq!(subscriptions.insert(filter(n), with(n + 100)), Some(with(n)));
            assert_eq!(subscriptions.len(), n as usize);
            assert!((1..=n).all(|m| subscriptions.get(&filter(m)) == Some(&with(m + 100))));
        }
        assert!(matches!(subscriptions.0, Inner::Many(_)));
        for n in 1..=20 {
            assert_eq!(subscriptions.remove(&filter(n)), Some(with(n + 100)));
            assert_eq!(subscriptions.remove(&filter(n)), None);
            let mut left: Vec<_> = subscriptions.iter().filter_map(|(_, one)| one.identifier).collect();
            left.sort_unstable();
            assert!(left.into_iter().map(NonZeroU32::get).eq(n + 101..=120));
        }
        assert!(subscriptions.is_empty());
        assert!(matches!(subscriptions.0, Inner::Few(_)));
    }
}
