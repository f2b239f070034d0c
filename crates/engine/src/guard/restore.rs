//! Putting values back: a call that would write placeholders into the file that holds their values gets the values.
//!
//! The value comes from that file, over locked memory, so nothing is fetched and nothing is written that did not stand
//! there. Whatever is in doubt is not put back, and the call is denied as if nothing ever were.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sallyport_detect::tools::Call;
use sallyport_detect::{Placeholders, Scanner, Variant};
use sallyport_platform::LockedBytes;
use sallyport_platform::fs::read_bounded;
use sallyport_policy::permissions::{Action, Places, normalise};
use sallyport_policy::settings::Snapshot;
use sallyport_wire::{Family, Limits, Nature, RequestDocument, read_request, splice};
use zeroize::Zeroizing;

use super::ignored::is_ignored;

/// Files that hold secrets are short.
const MAX_FILE: u64 = 1 << 20;

/// Which values are put back, and how they are known again.
pub(crate) struct Restore {
    classes: BTreeSet<String>,
    scanner: Arc<Scanner>,
}

impl Restore {
    /// None where policy has nothing put back.
    pub(crate) fn of(snapshot: &Snapshot, scanner: &Arc<Scanner>) -> Option<Restore> {
        let classes = snapshot.restore.value.clone();
        (!classes.is_empty()).then(|| Restore { classes, scanner: scanner.clone() })
    }

    /// The arguments with values where placeholders stood, or why there are none.
    pub(super) fn put_back(
        &self,
        call: &Call,
        arguments: &Arguments<'_>,
        placeholders: &Placeholders,
        places: &Places,
    ) -> Result<Zeroizing<String>, &'static str> {
        let shown = arguments.issued(placeholders);
        let mut names = BTreeSet::new();
        for placeholder in shown.values().flatten().map(|(_, placeholder)| placeholder) {
            let name = Placeholders::name_in(placeholder).ok_or("it stands for what a rule found")?;
            self.has_class(name).then_some(()).ok_or("policy has values of this class not put back")?;
            names.insert(name);
        }
        let path = only_file(call, places)?;
        if !is_ignored(&path) {
            return Err("git does not ignore the file");
        }
        let values = self.values(&path, &names)?;
        arguments.with(&shown, &values).ok_or("it stands where no value can")
    }

    fn has_class(&self, name: &str) -> bool {
        let of = |class: &String| {
            class == "*"
                || name
                    .strip_prefix(class.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.classes.iter().any(of)
    }

    /// The values by name, as they stand in the file.
    fn values(&self, path: &Path, names: &BTreeSet<&str>) -> Result<Values, &'static str> {
        let whole = read_bounded(path, MAX_FILE).ok().flatten();
        let held = whole.and_then(|bytes| LockedBytes::from_vec(bytes).ok());
        let held = held.ok_or("the file can't be read, or is long")?;
        let bytes: &[u8] = &held;
        let mut places: BTreeMap<String, Range<usize>> = BTreeMap::new();
        for hit in self.scanner.index().find(bytes) {
            let name = hit.name.as_str();
            if hit.variant != Variant::Raw || !names.contains(name) {
                continue;
            }
            if let Some(other) = places.get(name)
                && bytes.get(other.clone()) != bytes.get(hit.span.clone())
            {
                return Err("the file holds two values of this name");
            }
            places.insert(name.to_owned(), hit.span);
        }
        let whole = names.iter().all(|name| places.contains_key(*name));
        whole.then_some(Values { held, places }).ok_or("the file does not hold the value")
    }
}

/// What a file holds, and where each value stands in it.
struct Values {
    held: LockedBytes,
    places: BTreeMap<String, Range<usize>>,
}

impl Values {
    fn of(&self, placeholder: &str) -> Option<&str> {
        let range = self.places.get(Placeholders::name_in(placeholder)?)?;
        std::str::from_utf8(self.held.get(range.clone())?).ok()
    }
}

/// Placeholders by the number of the string they stand in.
type Shown = BTreeMap<usize, Vec<(Range<usize>, String)>>;

/// The arguments of a call: JSON, or one raw text.
pub(super) struct Arguments<'a> {
    text: &'a str,
    json: Option<RequestDocument>,
}

impl<'a> Arguments<'a> {
    pub(super) fn read(text: &'a str) -> Arguments<'a> {
        let document =
            read_request(Family::Generic, Some("application/json"), text.as_bytes(), &Limits::default());
        Arguments { text, json: document.ok().filter(|document| document.nature == Nature::Json) }
    }

    /// The first placeholder that this thread was given.
    pub(super) fn first(&self, placeholders: &Placeholders) -> Option<String> {
        self.issued(placeholders).into_values().flatten().map(|(_, placeholder)| placeholder).next()
    }

    fn issued(&self, placeholders: &Placeholders) -> Shown {
        let in_text = |text: &str| -> Vec<(Range<usize>, String)> {
            placeholders.issued_in(text).map(|at| (at.clone(), text[at].to_owned())).collect()
        };
        let Some(document) = &self.json else { return BTreeMap::from([(0, in_text(self.text))]) };
        let body = self.text.as_bytes();
        let strings = document.segments.iter().map(|segment| in_text(&segment.text(body)));
        strings.enumerate().filter(|(_, found)| !found.is_empty()).collect()
    }

    fn with(&self, shown: &Shown, values: &Values) -> Option<Zeroizing<String>> {
        let replacements = |found: &[(Range<usize>, String)]| -> Option<Vec<(Range<usize>, String)>> {
            found
                .iter()
                .map(|(at, placeholder)| Some((at.clone(), values.of(placeholder)?.to_owned())))
                .collect()
        };
        let mut edits = Vec::new();
        for (number, found) in shown {
            let replacements = replacements(found)?;
            match &self.json {
                Some(document) => {
                    let segment = document.segments.get(*number).filter(|segment| !segment.key)?;
                    edits.extend(segment.edits(self.text.as_bytes(), &replacements).ok()?);
                }
                None => edits.extend(
                    replacements
                        .into_iter()
                        .map(|(range, value)| sallyport_wire::Edit { range, bytes: value.into_bytes() }),
                ),
            }
        }
        let new = splice(self.text.as_bytes(), edits).ok()?;
        String::from_utf8(new).ok().map(Zeroizing::new)
    }
}

/// The one file that a call writes and does nothing else with, inside the workspace and reached over no link.
fn only_file(call: &Call, places: &Places) -> Result<PathBuf, &'static str> {
    let mut written: BTreeSet<String> = BTreeSet::new();
    let mut other = false;
    for action in &call.actions {
        match action {
            Action::Write(path) | Action::Read(path) => {
                written.extend(normalise(&path.written, &places.cwd, &places.home));
            }
            _ => other = true,
        }
    }
    let path = match (written.len(), other) {
        (1, false) => PathBuf::from(written.pop_first().unwrap_or_default()),
        _ => return Err("the call does more than write one file"),
    };
    let real = path.canonicalize().map_err(|_| "the file is not there")?;
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    // The workspace itself may be reached over a link; nothing below it.
    let inside = places.workspaces.iter().any(|root| {
        let root = Path::new(root);
        let rest = path.strip_prefix(root).ok();
        rest.is_some()
            && rest == root.canonicalize().ok().as_deref().and_then(|root| real.strip_prefix(root).ok())
    });
    match is_file && inside {
        true => Ok(real),
        false => Err("it is no plain file of the workspace, or a link"),
    }
}
