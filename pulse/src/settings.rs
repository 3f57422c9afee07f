//! PURE. What pulse takes from the configuration, and the reasons why it will
//! not start with one.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use common::config::{Config, ServiceKind};

use crate::addresses::{self, Wanted};
use crate::messages::Message;

/// The configuration as pulse sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file it came from.
    pub path: PathBuf,
    /// The address of the one director.
    pub primary: Option<IpAddr>,
    /// The address of the other one.
    pub backup: Option<IpAddr>,
    /// The addresses to hold while active, in file order.
    pub wanted: Vec<Wanted>,
    /// Run when this director becomes active; program and arguments.
    pub active_cmd: Option<Vec<String>>,
    /// Run when it ceases to be.
    pub inactive_cmd: Option<Vec<String>>,
}

impl Settings {
    /// The settings in a configuration, with what is worth a line about them.
    ///
    /// # Errors
    /// The reason why no director can run with it.
    pub fn new(config: &Config) -> Result<(Self, Vec<Message>), Message> {
        let path = config.path.clone();
        match config.service {
            ServiceKind::Lvs => {}
            ServiceKind::Fos => return Err(Message::FailoverServices(path)),
        }
        if !config.virtuals.iter().any(|virtual_service| virtual_service.active) {
            return Err(Message::NoServices(path));
        }
        let mut remarks = Vec::new();
        if config.backup_active {
            match config.backup {
                Some(backup) => return Err(Message::Pair { path, backup }),
                None => remarks.push(Message::UndefinedBackup),
            }
        }
        let wanted = addresses::wanted(config);
        remarks.extend(
            wanted
                .iter()
                .filter(|one| one.by_class)
                .map(|one| Message::MaskByClass { address: one.address, prefix: one.prefix }),
        );
        let settings = Self {
            path,
            primary: config.primary,
            backup: config.backup,
            wanted,
            active_cmd: words(config.active_cmd.as_deref()),
            inactive_cmd: words(config.inactive_cmd.as_deref()),
        };
        Ok((settings, remarks))
    }

    /// What holds for a pulse that was killed and comes back to a file it cannot
    /// use: the addresses its predecessor held, and no commands.
    pub fn as_it_was(path: &Path, wanted: Vec<Wanted>) -> Self {
        let path = path.to_owned();
        Self { path, primary: None, backup: None, wanted, active_cmd: None, inactive_cmd: None }
    }
}

/// A command line split on blanks, without a shell, as the original did.
fn words(command: Option<&str>) -> Option<Vec<String>> {
    let words: Vec<String> = command?.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests;
