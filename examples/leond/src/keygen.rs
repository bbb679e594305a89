//! `leond keygen` and `leond pubkey`: making keys and showing what may be shown of them.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use leon::driver::clock;
use leon::{NetworkKey, SecretKey};
use zeroize::Zeroizing;

use crate::cli::{KeygenArgs, PubkeyArgs};
use crate::keyfile;

/// Makes a key. Of a secret key the public key is printed, of a network key nothing.
pub(crate) fn generate(arguments: &KeygenArgs) -> anyhow::Result<()> {
    let random = Zeroizing::new(clock::entropy().context("the kernel gives no random bytes")?);
    if arguments.network {
        return keyfile::create(&arguments.file, &NetworkKey::from_bytes(*random).to_base64());
    }
    let key = SecretKey::from_bytes(*random);
    keyfile::create(&arguments.file, &key.to_base64())?;
    print_public(&key)
}

/// Prints the public key that belongs to a secret key.
pub(crate) fn show_public(arguments: &PubkeyArgs) -> anyhow::Result<()> {
    let key = if arguments.file == Path::new("-") {
        keyfile::read_stdin(SecretKey::from_base64)?
    } else {
        keyfile::read(&arguments.file, "make one with `leond keygen FILE`", SecretKey::from_base64)?
    };
    print_public(&key)
}

fn print_public(key: &SecretKey) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{}", key.node_id().to_base64())?;
    Ok(())
}
