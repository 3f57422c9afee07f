//! The processes the hands started: the user's commands begin here, and every end
//! is told apart by who it was.

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::{child, process};

use super::Hands;
use super::commands::Order;
use crate::messages::Message;
use crate::node::{Command as UserCommand, Event};
use crate::notify::Notice;

impl Hands {
    pub(super) fn run(&mut self, which: UserCommand) {
        let (command, keyword) = match which {
            UserCommand::Active => (&self.settings.active_cmd, "active_cmd"),
            UserCommand::Inactive => (&self.settings.inactive_cmd, "inactive_cmd"),
        };
        if let Some(words) = command.as_ref().filter(|words| !words.is_empty()) {
            let order = Order { keyword, words: words.clone(), within: self.settings.cmd_timeout };
            self.commands.run(order, Instant::now(), &self.log);
        }
        self.is_active = which == UserCommand::Active;
        self.tell_lvsd();
        self.notify(&Notice::of_state(which));
        self.interfaces.set_active(self.is_active, &self.log);
    }

    /// Every child that ended since the last turn. `guardian` is the process the
    /// node has for its guardian.
    pub fn reap(&mut self, guardian: Option<u32>, events: &mut VecDeque<Event>) {
        while let Some((pid, exit)) = process::reap() {
            if self.lvsd.as_ref().is_some_and(|lvsd| lvsd.ours && lvsd.pid == pid) {
                self.lvsd = None;
                events.push_back(Event::Lvsd(child::Event::Gone(exit)));
            } else if self.commands.reaped(pid, exit, Instant::now(), &self.log) {
                self.end_if_over();
            } else if let Some(at) = self.guardians.iter().position(|started| *started == pid) {
                self.guardians.swap_remove(at);
                if guardian == Some(pid) {
                    self.parents.retain(|parent| parent.pid != pid);
                    events.push_back(Event::Guardian(child::Event::Gone(exit)));
                }
            } else if self.checks.reaped(pid, exit, Instant::now(), events, &self.log) {
                // what it means was told
            } else if self.listeners.reaped(pid, exit, Instant::now(), &self.log) {
                // and so was this
            } else if let Some(at) = self.lookups.iter().position(|looking| *looking == pid) {
                self.lookups.swap_remove(at); // what it said is in its pipe
            } else {
                self.log.say(&Message::UnknownChild(pid));
            }
        }
    }
}

/// Without our terminal.
pub(super) fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
