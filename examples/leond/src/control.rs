//! The control socket: a Unix socket, one JSON request and one JSON answer per connection, one line each.
//! Carries reports and explanations; does not know what is in them.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::explain::Explanation;
use crate::status::Report;

/// Longest request, in bytes.
const MAX_REQUEST: u64 = 4096;
/// Longest answer, in bytes: a full mesh of 4096 members and a full FDB have room.
const MAX_ANSWER: u64 = 1 << 30;
/// How long either side waits for the other's next byte.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is said of an answer that is not what was asked for.
pub(crate) const NO_SENSE: &str = "the answer of leond makes no sense: is it of another version?";

/// What a client asks.
#[derive(Deserialize, Serialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub(crate) enum Request {
    /// The state of the node.
    Status,
    /// Why frames for a member take the path they take.
    Explain {
        /// Its name, or the beginning of its public key or id.
        member: String,
    },
}

/// What the daemon answers.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Status(Report),
    Explain(Explanation),
    /// Why there is no answer, in one sentence.
    Error(String),
}

/// A listening control socket; its file is removed when the value is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`, for this user only. The file of a dead daemon is replaced.
    pub(crate) fn bind(path: &Path) -> anyhow::Result<ControlSocket> {
        remove_stale(path)?;
        let listener =
            listen(path).with_context(|| format!("cannot create control socket {}", path.display()))?;
        Ok(ControlSocket { listener, path: path.to_owned() })
    }

    /// Answers clients, one after the other, on a thread of its own that ends with the process: with what
    /// `reply` gives for each request.
    pub(crate) fn serve(&self, reply: impl Fn(Request) -> Answer + Send + 'static) -> anyhow::Result<()> {
        let listener = self.listener.try_clone()?;
        let serve = move || {
            for client in listener.incoming() {
                // A client that goes away is its own affair.
                if let Err(error) = client.and_then(|stream| answer(&stream, &reply)) {
                    log::debug!("control client: {error}");
                }
            }
        };
        thread::Builder::new().name("control".to_owned()).spawn(serve).context("cannot start a thread")?;
        Ok(())
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("cannot remove control socket {}: {error}", self.path.display());
        }
    }
}

/// Asks the daemon at `path`. An answer that it refuses is an error.
pub(crate) fn ask(path: &Path, request: &Request) -> anyhow::Result<Answer> {
    let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            anyhow::anyhow!("no leond answers at {}: start it, or name its --socket", path.display())
        }
        _ => anyhow::anyhow!("cannot connect to {}: {error}", path.display()),
    })?;
    let text =
        exchange(&stream, request).with_context(|| format!("leond at {} gives no answer", path.display()))?;
    match serde_json::from_str(&text).context(NO_SENSE)? {
        Answer::Error(error) => bail!("leond refuses: {error}"),
        answer => Ok(answer),
    }
}

fn exchange(stream: &UnixStream, request: &Request) -> anyhow::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write_line(stream, request)?;
    let mut text = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut text)?;
    Ok(text)
}

fn answer(stream: &UnixStream, reply: &impl Fn(Request) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_REQUEST)).read_until(b'\n', &mut line)?;
    let answer = match serde_json::from_slice(&line) {
        Ok(request) => reply(request),
        Err(error) => Answer::Error(error.to_string()),
    };
    write_line(stream, &answer)
}

fn write_line(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(message)?;
    text.push(b'\n');
    stream.write_all(&text)
}

/// Removes the socket file that a dead daemon left at `path`.
fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    ensure!(
        metadata.file_type().is_socket(),
        "{} exists and is not a socket: remove it, or choose another --socket",
        path.display()
    );
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .with_context(|| format!("cannot remove the control socket {} of a dead leond", path.display())),
        Err(error) => Err(error).with_context(|| format!("cannot use control socket {}", path.display())),
        Ok(_) => bail!("another leond answers at {}: stop it, or choose another --socket", path.display()),
    }
}

/// As `UnixListener::bind`, but nobody can connect before the mode is set.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_daemons_socket_is_replaced_and_a_live_ones_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leond.sock");
        drop(UnixListener::bind(&path).unwrap());
        let live = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = ControlSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("another leond answers"), "{error}");
        drop(live);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = ControlSocket::bind(file.path()).unwrap_err().to_string();
        assert!(error.contains("is not a socket"), "{error}");
        assert!(file.path().exists());
    }

    #[test]
    fn clients_that_talk_nonsense_get_an_error_and_the_next_one_is_served() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leond.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        socket.serve(|_| Answer::Status(Report::default())).unwrap();
        for nonsense in [&b"\xff\xfe\n"[..], b"{}\n", b"{\"request\":\"reboot\"}\n", &[b'x'; 100_000]] {
            let mut client = UnixStream::connect(&path).unwrap();
            // The server may have hung up on the longest before all of it was written.
            let _ = client.write_all(nonsense);
            let mut text = String::new();
            let _ = client.read_to_string(&mut text);
            assert!(text.is_empty() || text.starts_with("{\"error\":"), "{text}");
        }
        drop(UnixStream::connect(&path).unwrap());
        let answer = ask(&path, &Request::Explain { member: "seoul".to_owned() }).unwrap();
        assert!(matches!(answer, Answer::Status(report) if report.members.is_empty()));
        // As clients of earlier versions write it.
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"{\"request\":\"status\"}\n").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("{\"status\":"), "{text}");
    }
}
