//! Which topics a generation is asked about, and which fields it gets: what `init` said, and what the operator says instead.

use crate::{
    config::{OnFault, PluginConfig, ScopedHook},
    exports::publish::Wants,
    refusal::Refusal,
    report::ScopeReport,
    wire,
};
use std::collections::BTreeMap;
use tidegate_hooks::HookKinds;
use tidegate_mqtt::TopicFilter;

/// Topics and fields of one generation.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// A hook that is not here is asked about every topic.
    filters: BTreeMap<ScopedHook, Vec<TopicFilter>>,
    pub(super) wants: Wants,
}

/// Whether the configuration fits the hooks.
pub(super) fn check_config(config: &PluginConfig, kinds: HookKinds) -> Result<(), Refusal> {
    if let Some(hook) = config.scopes.keys().find(|hook| !exports(kinds, **hook)) {
        return Err(Refusal::ConfiguredScopeWithoutHook(*hook));
    }
    if config.on_fault == OnFault::Next && !kinds.publish {
        return Err(Refusal::OnFaultNext);
    }
    Ok(())
}

fn exports(kinds: HookKinds, hook: ScopedHook) -> bool {
    match hook {
        ScopedHook::Acl => kinds.acl,
        ScopedHook::Publish => kinds.publish,
    }
}

impl Scopes {
    /// Several scopes of one hook add up.
    pub(super) fn new(
        said: &[wire::Scope],
        kinds: HookKinds,
        config: &PluginConfig,
    ) -> Result<Self, Refusal> {
        let mut wants = Wants::default();
        // None: every topic.
        let mut filters: BTreeMap<ScopedHook, Option<Vec<TopicFilter>>> = BTreeMap::new();
        for scope in said {
            let hook = ScopedHook::from_name(&scope.hook);
            let hook = hook.ok_or_else(|| Refusal::UnknownScope(scope.hook.as_str().into()))?;
            if !exports(kinds, hook) {
                return Err(Refusal::ScopeWithoutHook(hook));
            }
            if let Some(unknown) = scope.wants.iter().find(|name| !wants.add(name)) {
                return Err(Refusal::UnknownField(unknown.as_str().into()));
            }
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
        let mut filters: BTreeMap<_, _> =
            filters.into_iter().filter_map(|(hook, filters)| Some((hook, filters?))).collect();
        for (hook, instead) in &config.scopes {
            // As in `init`: no filter means every topic.
            filters.remove(hook);
            if !instead.is_empty() {
                filters.insert(*hook, instead.clone());
            }
        }
        Ok(Self { filters, wants })
    }

    /// For the chain; None for every topic.
    pub(super) fn filters(&self, hook: ScopedHook) -> Option<Vec<TopicFilter>> {
        self.filters.get(&hook).cloned()
    }

    pub(super) fn reports(&self, kinds: HookKinds) -> Vec<ScopeReport> {
        let hooks = [ScopedHook::Acl, ScopedHook::Publish].into_iter().filter(|hook| exports(kinds, *hook));
        let report = |hook: ScopedHook| ScopeReport {
            hook: hook.name(),
            filters: self.filters.get(&hook).map(|filters| filters.iter().map(ToString::to_string).collect()),
            wants: if hook == ScopedHook::Publish { self.wants.names() } else { Vec::new() },
        };
        hooks.map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: HookKinds = HookKinds {
        authenticate: false,
        proceed: false,
        acl: true,
        publish: true,
        publish_batch: false,
        subscribe: false,
        subscribers: false,
        deliver: false,
        events: tidegate_hooks::EventKinds::NONE,
        packets: false,
    };

    fn scope(hook: &str, filters: &[&str], wants: &[&str]) -> wire::Scope {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        wire::Scope { hook: hook.into(), filters: owned(filters), wants: owned(wants) }
    }

    fn filters(scopes: &Scopes, hook: ScopedHook) -> Option<Vec<String>> {
        scopes.filters(hook).map(|filters| filters.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn scopes_of_one_hook_add_up_and_the_operator_replaces_them() {
        let said = [scope("publish", &["a/#"], &["payload"]), scope("publish", &["b"], &["username"])];
        let scopes = Scopes::new(&said, BOTH, &PluginConfig::default()).unwrap();
        assert_eq!(filters(&scopes, ScopedHook::Publish), Some(vec!["a/#".into(), "b".into()]));
        assert_eq!(filters(&scopes, ScopedHook::Acl), None);
        assert_eq!(scopes.wants, Wants { payload: true, username: true, ..Wants::default() });

        let config: PluginConfig = toml::from_str("scopes.publish = ['c']").unwrap();
        let scopes = Scopes::new(&said, BOTH, &config).unwrap();
        assert_eq!(filters(&scopes, ScopedHook::Publish), Some(vec!["c".into()]));
        assert!(scopes.wants.payload, "fields stay");

        let all = [scope("publish", &["a"], &[]), scope("publish", &[], &[])];
        let scopes = Scopes::new(&all, BOTH, &PluginConfig::default()).unwrap();
        assert_eq!(filters(&scopes, ScopedHook::Publish), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let error = |said: wire::Scope| {
            let kinds = HookKinds { publish: true, ..HookKinds::default() };
            Scopes::new(&[said], kinds, &PluginConfig::default()).unwrap_err().to_string()
        };
        assert!(error(scope("auth", &[], &[])).contains("neither \"acl\" nor \"publish\""));
        assert!(error(scope("acl", &[], &[])).contains("a hook it does not export"));
        assert!(error(scope("publish", &["a#"], &[])).contains("\"a#\""));
        assert!(error(scope("publish", &[], &["topic"])).contains("init wants \"topic\""));
    }

    #[test]
    fn a_configuration_must_fit_the_hooks() {
        let kinds = HookKinds { acl: true, ..HookKinds::default() };
        let check = |text: &str| check_config(&toml::from_str(text).unwrap(), kinds);
        assert!(check("on_fault = 'next'").unwrap_err().to_string().contains("on_fault"));
        assert!(check("scopes.publish = []").unwrap_err().to_string().contains("scopes.publish"));
        assert!(check("scopes.acl = ['a']").is_ok());
    }
}
