//! Watched folders by inotify(7).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use crate::folders::Change;

#[derive(Debug)]
pub(crate) struct FolderWatch {
    events: OwnedFd,
    folders: HashMap<i32, PathBuf>,
}

impl FolderWatch {
    pub(crate) fn begin() -> Option<FolderWatch> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        Some(FolderWatch { events, folders: HashMap::new() })
    }

    pub(crate) fn add(&mut self, folder: &Path) -> bool {
        let wanted = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::EXCL_UNLINK;
        let added = inotify::add_watch(&self.events, folder, wanted);
        added.map(|number| self.folders.insert(number, folder.to_owned())).is_ok()
    }

    pub(crate) fn wait(&mut self, seconds: u32) -> Vec<Change> {
        let time = Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
        let mut ready = [PollFd::new(&self.events, PollFlags::IN)];
        if !rustix::event::poll(&mut ready, Some(&time)).is_ok_and(|ready| ready > 0) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let mut gone = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = Reader::new(&self.events, &mut buffer);
        while let Ok(event) = reader.next() {
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.push(Change::Lost);
            }
            if what.contains(ReadFlags::IGNORED) {
                gone.push(event.wd());
            }
            let Some((folder, name)) = self.folders.get(&event.wd()).zip(event.file_name()) else { continue };
            let path = folder.join(OsStr::from_bytes(name.to_bytes()));
            if !what.contains(ReadFlags::ISDIR) {
                // That a file begins to be is no news before something stands in it.
                if !what.contains(ReadFlags::CREATE) {
                    changes.push(Change::File(path));
                }
            } else if what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                changes.push(Change::Folder(path));
            }
        }
        for number in gone {
            self.folders.remove(&number);
        }
        changes
    }
}
