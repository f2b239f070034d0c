//! One command and disks.

use sallyport_policy::Severity::{Critical, High};

use super::One;
use crate::output::commands::Judgement;
use crate::output::commands::words::{flag, has, targets};
use crate::output::paths::is_disk;

/// What it does to disks and what is made of them.
pub(super) fn disks(one: &One<'_>) -> Option<Judgement> {
    let One { command, name, text, .. } = *one;
    let disk = || targets(command).any(is_disk);
    match name {
        "dd" => {
            let out = command.arguments().iter().find_map(|word| word.text.strip_prefix("of="));
            out.is_some_and(is_disk).then_some(("wipes_disk", Critical))
        }
        "wipefs" | "blkdiscard" | "mkswap" | "sgdisk" | "hdparm" | "badblocks" | "mke2fs" | "newfs"
            if disk() =>
        {
            let looks = text.contains(" -n")
                || text.contains("--print")
                || (name == "hdparm" && !text.contains("erase"));
            (!looks).then_some(("wipes_disk", Critical))
        }
        "fdisk" | "parted" | "sfdisk" | "cfdisk" if disk() => {
            let changes =
                ["mklabel", "rm ", "--delete", "mkpart", "--wipe"].iter().any(|word| text.contains(word));
            changes.then_some(("wipes_disk", Critical))
        }
        _ if name.starts_with("mkfs") && disk() => Some(("wipes_disk", Critical)),
        "cryptsetup"
            if text.contains("luksErase")
                || text.contains(" erase")
                || (text.contains("luksFormat") && disk()) =>
        {
            Some(("wipes_disk", Critical))
        }
        "nvme" if text.contains(" format") || text.contains("sanitize") => Some(("wipes_disk", Critical)),
        "lvremove" | "vgremove" | "pvremove" => {
            (flag(command, 'f', "force") || flag(command, 'y', "yes")).then_some(("wipes_disk", High))
        }
        "zpool" | "zfs" if has(command, &["destroy"]) => Some(("wipes_disk", High)),
        "diskutil"
            if ["eraseDisk", "zeroDisk", "secureErase", "eraseVolume", "partitionDisk"]
                .iter()
                .any(|word| text.contains(word)) =>
        {
            Some(("wipes_disk", Critical))
        }
        _ => None,
    }
}
