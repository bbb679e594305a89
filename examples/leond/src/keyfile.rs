//! Key files: one key in base64 on one line, as WireGuard writes them, for the eyes of their owner only.
//! What the keys are used for is not known here.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use leon::{KeyError, SecretKey};
use zeroize::Zeroizing;

/// Characters of a key.
const KEY_LEN: usize = 44;
/// A key and its newline, and room for stray white space, in bytes.
const MAX_LEN: usize = 128;

/// Writes `key` to a new file at `path`, which nobody but this user can read at any time, and returns when it
/// is on the disk. A file that exists, whatever it is, is left alone.
pub(crate) fn create(path: &Path, key: &Zeroizing<String>) -> anyhow::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let shown = path.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                anyhow!("{shown} exists already, and a key is never overwritten: choose another file")
            }
            _ => anyhow!("cannot create key file {shown}: {error}"),
        }
    })?;
    let line = Zeroizing::new([key.as_bytes(), b"\n"].concat());
    if let Err(error) = file.write_all(&line).and_then(|()| file.sync_all()) {
        // Part of a key is of no use, and would be in the way of the next attempt.
        let _ = fs::remove_file(path);
        return Err(error).with_context(|| format!("cannot write key file {}", path.display()));
    }
    // The name of the file must last too. Not every directory can be read and not every file system can do
    // this; the key has been written either way.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

/// Reads the key in the file at `path`, which only its owner may have access to, through `parse`. Each error
/// is one sentence that names the file and holds nothing of its content; `make` says in it how to get a file
/// that is not there.
pub(crate) fn read<K>(
    path: &Path,
    make: &str,
    parse: impl FnOnce(&str) -> Result<K, KeyError>,
) -> anyhow::Result<K> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if holds_key(&path.to_string_lossy()) => {
            anyhow!("the path of a key file is needed, not the key itself")
        }
        io::ErrorKind::NotFound => anyhow!("there is no key file {shown}: {make}"),
        _ => anyhow!("cannot open key file {shown}: {error}"),
    })?;
    let metadata = file.metadata().with_context(|| format!("cannot examine key file {shown}"))?;
    check(path, &metadata)?;
    parse_from(file, &format!("key file {shown}"), parse)
}

/// Reads a key from standard input, to its end.
pub(crate) fn read_stdin<K>(parse: impl FnOnce(&str) -> Result<K, KeyError>) -> anyhow::Result<K> {
    // A file of its own: the one of the standard library would keep the key in its buffer.
    let stdin = io::stdin().as_fd().try_clone_to_owned().context("cannot read standard input")?;
    parse_from(File::from(stdin), "standard input", parse)
}

/// True if the text of a key stands in `text`, which must not be shown then.
pub(crate) fn holds_key(text: &str) -> bool {
    let is_key = |window| str::from_utf8(window).is_ok_and(|text| SecretKey::from_base64(text).is_ok());
    text.as_bytes().windows(KEY_LEN).any(is_key)
}

/// Refuses what is no file, and a file that others than its owner can read or write.
fn check(path: &Path, metadata: &Metadata) -> anyhow::Result<()> {
    let (shown, kind) = (path.display(), metadata.file_type());
    ensure!(!kind.is_dir(), "key file {shown} is a directory");
    // A pipe is what a shell makes of <(command).
    ensure!(kind.is_file() || kind.is_fifo(), "key file {shown} is not a regular file");
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "key file {shown} has mode {mode:04o}, which gives others than its owner access to the key: run `chmod 600 \
         {shown}`"
    );
    Ok(())
}

fn parse_from<K>(
    mut source: File,
    name: &str,
    parse: impl FnOnce(&str) -> Result<K, KeyError>,
) -> anyhow::Result<K> {
    let mut buffer = Zeroizing::new([0; MAX_LEN]);
    let mut length = 0;
    while length < MAX_LEN {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => bail!("cannot read {name}: {error}"),
        }
    }
    ensure!(length < MAX_LEN, "{name} holds more than one line with the {KEY_LEN} characters of a key");
    let line = buffer[..length].trim_ascii();
    ensure!(!line.is_empty(), "{name} is empty");
    let key = str::from_utf8(line).map_err(|_| KeyError::Alphabet).and_then(parse);
    key.map_err(|error| anyhow!("{name} holds no key: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

    fn read_secret(path: &Path) -> anyhow::Result<SecretKey> {
        read(path, "make one", SecretKey::from_base64)
    }

    /// What is said about a file of mode 0600 with this content.
    fn refusal(content: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!("{:#}", read_secret(&path).unwrap_err());
        let rest = text.strip_prefix(&format!("key file {} ", path.display()));
        rest.unwrap_or_else(|| panic!("the file is not named: {text}")).to_owned()
    }

    #[test]
    fn a_key_is_read_back_also_through_a_symlink_and_is_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let [path, link] = ["key", "link"].map(|name| directory.path().join(name));
        create(&path, &Zeroizing::new(KEY.to_owned())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{KEY}\n"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        symlink(&path, &link).unwrap();
        for path in [&path, &link] {
            assert_eq!(*read_secret(path).unwrap().to_base64(), KEY);
        }
    }

    #[test]
    fn white_space_around_a_key_does_no_harm() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("\n {KEY}\r\n\n")).unwrap();
        assert_eq!(*read_secret(file.path()).unwrap().to_base64(), KEY);
    }

    #[test]
    fn nothing_is_overwritten_not_even_what_a_symlink_points_to() {
        let directory = tempfile::tempdir().unwrap();
        let [path, link] = ["key", "link"].map(|name| directory.path().join(name));
        symlink(&path, &link).unwrap();
        let key = Zeroizing::new(KEY.to_owned());
        assert!(create(&link, &key).unwrap_err().to_string().contains("exists already"));
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(create(&path, &key).unwrap_err().to_string().contains("exists already"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn whatever_others_may_do_with_a_key_file_makes_it_useless() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path, &Zeroizing::new(KEY.to_owned())).unwrap();
        for (mode, is_fine) in
            [(0o400, true), (0o700, true), (0o640, false), (0o604, false), (0o620, false), (0o601, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let result = read_secret(&path).map_err(|error| error.to_string());
            assert_eq!(result.is_ok(), is_fine, "{mode:o}: {result:?}");
            if let Err(text) = result {
                let mend = format!("`chmod 600 {}`", path.display());
                assert!(text.contains(&format!("mode {mode:04o}")) && text.ends_with(&mend), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        assert_eq!(refusal(b""), "is empty");
        assert_eq!(refusal(b" \n"), "is empty");
        assert!(refusal(&KEY.as_bytes()[1..]).contains("44 characters of base64, this text has 43"));
        assert!(refusal(&[0xff; 44]).contains("holds no key"));
        assert!(refusal(&[b'A'; 4000]).contains("more than one line"));
        for text in [refusal(KEY.replace("Cn", "C-").as_bytes()), refusal(format!("{KEY} mine").as_bytes())] {
            assert!(text.contains("holds no key") && !text.contains("MYpX08"), "{text}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |path: &Path| read_secret(path).unwrap_err().to_string();
        assert!(refused(directory.path()).ends_with("is a directory"));
        assert!(refused(Path::new("/dev/null")).ends_with("is not a regular file"));
        let text = refused(&directory.path().join("absent"));
        assert!(text.contains("there is no key file") && text.ends_with(": make one"), "{text}");
    }

    #[test]
    fn a_key_in_place_of_a_path_is_not_shown() {
        let text = read_secret(Path::new(KEY)).unwrap_err().to_string();
        assert!(text.contains("not the key itself") && !text.contains("MYpX08"), "{text}");
        assert!(holds_key(&format!("key={KEY}")) && !holds_key(&KEY[1..]) && !holds_key("/etc/leond/key"));
    }
}
