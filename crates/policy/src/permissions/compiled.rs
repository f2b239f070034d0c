//! Permission documents made ready: every tier with what it inherits, and the judgement on all but shell lines.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::commands::Entry;
use super::paths::{Patterns, Places, normalise};
use super::{
    Action, Denial, DenialRule, FilePath, Granted, Judgement, UnknownTools, Wanted, Who, domains, naming,
    shell,
};
use crate::documents::{
    AgentPermissions, AiAccess, AiSecrets, Document, DocumentBody, FilesystemAction, PermissionTier,
};

/// Whether elevation allows something, by itself.
pub(super) type Open<'o> = &'o dyn Fn(&Wanted) -> bool;

/// What agents of each class may do.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    classes: Vec<Class>,
    sealed: Vec<Sealed>,
    unknown_tools: UnknownTools,
}

/// One `AgentPermissionPolicy`.
#[derive(Debug, Clone)]
struct Class {
    name: String,
    place: Place,
    /// The first of the document comes first.
    tiers: Vec<Tier>,
}

/// A tier with everything that it inherits.
#[derive(Debug, Clone)]
pub(super) struct Tier {
    name: String,
    pub(super) place: Place,
    pub(super) read: Files,
    pub(super) write: Files,
    domains: Vec<String>,
    no_domains: Vec<String>,
    pub(super) commands: Vec<Entry>,
    pub(super) no_commands: Vec<Entry>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) allow: Patterns,
    pub(super) deny: Patterns,
}

/// Where a document says it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    file: String,
    line: u32,
    document: String,
    tier: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.rsplit(['/', '\\']).next().unwrap_or(&self.file);
        write!(f, "{file}:{} ({}", self.line, self.document)?;
        if let Some(tier) = &self.tier {
            write!(f, ", tier {tier}")?;
        }
        f.write_str(")")
    }
}

/// Files whose contents no AI may see.
#[derive(Debug, Clone)]
struct Sealed {
    class: String,
    patterns: Patterns,
    place: Place,
}

impl Permissions {
    /// Of all documents in force. Of two for one class, both must allow: the order of files never matters.
    pub fn of<'d>(documents: impl Iterator<Item = &'d Document>, unknown_tools: UnknownTools) -> Permissions {
        let mut permissions = Permissions { unknown_tools, ..Permissions::default() };
        for document in documents {
            match &document.body {
                DocumentBody::AgentPermissions(body) => permissions.classes.push(class(document, body)),
                DocumentBody::AiSecrets(body) => permissions.sealed.extend(sealed(document, body)),
                _ => {}
            }
        }
        permissions
    }

    /// Whether any document speaks of agents.
    pub fn govern(&self) -> bool {
        !self.classes.is_empty()
    }

    /// Whether there is anything that an AI may not see.
    pub fn seal(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Words of which one stands in every path that no AI may see. None where that can't be said.
    pub fn sealed_words(&self) -> Option<Vec<String>> {
        let words: Option<Vec<_>> = self.sealed.iter().map(|sealed| sealed.patterns.words()).collect();
        words.map(|words| words.concat())
    }

    /// The class of agents without one: that of the documents, where they speak of only one.
    pub fn only_class(&self) -> Option<&str> {
        let names = self.class_names();
        names.first().copied().filter(|_| names.len() == 1)
    }

    /// The classes that documents speak of.
    pub(crate) fn class_names(&self) -> BTreeSet<&str> {
        self.classes.iter().map(|class| class.name.as_str()).collect()
    }

    /// The tiers that a class can run at: those that every document about it has.
    pub(crate) fn tier_names(&self, class: &str) -> BTreeSet<&str> {
        let documents = self.classes.iter().filter(|known| known.name == class);
        let each = documents.map(|class| class.tiers.iter().map(|tier| tier.name.as_str()).collect());
        each.reduce(|all: BTreeSet<&str>, more| &all & &more).unwrap_or_default()
    }

    /// Whether `who` may do this. `granted` says what elevation allows on top.
    pub fn judge(&self, who: Who<'_>, granted: Granted<'_>, action: &Action, places: &Places) -> Judgement {
        let used = RefCell::new(Vec::new());
        let open = |wanted: &Wanted| {
            let reaches = granted(&wanted.target());
            if reaches {
                used.borrow_mut().push(wanted.clone());
            }
            reaches
        };
        if let Some(denial) = self.sealed_but(action, places, &|path| open(&Wanted::Secret(path.to_owned())))
        {
            return Judgement::Denied(Box::new(denial));
        }
        if self.govern() && *action != Action::Nothing {
            let mut documents = self.classes.iter().filter(|class| class.name == who.class).peekable();
            if documents.peek().is_none() {
                return Judgement::Denied(Box::new(self.unknown_class(who.class)));
            }
            for class in documents {
                let denial = class.tier(who.tier).map(|tier| self.by_tier(tier, &open, action, places));
                match denial {
                    Ok(None) => {}
                    Ok(Some(denial)) => return Judgement::Denied(Box::new(denial)),
                    Err(denial) => return Judgement::Denied(denial),
                }
            }
        }
        let mut granted = used.into_inner();
        granted.sort_unstable();
        granted.dedup();
        Judgement::Allowed { granted }
    }

    /// Whether a file is one whose contents no AI may see, or a line names one.
    pub fn sealed(&self, action: &Action, places: &Places) -> Option<Denial> {
        self.sealed_but(action, places, &|_| false)
    }

    /// The same but for files that `passes` lets pass, each by itself.
    pub fn sealed_but(
        &self,
        action: &Action,
        places: &Places,
        passes: &dyn Fn(&str) -> bool,
    ) -> Option<Denial> {
        if self.sealed.is_empty() {
            return None;
        }
        let mut paths = Vec::new();
        match action {
            Action::Read(path) => paths.extend(both(path, places)),
            Action::Shell(line) => {
                return self.sealed.iter().find_map(|sealed| {
                    let hit = naming::names_one_of(line, &sealed.patterns, places, passes)?;
                    Some(sealed.denial(hit))
                });
            }
            _ => {}
        }
        self.sealed.iter().find_map(|sealed| {
            let mut hit = paths.iter().filter(|path| sealed.patterns.deny(path, places).is_some());
            let path = hit.find(|path| !passes(path))?;
            Some(sealed.denial(path.clone()))
        })
    }

    fn by_tier(&self, tier: &Tier, open: Open<'_>, action: &Action, places: &Places) -> Option<Denial> {
        let denial = match action {
            Action::Read(path) => return tier.reading(path, places, open),
            Action::Write(path) => return tier.writing(path, places, open),
            Action::Shell(line) => return shell::denial(tier, open, line, places),
            Action::Fetch { host } => tier.host(host),
            Action::Nothing => None,
            Action::Other { tool } => {
                (self.unknown_tools == UnknownTools::Deny).then(|| tier.unknown_tool(tool))
            }
        };
        denial.filter(|denial| !denial.wanted.as_ref().is_some_and(open))
    }

    fn unknown_class(&self, class: &str) -> Denial {
        let known = self.class_names();
        Denial {
            rule: DenialRule::UnknownClass,
            target: class.to_owned(),
            place: None,
            sentence: format!("No policy says what an agent of the class `{class}` may do."),
            way_out: format!(
                "Set `agents.default_class` in config.yaml to a class that policy knows: {}.",
                known.into_iter().collect::<Vec<_>>().join(", ")
            ),
            wanted: None,
        }
    }
}

/// A path's forms: its own, and where links lead. An unreadable one as it is written, which no pattern allows.
pub(super) fn both(path: &FilePath, places: &Places) -> Vec<String> {
    let written = normalise(&path.written, &places.cwd, &places.home);
    let resolved = path.resolved.clone().filter(|resolved| Some(resolved) != written.as_ref());
    let written = written.unwrap_or_else(|| path.written.clone());
    let led: Vec<String> = places.leads(&written).map(str::to_owned).collect();
    std::iter::once(written).chain(resolved).chain(led).collect()
}

impl Sealed {
    fn denial(&self, path: String) -> Denial {
        Denial {
            rule: DenialRule::AiAccessDenied,
            sentence: format!("`{path}` holds secrets of the class `{}`, which no AI may see.", self.class),
            way_out: "Give the agent the names it needs instead of the file. With elevation (`secrets:read`) a tool may use it; what the \
                      tool prints is withheld all the same."
                .to_owned(),
            place: Some(self.place.to_string()),
            wanted: Some(Wanted::Secret(path.clone())),
            target: path,
        }
    }
}

impl Class {
    fn tier(&self, name: Option<&str>) -> Result<&Tier, Box<Denial>> {
        let found = match name {
            Some(name) => self.tiers.iter().find(|tier| tier.name == name),
            None => self.tiers.first(),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = self.tiers.iter().map(|tier| tier.name.as_str()).collect();
            let name = name.unwrap_or("none");
            Box::new(Denial {
                rule: DenialRule::UnknownTier,
                target: name.to_owned(),
                place: Some(self.place.to_string()),
                sentence: format!("The class `{}` has no tier `{name}`.", self.name),
                way_out: format!("Set `agents.default_tier` in config.yaml to one of: {}.", known.join(", ")),
                wanted: None,
            })
        })
    }
}

impl Tier {
    pub(super) fn denial(
        &self,
        rule: DenialRule,
        target: &str,
        sentence: String,
        way_out: String,
        wanted: Option<Wanted>,
    ) -> Denial {
        Denial {
            rule,
            target: target.to_owned(),
            place: Some(self.place.to_string()),
            sentence,
            way_out,
            wanted,
        }
    }

    pub(super) fn reading(&self, path: &FilePath, places: &Places, open: Open<'_>) -> Option<Denial> {
        self.file(&self.read, "read", path, places, open)
    }

    pub(super) fn writing(&self, path: &FilePath, places: &Places, open: Open<'_>) -> Option<Denial> {
        self.file(&self.write, "written", path, places, open)
    }

    /// Of the names that a file has, each must be allowed or granted: a grant for a link is none for where it leads.
    fn file(
        &self,
        files: &Files,
        done: &str,
        path: &FilePath,
        places: &Places,
        open: Open<'_>,
    ) -> Option<Denial> {
        let paths = both(path, places);
        let written = |path: &str| (done == "written").then(|| Wanted::File(path.to_owned()));
        for path in &paths {
            let Some(pattern) = files.deny.deny(path, places) else { continue };
            let wanted = written(path).unwrap_or_else(|| Wanted::Secret(path.clone()));
            if !open(&wanted) {
                return Some(self.denial(
                    DenialRule::PathExcluded,
                    path,
                    format!("`{path}` may not be {done}: it is excluded by `{pattern}`."),
                    "Work with another file, or have the exclusion changed or a grant given for this one.".to_owned(),
                    Some(wanted),
                ));
            }
        }
        let allowed = |path: &String| path.starts_with('/') && files.allow.allow(path, places);
        let outside =
            paths.iter().find(|path| !allowed(path) && !written(path).is_some_and(|wanted| open(&wanted)))?;
        let allowed = if files.allow.is_empty() { "allows none" } else { "does not reach it" };
        Some(self.denial(
            DenialRule::PathNotAllowed,
            outside,
            format!("`{outside}` may not be {done}: the tier `{}` {allowed}.", self.name),
            format!(
                "Work inside of the paths that the tier names, or have `{outside}` added to its `paths`."
            ),
            written(outside),
        ))
    }

    fn host(&self, host: &str) -> Option<Denial> {
        let way_out =
            || "Use a host that the tier names, or have this one added to its `domains`.".to_owned();
        let wanted = Some(Wanted::Domain(host.to_ascii_lowercase()));
        if let Some(pattern) = self.no_domains.iter().find(|pattern| domains::reaches(pattern, host)) {
            let sentence = format!("`{host}` may not be reached: it is excluded by `{pattern}`.");
            return Some(self.denial(DenialRule::DomainExcluded, host, sentence, way_out(), wanted));
        }
        if self.domains.iter().any(|pattern| domains::reaches(pattern, host)) {
            return None;
        }
        let sentence =
            format!("`{host}` may not be reached: it is not among the domains of the tier `{}`.", self.name);
        Some(self.denial(DenialRule::DomainNotAllowed, host, sentence, way_out(), wanted))
    }

    fn unknown_tool(&self, tool: &str) -> Denial {
        let tool: String = tool.chars().filter(|c| !c.is_control()).take(80).collect();
        self.denial(
            DenialRule::UnknownTool,
            &tool,
            format!("The tool `{tool}` is not known, and policy denies tools that are not."),
            "Use a known tool, or set `agents.unknownTools: allow` in a SallyportPolicy document.".to_owned(),
            None,
        )
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

fn class(document: &Document, body: &AgentPermissions) -> Class {
    let place = |path: &str, tier: Option<&str>| Place {
        file: document.file.clone(),
        line: document.locate(path).line,
        document: document.name.clone(),
        tier: tier.map(str::to_owned),
    };
    let by_name: BTreeMap<&str, &PermissionTier> =
        body.tiers.iter().map(|tier| (tier.name.as_str(), tier)).collect();
    let tiers = body.tiers.iter().enumerate().map(|(index, tier)| {
        let chain = chain(tier, &by_name);
        compile(tier, &chain, place(&format!("spec.tiers.{index}"), Some(&tier.name)))
    });
    Class { name: body.agent_class.clone(), tiers: tiers.collect(), place: place("spec", None) }
}

/// A tier and those that it inherits from, each once.
fn chain<'t>(
    tier: &'t PermissionTier,
    by_name: &BTreeMap<&str, &'t PermissionTier>,
) -> Vec<&'t PermissionTier> {
    let mut chain = vec![tier];
    let mut next = tier.inherits.as_deref();
    while let Some(parent) = next.and_then(|name| by_name.get(name)) {
        if chain.iter().any(|seen| seen.name == parent.name) {
            break;
        }
        chain.push(parent);
        next = parent.inherits.as_deref();
    }
    chain
}

fn compile(tier: &PermissionTier, chain: &[&PermissionTier], place: Place) -> Tier {
    let files = |action: FilesystemAction| {
        let entries =
            || chain.iter().flat_map(|tier| &tier.permissions.filesystem).filter(|one| one.action == action);
        let allow: Vec<String> = entries().flat_map(|one| one.paths.clone()).collect();
        let deny: Vec<String> = entries().flat_map(|one| one.exclude.clone()).collect();
        Files { allow: Patterns::allowing(&allow), deny: Patterns::denying(&deny) }
    };
    let network = || chain.iter().flat_map(|tier| &tier.permissions.network);
    let shell = || chain.iter().flat_map(|tier| &tier.permissions.shell);
    Tier {
        name: tier.name.clone(),
        place,
        read: files(FilesystemAction::Read),
        write: files(FilesystemAction::Write),
        domains: network().flat_map(|one| one.domains.clone()).collect(),
        no_domains: network().flat_map(|one| one.exclude.clone()).collect(),
        commands: shell().flat_map(|one| &one.allowlist).map(|text| Entry::parse(text)).collect(),
        no_commands: shell().flat_map(|one| &one.denylist).map(|text| Entry::parse(text)).collect(),
    }
}

fn sealed(document: &Document, body: &AiSecrets) -> Vec<Sealed> {
    let classes = body.secret_classes.iter().enumerate();
    let denied =
        classes.filter(|(_, class)| class.ai_access == Some(AiAccess::Denied) && !class.patterns.is_empty());
    denied
        .map(|(index, class)| Sealed {
            class: class.name.clone(),
            patterns: Patterns::denying(&class.patterns),
            place: Place {
                file: document.file.clone(),
                line: document.locate(&format!("spec.secretClasses.{index}")).line,
                document: document.name.clone(),
                tier: None,
            },
        })
        .collect()
}
