//! What documents say of single providers and folders, checked against the registry: agreements, approval, tenants,
//! the reroute, workspaces.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::layers::{Layers, Policies, Rank, Ranked};
use super::{Governance, Origin, Reroute, Setting, ShadowAi, Tool, Workspaces};
use crate::assessment::{self, Day};
use crate::classification::ClassificationRules;
use crate::error::{DocumentError, DocumentErrors};
use crate::providers::{Agreement, Registry, TrafficKind};
use crate::yaml::nearest;
use crate::{Level, documents};

/// What is wrong, gathered so that a person sees all of it at once.
#[derive(Default)]
pub(super) struct Problems(Vec<DocumentError>);

impl Problems {
    pub(super) fn none(self) -> Result<(), DocumentErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(DocumentErrors(self.0)) }
    }

    fn known(&mut self, ranked: &Ranked<'_>, path: &str, name: &str, registry: &Registry) -> bool {
        let known = registry.provider(name).is_some();
        if !known {
            let names = registry.providers().iter().map(|provider| provider.name.as_str());
            let hint = nearest(name, names).map(|name| format!("did you mean `{name}`?"));
            let mut problem = ranked.problem(path, format!("no provider is called `{name}`"));
            problem.hint = hint;
            self.0.push(problem);
        }
        known
    }
}

/// Agreements by name. Of two documents of one rank the lower one counts, since it lets less pass. Where managed
/// policy says which level goes where, what a user claims of a provider does not count.
pub(super) fn settle(
    policies: &Policies<'_>,
    registry: &mut Registry,
    governance: &Setting<Governance>,
    problems: &mut Problems,
) {
    let mut agreed: BTreeMap<&str, (Rank, Agreement, Origin)> = BTreeMap::new();
    for ranked in &policies.0 {
        for (name, agreement) in &ranked.policy.provider_agreements {
            if !problems.known(ranked, &format!("spec.providerAgreements.{name}"), name, registry) {
                continue;
            }
            let word = (ranked.rank, *agreement, ranked.origin());
            let entry = agreed.entry(name).or_insert(word);
            if word.0 > entry.0 || (word.0 == entry.0 && word.1 < entry.1) {
                *entry = word;
            }
        }
    }
    registry.settle(|provider| {
        if let Some((rank, agreement, origin)) = agreed.get(provider.name.as_str())
            && (*rank == Rank::Locked || !provider.locked)
        {
            (provider.agreement, provider.agreement_origin) = (*agreement, *origin);
            provider.origin = provider.origin.max(*origin);
        }
        if governance.locked && provider.agreement_origin == Origin::User {
            provider.agreement = Agreement::None;
        }
    });
}

/// Hosts that are known and not approved are looked into where policy approves or refuses them; else they are
/// tunnelled and counted.
pub(super) fn shadow(
    policies: &Policies<'_>,
    registry: &mut Registry,
    approved: &Setting<Option<BTreeSet<String>>>,
    shadow_ai: &Setting<ShadowAi>,
    problems: &mut Problems,
) {
    for ranked in &policies.0 {
        for name in ranked.policy.approved_providers.iter().flatten() {
            problems.known(ranked, "spec.approvedProviders", name, registry);
        }
    }
    registry.settle(|provider| {
        if provider.shadow && provider.kind == TrafficKind::Model {
            let named = approved.value.as_ref().is_some_and(|names| names.contains(&provider.name));
            provider.tunnel = !named && shadow_ai.value != ShadowAi::Block;
        }
    });
}

/// For each provider the word of the highest rank. Two words of one rank are a contradiction: neither is stricter.
pub(super) fn tenants(
    policies: &Policies<'_>,
    registry: &Registry,
    problems: &mut Problems,
) -> Setting<BTreeMap<String, Vec<String>>> {
    let mut words: BTreeMap<&str, (Rank, &Vec<String>)> = BTreeMap::new();
    for ranked in &policies.0 {
        for (index, row) in ranked.policy.tenants.iter().enumerate() {
            let path = format!("spec.tenants.{index}.provider");
            if !problems.known(ranked, &path, &row.provider, registry) {
                continue;
            }
            if registry.provider(&row.provider).is_some_and(|provider| provider.tenant_header.is_none()) {
                let message = format!(
                    "no header is known by which `{}` limits workspaces; name it in `providers` as `tenant_header`",
                    row.provider
                );
                problems.0.push(ranked.problem(&path, message));
            }
            match words.get(row.provider.as_str()) {
                Some((rank, allow)) if *rank == ranked.rank && **allow != row.allow => {
                    let message = format!("another document allows other workspaces of `{}`", row.provider);
                    problems.0.push(ranked.problem(&path, message));
                }
                Some((rank, _)) if *rank >= ranked.rank => {}
                _ => {
                    words.insert(&row.provider, (ranked.rank, &row.allow));
                }
            }
        }
    }
    let rank = words.values().map(|(rank, _)| *rank).max().unwrap_or(Rank::Default);
    rank.setting(words.into_iter().map(|(name, (_, allow))| (name.to_owned(), allow.clone())).collect())
}

/// Where `onViolation: reroute` leads to.
pub(super) fn reroute(
    policies: &Policies<'_>,
    registry: &Registry,
    home: Option<&Path>,
    problems: &mut Problems,
) -> Setting<Option<Reroute>> {
    let mut chosen: Option<(Rank, &documents::RerouteRow, Reroute)> = None;
    for ranked in &policies.0 {
        let Some(row) = &ranked.policy.reroute_to else { continue };
        if !problems.known(ranked, "spec.rerouteTo.provider", &row.provider, registry) {
            continue;
        }
        let found = match reroute_of(row, registry, home) {
            Ok(found) => found,
            Err((field, message)) => {
                problems.0.push(ranked.problem(&format!("spec.rerouteTo.{field}"), message));
                continue;
            }
        };
        match &chosen {
            Some((rank, other, _)) if *rank == ranked.rank && *other != row => {
                problems.0.push(ranked.problem("spec.rerouteTo", "another document reroutes elsewhere"));
            }
            Some((rank, ..)) if *rank >= ranked.rank => {}
            _ => chosen = Some((ranked.rank, row, found)),
        }
    }
    match chosen {
        Some((rank, _, reroute)) => rank.setting(Some(reroute)),
        None => Rank::Default.setting(None),
    }
}

fn reroute_of(
    row: &documents::RerouteRow,
    registry: &Registry,
    home: Option<&Path>,
) -> Result<Reroute, (&'static str, String)> {
    let fail = |field, message: String| Err((field, message));
    let name = &row.provider;
    let Some(provider) = registry.provider(name) else {
        return fail("provider", format!("no provider is called `{name}`"));
    };
    if provider.agreement != Agreement::SelfHosted {
        return fail(
            "provider",
            format!("expected a provider with `agreement: self_hosted`; `{name}` has none"),
        );
    }
    let port = provider.ports.first().copied().unwrap_or(if provider.plain { 80 } else { 443 });
    let (host, port) = match &row.host {
        Some(host) if registry.lookup(host, port).is_none_or(|owner| owner.name != *name) => {
            return fail("host", format!("`{host}` is no host of `{name}`"));
        }
        Some(host) => (host.to_ascii_lowercase(), port),
        None => match provider.front_door() {
            Some((host, port)) => (host.to_owned(), port),
            None => return fail("provider", format!("expected `host`: `{name}` has wildcards only")),
        },
    };
    let first = provider.auth.headers.iter().next().map(String::as_str);
    let key_header = row.key_header.as_deref().or(first).unwrap_or("authorization");
    Ok(Reroute {
        provider: name.clone(),
        host,
        port,
        plain: provider.plain,
        model: row.model.clone(),
        key_file: row.key_file.as_deref().map(|file| expanded(file, home)),
        key_header: key_header.to_ascii_lowercase(),
    })
}

/// The rules of all documents of both layers: they only raise.
pub(super) fn classification(
    policies: &Policies<'_>,
    problems: &mut Problems,
) -> Setting<ClassificationRules> {
    let used = policies.0.iter().filter(|ranked| ranked.policy.classification != Default::default());
    let rank = used.clone().map(|ranked| ranked.rank).max().unwrap_or(Rank::Default);
    match ClassificationRules::of(used.clone().map(|ranked| &ranked.policy.classification)) {
        Ok(rules) => rank.setting(rules),
        Err(message) => {
            problems.0.extend(
                used.clone().next_back().map(|ranked| ranked.problem("spec.classification", message)),
            );
            rank.setting(ClassificationRules::default())
        }
    }
}

/// A user's folder is never below a level that managed policy gives to it.
pub(super) fn workspaces(
    policies: &Policies<'_>,
    default_level: &Setting<Level>,
    home: Option<&Path>,
) -> Setting<Workspaces> {
    let entries = |wanted: Rank| {
        let mut found: BTreeMap<PathBuf, Level> = BTreeMap::new();
        let ranked = policies.0.iter().filter(move |ranked| ranked.rank == wanted);
        for entry in ranked.flat_map(|ranked| ranked.policy.workspace_levels.iter().flatten()) {
            let level = found.entry(expanded(&entry.path, home)).or_insert(entry.level);
            *level = entry.level.max(*level);
        }
        found
    };
    let mut all = entries(Rank::Recommended);
    let locked = Workspaces(entries(Rank::Locked));
    let users = entries(Rank::User);
    let rank = match (locked.0.is_empty(), users.is_empty(), all.is_empty()) {
        (false, ..) => Rank::Locked,
        (_, false, _) => Rank::User,
        (.., false) => Rank::Recommended,
        _ => Rank::Default,
    };
    for (path, level) in users {
        let floor = locked.level_of(&path).or(default_level.locked.then_some(default_level.value));
        all.insert(path, level.max(floor.unwrap_or_default()));
    }
    all.extend(locked.0);
    rank.setting(Workspaces(all))
}

/// Templates by name. Of one name the managed one counts, or whoever can write this user's files could change what it
/// asks.
pub(super) fn templates(layers: &Layers) -> BTreeMap<String, documents::Assessment> {
    let documents = layers.user_documents.iter().chain(&layers.managed_documents);
    let found = documents.filter_map(|document| match &document.body {
        documents::DocumentBody::Assessment(body) => Some((document.name.clone(), body.clone())),
        _ => None,
    });
    found.collect()
}

/// Where each assessed tool stands. Where managed policy refuses tools, only managed assessments count: whoever can
/// write this user's files could else approve himself.
pub(super) fn tools(
    layers: &Layers,
    templates: &BTreeMap<String, documents::Assessment>,
    managed_only: bool,
) -> Vec<Tool> {
    let never = || Day::parse("0000-01-01");
    let Some(today) = layers.today.clone().or_else(never) else { return Vec::new() };
    let counted = layers.assessments.iter().filter(|(origin, _)| !managed_only || *origin == Origin::Managed);
    let judged = counted.map(|(origin, record)| Tool {
        tool: record.tool.clone(),
        providers: record.providers.clone(),
        standing: assessment::standing(record, templates.get(&record.template), &today),
        origin: *origin,
    });
    judged.collect()
}

/// `~` is the person's home folder; without one the path stays as it is and fits nothing.
fn expanded(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}
