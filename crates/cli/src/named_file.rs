//! Files that a person names on the command line. What is no ordinary file might never end, so it is an error and no
//! wait; a pipe is taken where it is meant: `-`, `/dev/stdin`, and what a shell hands over (`<(…)`).

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

/// More than any policy, rule file, bundle or token has.
const MOST: u64 = 16 << 20;

/// What a file of at most 16 MiB holds.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(Error::new(ErrorKind::FileTooLarge, "it is longer than 16 MiB"));
    }
    Ok(bytes)
}

/// The same, where it is text.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    String::from_utf8(bytes(path)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
}

fn open(path: &Path) -> Result<Box<dyn Read>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    if !is_handed_over(path) {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "it is a folder" } else { "it is a device, pipe or socket" };
            return Err(Error::new(ErrorKind::InvalidInput, what));
        }
    }
    Ok(Box::new(File::open(path)?))
}

/// Whether a shell made this name for a command, or it is standard input.
pub(crate) fn is_handed_over(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") || path == Path::new("/dev/stdin")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_might_never_end_is_an_error_and_no_wait() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for endless in [pipe.as_path(), Path::new("/dev/zero")] {
            let error = text(endless).unwrap_err();
            assert_eq!(error.to_string(), "it is a device, pipe or socket", "{}", endless.display());
        }
        assert_eq!(text(folder.path()).unwrap_err().to_string(), "it is a folder");
        assert_eq!(text(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn texts_have_a_limit_and_an_encoding() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "kind: x\n").unwrap();
        assert_eq!(text(&file).unwrap(), "kind: x\n");
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(text(&file).unwrap_err().kind(), ErrorKind::InvalidData);
        File::create(&file).unwrap().set_len(MOST + 1).unwrap();
        assert_eq!(text(&file).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_pipe_that_a_shell_hands_over_is_read() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (from, mut to) = std::io::pipe().unwrap();
        to.write_all(b"handed over").unwrap();
        drop(to);
        let name = format!("/dev/fd/{}", from.as_raw_fd());
        assert_eq!(text(Path::new(&name)).unwrap(), "handed over");
    }
}
