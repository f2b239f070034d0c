//! What is scanned: files of folders as git sees them, read and looked at on every core, told in their order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::made_up;
use crate::exit::Failure;
use crate::named_file::is_handed_over;
use crate::text::{Readable, is_binary};

/// What is larger is told, not scanned.
const LARGEST: u64 = 256 << 20;
/// Tells whether a file is text.
const START: u64 = 8192;

pub(super) enum Input {
    File {
        path: PathBuf,
        /// Whether its place says that what it holds is made up.
        made_up: bool,
    },
    Text(String, Vec<u8>),
}

impl Input {
    pub(super) fn shown(&self) -> String {
        match self {
            Input::File { path, .. } => path.display().to_string(),
            Input::Text(name, _) => name.clone(),
        }
    }

    /// None for a text that is in no file.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Input::File { path, .. } => Some(path),
            Input::Text(..) => None,
        }
    }

    pub(super) fn is_made_up(&self) -> bool {
        matches!(self, Input::File { made_up: true, .. })
    }

    fn content(&self) -> Content<'_> {
        match self {
            Input::Text(_, bytes) => Content::Bytes(Cow::Borrowed(bytes)),
            Input::File { path, .. } => read(path),
        }
    }
}

/// A plain file, or a pipe that a shell made for this command (`scan <(git diff)`). Everything else that has a
/// name might never end: a device, a pipe that nobody writes to.
pub(super) fn read(path: &Path) -> Content<'static> {
    let opened = std::fs::metadata(path).and_then(|meta| {
        if meta.is_file() || is_handed_over(path) {
            return std::fs::File::open(path).map(Some);
        }
        Ok(None)
    });
    match opened {
        Ok(Some(file)) => limited(file),
        Ok(None) if path.is_dir() => Content::Unreadable("it is a folder".to_owned()),
        Ok(None) => Content::Unreadable(NO_FILE.to_owned()),
        Err(e) => Content::Unreadable(e.to_string()),
    }
}

const NO_FILE: &str = "a device, pipe or socket; pipe its text in: head -c 1M NAME | sallyport scan";

/// Reads to the end or the limit. What is too large is looked at for what git calls binary: of that nothing is missed.
pub(super) fn limited(from: impl Read) -> Content<'static> {
    let mut bytes = Vec::new();
    let mut from = from.take(LARGEST + 1);
    if let Err(e) = from.by_ref().take(START).read_to_end(&mut bytes) {
        return Content::Unreadable(e.to_string());
    }
    if is_binary(&bytes) && Readable::of(&bytes).is_none() {
        return Content::Binary;
    }
    match from.read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > LARGEST => Content::TooLarge,
        Ok(_) => Content::Bytes(Cow::Owned(bytes)),
        Err(e) => Content::Unreadable(e.to_string()),
    }
}

pub(super) enum Content<'i> {
    Bytes(Cow<'i, [u8]>),
    Binary,
    TooLarge,
    Unreadable(String),
}

/// Adds the files under `root`.
pub(super) fn tree(
    root: &Path,
    no_ignore: bool,
    inputs: &mut Vec<Input>,
    problem: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    match std::fs::symlink_metadata(root) {
        Ok(meta) if meta.is_file() => {
            // A file that is named is wanted; no walk is needed to find it.
            inputs.push(Input::File { path: root.to_owned(), made_up: false });
            return Ok(());
        }
        Ok(_) => {}
        Err(e) => {
            let failure = Failure::caused(format!("could not scan {}", root.display()), &e);
            return Err(failure.into_usage().hint("name a file or folder that exists"));
        }
    }
    let walk = ignore::WalkBuilder::new(root)
        .hidden(false)
        .ignore(!no_ignore)
        .git_ignore(!no_ignore)
        .git_global(!no_ignore)
        .git_exclude(!no_ignore)
        .parents(!no_ignore)
        // A folder that was unpacked or copied has its .gitignore too.
        .require_git(false)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git")
        .build();
    for entry in walk {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|t| t.is_dir()) => {}
            // The root itself, where a link that was named leads to a folder.
            Ok(entry) if entry.depth() == 0 && entry.path().is_dir() => {}
            // Inside a folder plain files alone: a link leads elsewhere, a pipe would never end.
            Ok(entry) if entry.depth() > 0 && !entry.file_type().is_some_and(|t| t.is_file()) => {}
            Ok(entry) => {
                let made_up = entry.path().strip_prefix(root).is_ok_and(made_up::is_place);
                inputs.push(Input::File { path: entry.into_path(), made_up });
            }
            Err(e) => problem(&e.to_string()),
        }
    }
    Ok(())
}

/// Does `work` on each input on as many threads as there are cores, and hands what it came to on in order.
pub(super) fn each<T: Send>(
    inputs: &[Input],
    work: impl Fn(&Input, Content<'_>) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(inputs.len());
    if threads <= 1 {
        return inputs
            .iter()
            .enumerate()
            .try_for_each(|(number, input)| take(number, work(input, input.content())));
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Bounded: no worker runs far ahead of what is told.
        let (send, receive) = mpsc::sync_channel(256);
        for _ in 0..threads {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(number) else { break };
                    if send.send((number, work(input, input.content()))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        let mut expected = 0;
        for (number, done) in receive {
            waiting.insert(number, done);
            while let Some(done) = waiting.remove(&expected) {
                take(expected, done)?;
                expected += 1;
            }
        }
        Ok(())
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_named_leads_on_and_one_that_is_met_does_not() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a.env"), "x").unwrap();
        std::os::unix::fs::symlink(&folder, folder.join("round")).unwrap();
        let (to_folder, to_file) = (place.path().join("link"), place.path().join("one"));
        std::os::unix::fs::symlink(&folder, &to_folder).unwrap();
        std::os::unix::fs::symlink(folder.join("a.env"), &to_file).unwrap();
        for (root, found) in [(&to_folder, to_folder.join("a.env")), (&to_file, to_file.clone())] {
            let (mut inputs, mut problems) = (Vec::new(), Vec::new());
            tree(root, false, &mut inputs, &mut |problem| problems.push(problem.to_owned())).unwrap();
            let paths: Vec<_> = inputs.iter().map(|input| input.path().unwrap().to_owned()).collect();
            assert_eq!((paths, problems), (vec![found], Vec::<String>::new()));
        }
    }
}
