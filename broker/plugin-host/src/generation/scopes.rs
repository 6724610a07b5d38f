//! Which topics a generation is asked about, and which fields it gets: what `init` said, and what the operator says instead.

use crate::{
    config::{OnDeliverFault, OnFault, PluginConfig, ScopedHook},
    exports::message::Wants,
    refusal::Refusal,
    report::ScopeReport,
    tally::Hook,
    wire,
};
use std::collections::BTreeMap;
use tidegate_hooks::{EventKind, EventKinds};
use tidegate_mqtt::TopicFilter;

/// Topics and fields of one generation.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// A hook that is not here is asked about every topic.
    filters: BTreeMap<ScopedHook, Vec<TopicFilter>>,
    pub(super) publish: Wants,
    pub(super) subscribers: Wants,
    pub(super) deliver: Wants,
    /// None for a plugin without that hook.
    pub(super) events: EventKinds,
}

/// Whether the configuration fits the hooks.
pub(super) fn check_config(config: &PluginConfig, hooks: &[Hook]) -> Result<(), Refusal> {
    if let Some(hook) = config.scopes.keys().find(|hook| !exports(hooks, **hook)) {
        return Err(Refusal::ConfiguredScopeWithoutHook(*hook));
    }
    if config.on_fault == OnFault::Next && !exports(hooks, ScopedHook::Publish) {
        return Err(Refusal::OnFaultNext);
    }
    if config.on_deliver_fault == OnDeliverFault::Drop && !exports(hooks, ScopedHook::Deliver) {
        return Err(Refusal::OnDeliverFault);
    }
    Ok(())
}

fn exports(hooks: &[Hook], scoped: ScopedHook) -> bool {
    hooks.iter().any(|hook| match scoped {
        ScopedHook::Acl => *hook == Hook::Acl,
        ScopedHook::Publish => matches!(hook, Hook::Publish | Hook::PublishBatch),
        ScopedHook::Subscribe => *hook == Hook::Subscribe,
        ScopedHook::Subscribers => *hook == Hook::Subscribers,
        ScopedHook::Deliver => *hook == Hook::Deliver,
        ScopedHook::Events => *hook == Hook::Events,
    })
}

impl Scopes {
    /// Several scopes of one hook add up.
    pub(super) fn new(said: &[wire::Scope], hooks: &[Hook], config: &PluginConfig) -> Result<Self, Refusal> {
        let mut scopes = Self::default();
        // None: every topic.
        let mut filters: BTreeMap<ScopedHook, Option<Vec<TopicFilter>>> = BTreeMap::new();
        for scope in said {
            let hook = ScopedHook::from_name(&scope.hook);
            let hook = hook.ok_or_else(|| Refusal::UnknownScope(scope.hook.as_str().into()))?;
            if !exports(hooks, hook) {
                return Err(Refusal::ScopeWithoutHook(hook));
            }
            scopes.want(hook, &scope.wants)?;
            let entry = filters.entry(hook).or_insert_with(|| Some(Vec::new()));
            if scope.filters.is_empty() {
                *entry = None;
            }
            for text in &scope.filters {
                let filter =
                    TopicFilter::new(text).map_err(|why| Refusal::ScopeFilter(text.as_str().into(), why))?;
                if let Some(filters) = entry {
                    filters.push(filter);
                }
            }
        }
        if exports(hooks, ScopedHook::Events) && scopes.events.is_empty() {
            scopes.events = EventKinds::usual();
        }
        scopes.filters = filters.into_iter().filter_map(|(hook, filters)| Some((hook, filters?))).collect();
        for (hook, instead) in &config.scopes {
            // As in `init`: no filter means every topic.
            scopes.filters.remove(hook);
            if !instead.is_empty() {
                scopes.filters.insert(*hook, instead.clone());
            }
        }
        if exports(hooks, ScopedHook::Deliver) && !scopes.filters.contains_key(&ScopedHook::Deliver) {
            return Err(Refusal::DeliverEverywhere);
        }
        Ok(scopes)
    }

    fn want(&mut self, hook: ScopedHook, names: &[String]) -> Result<(), Refusal> {
        let fields = match hook {
            ScopedHook::Publish => &mut self.publish,
            ScopedHook::Subscribers => &mut self.subscribers,
            ScopedHook::Deliver => &mut self.deliver,
            ScopedHook::Events => return self.want_events(names),
            ScopedHook::Acl | ScopedHook::Subscribe => {
                let Some(name) = names.first() else { return Ok(()) };
                return Err(Refusal::FieldWithoutMessage(name.as_str().into(), hook));
            }
        };
        let has = |name: &str| name != "filter" || hook == ScopedHook::Subscribers;
        match names.iter().find(|name| !has(name) || !fields.add(name)) {
            Some(unknown) => Err(Refusal::UnknownField(unknown.as_str().into(), hook)),
            None => Ok(()),
        }
    }

    fn want_events(&mut self, names: &[String]) -> Result<(), Refusal> {
        let kind = |name: &String| {
            EventKind::from_name(name).ok_or_else(|| Refusal::UnknownEventKind(name.as_str().into()))
        };
        let wanted = names.iter().map(kind).collect::<Result<EventKinds, _>>()?;
        let wanted = if wanted.is_empty() { EventKinds::usual() } else { wanted };
        self.events = self.events.union(wanted);
        Ok(())
    }

    /// For the chain.
    pub(super) fn of_chain(&self) -> tidegate_hooks::Scopes {
        let filters = |hook| self.filters.get(&hook).cloned();
        tidegate_hooks::Scopes {
            acl: filters(ScopedHook::Acl),
            publish: filters(ScopedHook::Publish),
            subscribe: filters(ScopedHook::Subscribe),
            subscribers: filters(ScopedHook::Subscribers),
            deliver: filters(ScopedHook::Deliver),
            events: filters(ScopedHook::Events),
        }
    }

    pub(super) fn reports(&self, hooks: &[Hook]) -> Vec<ScopeReport> {
        let report = |hook: ScopedHook| ScopeReport {
            hook: hook.name(),
            filters: self.filters.get(&hook).map(|filters| filters.iter().map(ToString::to_string).collect()),
            wants: match hook {
                ScopedHook::Acl | ScopedHook::Subscribe => Vec::new(),
                ScopedHook::Publish => self.publish.names(),
                ScopedHook::Subscribers => self.subscribers.names(),
                ScopedHook::Deliver => self.deliver.names(),
                ScopedHook::Events => {
                    let kinds = EventKind::ALL.iter().filter(|kind| self.events.has(**kind));
                    kinds.map(|kind| kind.name()).collect()
                }
            },
        };
        ScopedHook::ALL.into_iter().filter(|hook| exports(hooks, *hook)).map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(hook: &str, filters: &[&str], wants: &[&str]) -> wire::Scope {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        wire::Scope { hook: hook.into(), filters: owned(filters), wants: owned(wants) }
    }

    fn filters(scope: &tidegate_hooks::Scope) -> Option<Vec<String>> {
        scope.as_ref().map(|filters| filters.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn scopes_of_one_hook_add_up_and_the_operator_replaces_them() {
        let both = [Hook::Acl, Hook::PublishBatch];
        let said = [scope("publish", &["a/#"], &["payload"]), scope("publish", &["b"], &["username"])];
        let scopes = Scopes::new(&said, &both, &PluginConfig::default()).unwrap();
        assert_eq!(filters(&scopes.of_chain().publish), Some(vec!["a/#".into(), "b".into()]));
        assert_eq!(filters(&scopes.of_chain().acl), None);
        assert_eq!(scopes.publish, Wants { payload: true, username: true, ..Wants::default() });

        let config: PluginConfig = toml::from_str("scopes.publish = ['c']").unwrap();
        let scopes = Scopes::new(&said, &both, &config).unwrap();
        assert_eq!(filters(&scopes.of_chain().publish), Some(vec!["c".into()]));
        assert!(scopes.publish.payload, "fields stay");

        let all = [scope("publish", &["a"], &[]), scope("publish", &[], &[])];
        let scopes = Scopes::new(&all, &both, &PluginConfig::default()).unwrap();
        assert_eq!(filters(&scopes.of_chain().publish), None);
    }

    #[test]
    fn each_hook_has_fields_of_its_own() {
        let hooks = [Hook::Publish, Hook::Subscribers, Hook::Deliver];
        let said = [scope("publish", &[], &["payload"]), scope("deliver", &["a"], &["properties"])];
        let scopes = Scopes::new(&said, &hooks, &PluginConfig::default()).unwrap();
        assert_eq!(scopes.publish.names(), ["payload"]);
        assert_eq!(scopes.subscribers, Wants::default());
        assert_eq!(scopes.deliver.names(), ["properties"]);
        let reports = scopes.reports(&hooks);
        let rows: Vec<_> = reports.iter().map(|report| (report.hook, report.wants.join(" "))).collect();
        let rows: Vec<_> = rows.iter().map(|(hook, wants)| (*hook, wants.as_str())).collect();
        assert_eq!(rows, [("publish", "payload"), ("subscribers", ""), ("deliver", "properties")]);
    }

    #[test]
    fn events_are_those_wanted_or_the_usual_ones() {
        let events = |said: &[wire::Scope]| {
            Scopes::new(said, &[Hook::Events], &PluginConfig::default()).map(|scopes| scopes.events)
        };
        assert_eq!(events(&[]).unwrap(), EventKinds::usual());
        assert_eq!(events(&[scope("events", &["a/#"], &[])]).unwrap(), EventKinds::usual());
        let some = events(&[scope("events", &[], &["published", "connected"])]).unwrap();
        assert_eq!(some, [EventKind::Published, EventKind::Connected].into_iter().collect());
        let unknown = events(&[scope("events", &[], &["publishd"])]).unwrap_err().to_string();
        assert!(unknown.contains("\"publishd\"; known are started,"), "{unknown}");
        let without = Scopes::new(&[], &[Hook::Acl], &PluginConfig::default()).unwrap();
        assert!(without.events.is_empty());
    }

    #[test]
    fn a_deliver_hook_names_its_topics() {
        let load = |said: &[wire::Scope], config: &str| {
            let config = toml::from_str(config).unwrap();
            Scopes::new(said, &[Hook::Deliver], &config).map_err(|refusal| refusal.to_string())
        };
        let named = [scope("deliver", &["a/#"], &[])];
        assert!(load(&named, "").is_ok());
        assert!(load(&[], "scopes.deliver = ['a']").is_ok());
        for (said, config) in
            [(&[][..], ""), (&named[..], "scopes.deliver = []"), (&[scope("deliver", &[], &[])][..], "")]
        {
            assert!(load(said, config).unwrap_err().contains("must name topics"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let error = |said: wire::Scope| {
            let hooks = [Hook::Publish, Hook::Subscribe];
            Scopes::new(&[said], &hooks, &PluginConfig::default()).unwrap_err().to_string()
        };
        assert!(error(scope("auth", &[], &[])).contains("no hook with a scope; known are acl, publish"));
        assert!(error(scope("acl", &[], &[])).contains("a hook it does not export"));
        assert!(error(scope("publish", &["a#"], &[])).contains("\"a#\""));
        assert!(error(scope("publish", &[], &["topic"])).contains("init wants \"topic\" of publish"));
        assert!(error(scope("subscribe", &[], &["payload"])).contains("asked about no message"));
    }

    #[test]
    fn a_configuration_must_fit_the_hooks() {
        let check = |text: &str| check_config(&toml::from_str(text).unwrap(), &[Hook::Acl]);
        assert!(check("on_fault = 'next'").unwrap_err().to_string().contains("on_fault"));
        assert!(check("on_deliver_fault = 'drop'").unwrap_err().to_string().contains("on_deliver_fault"));
        assert!(check("scopes.publish = []").unwrap_err().to_string().contains("scopes.publish"));
        assert!(check("scopes.acl = ['a']").is_ok());
    }
}
