//! Names that lead nowhere: tiers and classes that no document describes. Whoever has such a name is refused or denied, so
//! a person should hear of it before a tool does.

use std::collections::BTreeSet;

use super::layers::{Configs, Policies, Ranked};
use super::{AgentSettings, QuotaSettings, Snapshot};
use crate::documents::{Problem, ProblemSeverity, SallyportPolicy};
use crate::yaml::{Mark, nearest};

pub(super) fn unknown(
    config: &Configs<'_>,
    policies: &Policies<'_>,
    agents: &AgentSettings,
    quotas: &QuotaSettings,
) -> Vec<Problem> {
    let mut found = Found { config, policies, problems: Vec::new() };
    let tiers: Vec<&str> = quotas.tiers.value.keys().map(String::as_str).collect();
    let refused = |tier: &str| {
        (!tiers.contains(&tier))
            .then(|| format!("no tier of quotas is called `{tier}`: calls of models are refused"))
    };
    if let Some(message) = refused(&quotas.tier.value) {
        found.in_config("identity.tier", message, hint(&quotas.tier.value, &tiers));
    }
    for (class, tier) in &quotas.agent_tiers.value {
        if let Some(message) = refused(tier) {
            let says = |policy: &SallyportPolicy| {
                policy
                    .quotas
                    .as_ref()?
                    .agent_tiers
                    .as_ref()?
                    .get(class)
                    .filter(|said| *said == tier)
                    .map(drop)
            };
            found.in_document(&format!("spec.quotas.agentTiers.{class}"), says, message, hint(tier, &tiers));
        }
    }
    // Where no document speaks of agents, nothing is denied.
    let classes: Vec<&str> = agents.permissions.class_names().into_iter().collect();
    if classes.is_empty() {
        return found.problems;
    }
    let nobody = |class: &str| (!classes.contains(&class)).then(|| no_document(class));
    if let Some(class) = &agents.default_class.value
        && let Some(message) = nobody(class)
    {
        found.in_config("agents.default_class", message, hint(class, &classes));
    }
    for (class, tier) in &agents.tiers.value {
        let known: Vec<&str> = agents.permissions.tier_names(class).into_iter().collect();
        let (message, hint) = match nobody(class) {
            Some(message) => (message, hint(class, &classes)),
            None if !known.contains(&tier.as_str()) => (no_tier(class, tier), hint(tier, &known)),
            None => continue,
        };
        let says = |policy: &SallyportPolicy| {
            policy.agents.as_ref()?.tiers.as_ref()?.get(class).filter(|said| *said == tier).map(drop)
        };
        found.in_document(&format!("spec.agents.tiers.{class}"), says, message, hint);
    }
    if let Some(tier) = &agents.default_tier.value {
        for class in classes.iter().filter(|class| !agents.tiers.value.contains_key(**class)) {
            let known: Vec<&str> = agents.permissions.tier_names(class).into_iter().collect();
            if !known.contains(&tier.as_str()) {
                found.in_config("agents.default_tier", no_tier(class, tier), hint(tier, &known));
            }
        }
    }
    found.problems
}

impl Snapshot {
    /// What a person should hear who begins a session of this class: that no document is about it, where some are about
    /// others, or that nothing names it, where others are named.
    pub fn class_remark(&self, class: &str) -> Option<String> {
        let described: Vec<&str> = self.agents.permissions.class_names().into_iter().collect();
        if !described.is_empty() {
            let message = no_document(class);
            return (!described.contains(&class)).then(|| format!("{message}; {}", hint(class, &described)));
        }
        let named: BTreeSet<&str> = (self.agents.tiers.value.keys().map(String::as_str))
            .chain(self.agents.default_class.value.as_deref())
            .chain(self.quotas.agent_tiers.value.keys().map(String::as_str))
            .chain(self.broker.value.iter().flat_map(|key| key.accounts.iter().map(String::as_str)))
            .collect();
        let known: Vec<&str> = named.into_iter().collect();
        (!known.is_empty() && !known.contains(&class))
            .then(|| format!("policy says nothing of the class `{class}`; {}", hint(class, &known)))
    }
}

fn no_document(class: &str) -> String {
    format!("no AgentPermissionPolicy is about the class `{class}`: the calls of its agents are denied")
}

fn no_tier(class: &str, tier: &str) -> String {
    format!("the class `{class}` has no tier `{tier}`: the calls of its agents are denied")
}

fn hint(name: &str, known: &[&str]) -> String {
    let all = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match nearest(name, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`? Known here: {all}"),
        None => format!("known here: {all}"),
    }
}

struct Found<'f> {
    config: &'f Configs<'f>,
    policies: &'f Policies<'f>,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn in_config(&mut self, key: &str, message: String, hint: String) {
        if let Some((file, mark)) = self.config.place(key) {
            let file = file.to_owned();
            self.push(file, mark, message, hint);
        }
    }

    /// In the document of the highest rank that says so.
    fn in_document(
        &mut self,
        path: &str,
        says: impl Fn(&SallyportPolicy) -> Option<()>,
        message: String,
        hint: String,
    ) {
        let saying = self.policies.0.iter().filter(|ranked| says(ranked.policy).is_some());
        let Some(Ranked { document, .. }) = saying.max_by_key(|ranked| ranked.rank) else { return };
        self.push(document.file.clone(), document.locate(path), message, hint);
    }

    fn push(&mut self, file: String, Mark { line, column }: Mark, message: String, hint: String) {
        let severity = ProblemSeverity::Warning;
        self.problems.push(Problem { severity, file, line, column, message, hint: Some(hint) });
    }
}
