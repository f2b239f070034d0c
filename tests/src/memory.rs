//! Reads the memory of a running process, as root does: every readable mapping, by `/proc/PID/mem`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, bail};

use crate::tools;

const STEP: usize = 4 << 20;

/// For each needle, in how many places it stands in the memory of process `pid`; and how many bytes were read.
pub fn count(pid: u32, needles: &[Vec<u8>]) -> Result<(Vec<usize>, usize)> {
    if !tools::is_root() {
        bail!("reading another process's memory needs root: run this test as root");
    }
    let search = AhoCorasick::new(needles)?;
    let overlap = needles.iter().map(Vec::len).max().unwrap_or(1) - 1;
    let mut counts = vec![0; needles.len()];
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("reading the list of mappings")?;
    let memory = File::open(format!("/proc/{pid}/mem")).context("opening the memory")?;
    let mut total = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        // The kernel's own pages cannot be read by offset.
        if !rights.starts_with('r') || line.ends_with("[vvar]") || line.ends_with("[vsyscall]") {
            continue;
        }
        let Some((start, end)) = parse(range) else { bail!("a mapping reads {line:?}") };
        let mut at = start;
        while at < end {
            let length = (end - at).min((STEP + overlap) as u64) as usize;
            let mut piece = vec![0; length];
            let read = memory.read_at(&mut piece, at).unwrap_or(0);
            piece.truncate(read);
            total += read;
            // What lies whole in the overlap is found again in the next piece; a count too high is no harm.
            for found in search.find_overlapping_iter(&piece) {
                counts[found.pattern().as_usize()] += 1;
            }
            if read == 0 {
                break;
            }
            at += STEP.min(length) as u64;
        }
    }
    if total < 1 << 20 {
        bail!("only {total} bytes of process {pid} could be read");
    }
    Ok((counts, total))
}

fn parse(range: &str) -> Option<(u64, u64)> {
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}
