//! Layers and how they resolve.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::destinations::{self, Problems};
use super::names;
use super::{
    AgentSettings, AuditSettings, BundleSettings, ConductSettings, DetectionSettings, DocumentSummary,
    ElevationSettings, FailMode, Governance, Limits, MalformedPolicy, OnViolation, OpaquePolicy, Origin,
    ProtectionSettings, QuotaSettings, SecretsSettings, Setting, ShadowAi, Snapshot, TelemetryPolicy,
    UnapprovedTools, UpstreamSettings,
};
use crate::Level;
use crate::assessment::{AssessmentRecord, Day};
use crate::broker::BrokeredKey;
use crate::config::{Config, ConfigLayer, Profile};
use crate::documents::{Document, DocumentBody, SallyportPolicy, SecretClass};
use crate::error::{DocumentError, DocumentErrors};
use crate::providers::{self, AddedRow, PROVIDERS_YAML, Registry};
use crate::yaml::Mark;

/// What settings are made of. Each part may be missing; paths are absolute already.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    pub user: Option<ConfigLayer>,
    pub user_documents: Vec<Document>,
    pub managed: Option<ConfigLayer>,
    pub managed_documents: Vec<Document>,
    /// What `~` means in documents.
    pub home: Option<std::path::PathBuf>,
    /// Assessments of tools, with whose they are.
    pub assessments: Vec<(Origin, AssessmentRecord)>,
    /// By which it is judged whether an assessment is due again; without it none is.
    pub today: Option<Day>,
}

const DEFAULT_MAX_BODY_BYTES: u64 = 64 << 20;

/// Whose word counts over whose. Managed policy that does not lock is a recommendation, so a user's own
/// word counts over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Default,
    Recommended,
    User,
    Locked,
}

impl Rank {
    pub(super) fn setting<T>(self, value: T) -> Setting<T> {
        let origin = match self {
            Rank::Default => Origin::Default,
            Rank::User => Origin::User,
            Rank::Recommended | Rank::Locked => Origin::Managed,
        };
        Setting { value, origin, locked: self == Rank::Locked }
    }
}

/// Defaults, the user's layer, the managed layer: one snapshot. Documents that contradict the embedded table or each
/// other make none; then the last good one stays in force.
pub fn resolve(layers: &Layers) -> Result<Snapshot, DocumentErrors> {
    let config = Configs { layers, defaults: Config::default() };
    let policies = Policies::of(layers);
    let mut problems = Problems::default();

    let governance = Governance::resolved(&layers.user_documents, &layers.managed_documents);
    let shadow_ai = policies.pick(|policy| policy.shadow_ai, Rank::Default, ShadowAi::default());
    let approved_providers = policies.narrowest(|policy| policy.approved_providers.as_ref());
    let mut providers = registry(&policies)?;
    destinations::settle(&policies, &mut providers, &governance, &mut problems);
    destinations::shadow(&policies, &mut providers, &approved_providers, &shadow_ai, &mut problems);
    let tenants = destinations::tenants(&policies, &providers, &mut problems);
    let reroute = destinations::reroute(&policies, &providers, layers.home.as_deref(), &mut problems);
    let classification = destinations::classification(&policies, &mut problems);
    let unapproved_tools =
        policies.pick(|policy| policy.unapproved_tools, Rank::Default, UnapprovedTools::default());
    let templates = destinations::templates(layers);
    let default_level = policies.pick(|policy| policy.default_level, Rank::Default, Level::default());
    let workspace_levels = destinations::workspaces(&policies, &default_level, layers.home.as_deref());
    problems.none()?;

    let (rank, profile) = policies
        .all(|policy| policy.profile)
        .chain(config.all("profile", |config| config.profile))
        .max()
        .unwrap_or((Rank::Default, Profile::default()));
    // What the profile implies counts with the profile's rank, and an explicit word of that rank over it.
    let implied = if profile == Profile::Strict {
        (rank, OpaquePolicy::Block, MalformedPolicy::Block, TelemetryPolicy::Block)
    } else {
        (Rank::Default, OpaquePolicy::default(), MalformedPolicy::default(), TelemetryPolicy::default())
    };
    let (implied_rank, opaque, malformed, telemetry) = implied;

    let agents = AgentSettings::of(&policies, &config, layers, (profile == Profile::Strict).then_some(rank));
    let quotas = QuotaSettings::resolve(&config, &policies);
    Ok(Snapshot {
        unknown_names: names::unknown(&config, &policies, &agents, &quotas),
        version: version(layers),
        listen: config.pick("listen", |config| config.listen),
        upstream: UpstreamSettings {
            resolve: config.pick("upstream.resolve", |config| config.upstream.resolve.clone()),
            extra_roots: config.pick("upstream.extra_roots", |config| config.upstream.extra_roots.clone()),
            proxy: config.pick("upstream.proxy", |config| config.upstream.proxy.clone()),
        },
        secrets: SecretsSettings {
            keychain: config.pick("secrets.keychain", |config| config.secrets.keychain),
            vaults: config.pick("secrets.vaults", |config| config.secrets.vaults.clone()),
            files: config.pick("secrets.files", |config| config.secrets.files.clone()),
            workspaces: config.pick("secrets.workspaces", |config| config.secrets.workspaces.clone()),
            well_known_files: config.pick("secrets.well_known_files", |c| c.secrets.well_known_files),
            client_environment: config.pick("secrets.client_environment", |c| c.secrets.client_environment),
        },
        audit: AuditSettings {
            durability: config.pick("audit.durability", |config| config.audit.durability),
            retention_days: config.pick("audit.retention_days", |config| config.audit.retention_days),
            content: config.pick("audit.content", |config| config.audit.content),
        },
        policies: config.pick("policies", |config| config.policies.clone()),
        profile: rank.setting(profile),
        bundles: BundleSettings {
            trusted_keys: config.pick("bundles.trusted_keys", |config| config.bundles.trusted_keys.clone()),
            url: config.pick("bundles.url", |config| config.bundles.url.clone()),
            refresh: config.pick("bundles.refresh", |config| config.bundles.refresh),
        },
        opaque: policies.pick(|policy| policy.opaque, implied_rank, opaque),
        malformed: policies.pick(|policy| policy.malformed, implied_rank, malformed),
        telemetry: policies.pick(|policy| policy.telemetry, implied_rank, telemetry),
        fail_mode: policies.pick(|policy| policy.fail_mode, Rank::Default, FailMode::default()),
        default_level,
        workspace_levels,
        classification,
        governance,
        on_violation: policies.pick(|policy| policy.on_violation, Rank::Default, OnViolation::default()),
        reroute,
        approved_providers,
        shadow_ai,
        tools: destinations::tools(layers, &templates, unapproved_tools.locked),
        templates,
        unapproved_tools,
        tenants,
        file_extensions: policies.narrowest(|policy| policy.file_extensions.as_ref()),
        allowed_actions: policies.narrowest(|policy| policy.allowed_actions.as_ref()),
        disabled_rules: policies.common(|policy| policy.disabled_rules.clone()),
        limits: Limits {
            // Of two limits in one layer the larger counts: it leaves less unread.
            max_body_bytes: policies.pick(
                |policy| policy.max_body_bytes,
                Rank::Default,
                DEFAULT_MAX_BODY_BYTES,
            ),
        },
        agents,
        conduct: ConductSettings::of(&policies, profile, rank),
        elevation: ElevationSettings::of(&policies),
        protection: ProtectionSettings::of(&policies),
        detection: DetectionSettings::of(&policies),
        quotas,
        broker: policies
            .common(|policy| Some(policy.broker.clone()?.into_iter().collect()))
            .map(|keys: BTreeSet<BrokeredKey>| keys.into_iter().collect()),
        restore: policies.common(|policy| policy.restore.clone()),
        secret_classes: secret_classes(layers),
        memory_protection: memory_protection(layers),
        providers: Arc::new(providers),
        documents: summaries(layers),
    })
}

/// The configuration files. Managed ones always lock.
pub(super) struct Configs<'a> {
    layers: &'a Layers,
    defaults: Config,
}

impl Configs<'_> {
    /// Somebody manages this machine: there is a configuration or a document of theirs.
    pub(super) fn is_managed(&self) -> bool {
        self.layers.managed.is_some() || !self.layers.managed_documents.is_empty()
    }

    pub(super) fn all<T>(&self, key: &str, read: impl Fn(&Config) -> T) -> impl Iterator<Item = (Rank, T)> {
        let layers = [(Rank::User, &self.layers.user), (Rank::Locked, &self.layers.managed)];
        layers
            .into_iter()
            .filter_map(|(rank, layer)| {
                let layer = layer.as_ref().filter(|layer| layer.sets(key))?;
                Some((rank, read(&layer.config)))
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The file and the place of the word for a key that counts.
    pub(super) fn place(&self, key: &str) -> Option<(&str, Mark)> {
        [&self.layers.managed, &self.layers.user].into_iter().flatten().find_map(|layer| layer.place(key))
    }

    pub(super) fn pick<T>(&self, key: &str, read: impl Fn(&Config) -> T) -> Setting<T> {
        match self.all(key, &read).max_by_key(|(rank, _)| *rank) {
            Some((rank, value)) => rank.setting(value),
            None => Rank::Default.setting(read(&self.defaults)),
        }
    }
}

/// One `SallyportPolicy` with its rank and its place.
#[derive(Clone, Copy)]
pub(super) struct Ranked<'a> {
    pub(super) rank: Rank,
    pub(super) policy: &'a SallyportPolicy,
    pub(super) document: &'a Document,
}

impl Ranked<'_> {
    pub(super) fn origin(&self) -> Origin {
        if self.rank == Rank::User { Origin::User } else { Origin::Managed }
    }

    pub(super) fn problem(&self, path: &str, message: impl Into<String>) -> DocumentError {
        DocumentError::new(&self.document.file, self.document.locate(path), message, None)
    }
}

/// The `SallyportPolicy` documents. Managed ones come first, so that a user's rows are judged against them.
pub(super) struct Policies<'a>(pub(super) Vec<Ranked<'a>>);

impl<'a> Policies<'a> {
    fn of(layers: &'a Layers) -> Policies<'a> {
        let managed = layers.managed_documents.iter().filter_map(|document| {
            let policy = sallyport(document)?;
            let rank = if policy.lock == Some(false) { Rank::Recommended } else { Rank::Locked };
            Some(Ranked { rank, policy, document })
        });
        let user = layers
            .user_documents
            .iter()
            .filter_map(|document| Some(Ranked { rank: Rank::User, policy: sallyport(document)?, document }));
        Policies(managed.chain(user).collect())
    }

    /// Whether managed policy speaks, and only to recommend.
    pub(super) fn all_recommend(&self) -> bool {
        let mut managed =
            self.0.iter().map(|ranked| ranked.rank).filter(|rank| *rank != Rank::User).peekable();
        managed.peek().is_some() && managed.all(|rank| rank == Rank::Recommended)
    }

    pub(super) fn all<T>(
        &self,
        read: impl Fn(&SallyportPolicy) -> Option<T>,
    ) -> impl Iterator<Item = (Rank, T)> {
        self.0.iter().filter_map(move |ranked| read(ranked.policy).map(|value| (ranked.rank, value)))
    }

    /// The word of the highest rank; of two of the same rank the stricter one.
    pub(super) fn pick<T: Ord>(
        &self,
        read: impl Fn(&SallyportPolicy) -> Option<T>,
        implied_rank: Rank,
        implied: T,
    ) -> Setting<T> {
        match self.all(read).max() {
            Some((rank, value)) if rank >= implied_rank => rank.setting(value),
            _ => implied_rank.setting(implied),
        }
    }

    /// Of two documents of one rank only what both say counts: for lists of which every entry weakens something.
    pub(super) fn common<T: Ord + Clone>(
        &self,
        read: impl Fn(&SallyportPolicy) -> Option<BTreeSet<T>>,
    ) -> Setting<BTreeSet<T>> {
        let Some(rank) = self.all(&read).map(|(rank, _)| rank).max() else {
            return Rank::Default.setting(BTreeSet::new());
        };
        let sets = self.all(&read).filter(|(r, _)| *r == rank);
        let common = sets.map(|(_, set)| set).reduce(|a, b| a.intersection(&b).cloned().collect());
        rank.setting(common.unwrap_or_default())
    }

    /// The list of the highest rank; of two lists of one rank what stands in both. None is no list at all: for lists of
    /// what alone is allowed.
    fn narrowest(
        &self,
        read: impl Fn(&SallyportPolicy) -> Option<&BTreeSet<String>>,
    ) -> Setting<Option<BTreeSet<String>>> {
        if self.0.iter().all(|ranked| read(ranked.policy).is_none()) {
            return Rank::Default.setting(None);
        }
        let Setting { value, origin, locked } = self.common(|policy| read(policy).cloned());
        Setting { value: Some(value), origin, locked }
    }
}

fn sallyport(document: &Document) -> Option<&SallyportPolicy> {
    match &document.body {
        DocumentBody::Sallyport(policy) => Some(policy),
        _ => None,
    }
}

fn secret_classes(layers: &Layers) -> Vec<SecretClass> {
    let mut classes: Vec<SecretClass> = Vec::new();
    for document in layers.managed_documents.iter().chain(&layers.user_documents) {
        let DocumentBody::AiSecrets(body) = &document.body else { continue };
        for class in &body.secret_classes {
            if !classes.iter().any(|known| known.name == class.name) {
                classes.push(class.clone());
            }
        }
    }
    classes
}

/// One document that asks for it is enough.
fn memory_protection(layers: &Layers) -> Setting<bool> {
    let asks = |documents: &[Document]| {
        documents.iter().any(|document| match &document.body {
            DocumentBody::AiSecrets(body) => {
                body.injection_policy.is_some_and(|policy| policy.memory_protection)
            }
            _ => false,
        })
    };
    let rank = match (asks(&layers.managed_documents), asks(&layers.user_documents)) {
        (true, _) => Rank::Locked,
        (false, true) => Rank::User,
        (false, false) => Rank::Default,
    };
    rank.setting(rank != Rank::Default)
}

fn registry(policies: &Policies<'_>) -> Result<Registry, DocumentErrors> {
    let mut rows: Vec<AddedRow<'_>> = Vec::new();
    let mut places: Vec<(&Document, usize)> = Vec::new();
    for ranked in &policies.0 {
        let (origin, locked) = (ranked.origin(), ranked.rank == Rank::Locked);
        rows.extend(ranked.policy.providers.iter().map(|row| AddedRow { origin, locked, row }));
        places.extend((0..ranked.policy.providers.len()).map(|index| (ranked.document, index)));
    }
    Registry::extended(&rows).map_err(|problems| {
        let located = problems.into_iter().map(|problem| {
            let place = problem.row.and_then(|row| places.get(row));
            let Some((document, index)) = place else {
                return DocumentError::new(
                    "assets/providers.yaml",
                    Default::default(),
                    problem.message,
                    None,
                );
            };
            let mark = providers::row_mark(&document.tree, *index, &problem.field);
            DocumentError::new(&document.file, mark, problem.message, None)
        });
        DocumentErrors(located.collect())
    })
}

fn summaries(layers: &Layers) -> Vec<DocumentSummary> {
    let user = layers.user_documents.iter().map(|document| DocumentSummary::of(document, Origin::User));
    let managed =
        layers.managed_documents.iter().map(|document| DocumentSummary::of(document, Origin::Managed));
    user.chain(managed).collect()
}

/// A hash over everything that policy is made of: the program's version, its table, and each file's text.
fn version(layers: &Layers) -> String {
    let mut input = Vec::new();
    input.extend(env!("CARGO_PKG_VERSION").as_bytes());
    input.extend(crate::digest(PROVIDERS_YAML.as_bytes()));
    let absent = [0; 32];
    input.extend(layers.user.as_ref().map_or(absent, |layer| layer.text_digest));
    input.extend(layers.managed.as_ref().map_or(absent, |layer| layer.text_digest));
    for documents in [&layers.user_documents, &layers.managed_documents] {
        // A file of several documents counts once for each; the order of files does not count.
        let mut digests: Vec<_> = documents.iter().map(|document| document.digest).collect();
        digests.sort_unstable();
        input.extend(u64::try_from(digests.len()).unwrap_or(u64::MAX).to_le_bytes());
        input.extend(digests.concat());
    }
    let assessments = serde_json::to_vec(&(&layers.assessments, &layers.today)).unwrap_or_default();
    input.extend(crate::digest(&assessments));
    let digest = crate::digest(&input);
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
