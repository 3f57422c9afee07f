//! lvsd, as the hands have it: found or started, spoken to and listened to.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use common::channel::services::Pages;
use common::channel::{self, Ask, Line, Received, Said};
use common::child::{self, Exit};
use common::daemon;

use super::{Hands, READ_AT_ONCE, text, watch};
use crate::election::{self, Watched};
use crate::messages::Message;
use crate::node::Event;
use crate::notify::Notice;
use crate::ready::Source;

/// lvsd, as a process and a line to it.
#[derive(Debug)]
pub(super) struct Lvsd {
    pub(super) pid: u32,
    /// Gone once it ended: the process follows.
    pub(super) line: Option<Line>,
    /// Whether it is our child, whose end waitpid tells.
    pub(super) ours: bool,
    /// What it has said so far of a list of virtual IPs.
    pages: Pages,
}

impl Hands {
    pub(super) fn spawn_lvsd(&mut self) -> child::Event {
        let place = daemon::run_root().join("lvsd");
        if let Ok(line) = channel::join(&place)
            && let Ok(peer) = line.peer()
            && watch(&self.registry, &line, Source::Lvsd).is_ok()
        {
            let pid = peer.pid().unsigned_abs();
            self.log.say(&Message::LvsdFound(pid));
            self.lvsd = Some(Lvsd { pid, line: Some(line), ours: false, pages: Pages::default() });
            return child::Event::Adopted(pid);
        }
        match self.start_lvsd() {
            Ok(lvsd) => {
                let pid = lvsd.pid;
                self.lvsd = Some(lvsd);
                child::Event::Spawned(pid)
            }
            Err(e) => {
                self.log.say(&Message::NoLvsd { path: self.lvsd_program.clone(), error: e.to_string() });
                child::Event::SpawnFailed
            }
        }
    }

    fn start_lvsd(&self) -> io::Result<Lvsd> {
        let arguments = self.args.for_lvsd();
        let line = text(&arguments).join(" ");
        self.log.say(&Message::Executing(format!("{} {line}", self.lvsd_program.display())));
        let (line, theirs) = Line::pair()?;
        watch(&self.registry, &line, Source::Lvsd)?;
        let mut command = daemon::command(&self.lvsd_program);
        command.args(arguments).stdin(theirs);
        if self.args.nodaemon {
            // A Ctrl-C is for us: we stop it when its addresses are gone.
            command.process_group(0);
        } else {
            // Ours may still be the terminal of whoever starts us.
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Ok(Lvsd { pid: command.spawn()?.id(), line: Some(line), ours: true, pages: Pages::default() })
    }

    /// Whose turn it is; failover services run on the active director.
    pub(super) fn tell_lvsd(&self) {
        self.ask_lvsd(if self.is_active { &Ask::Serve } else { &Ask::Rest });
    }

    fn ask_lvsd(&self, ask: &Ask) {
        if let Some(line) = self.lvsd.as_ref().and_then(|lvsd| lvsd.line.as_ref()) {
            // One that ended is started again, and told then.
            let _ = line.send(&ask.encode());
        }
    }

    pub(super) fn receive_lvsd(&mut self, events: &mut VecDeque<Event>) -> bool {
        for _ in 0..READ_AT_ONCE {
            let Some(lvsd) = self.lvsd.as_mut() else { return false };
            let (pid, ours) = (lvsd.pid, lvsd.ours);
            let Some(line) = lvsd.line.as_ref() else { return false };
            match line.receive_said() {
                Received::Message(Said::Hello { arguments, version, .. }) => {
                    events.push_back(Event::Lvsd(child::Event::Heard));
                    // What the one before said is not this one's word.
                    events.push_back(services(election::Event::Mended));
                    self.tell_lvsd();
                    if !ours && arguments != text(&self.args.for_lvsd()) {
                        self.log.say(&Message::LvsdOther(pid));
                        events.push_back(Event::Lvsd(child::Event::Replace));
                    } else if !ours && (version != channel::VERSION || daemon::is_replaced(pid)) {
                        self.log.say(&Message::LvsdOld(pid));
                        events.push_back(Event::Lvsd(child::Event::Replace));
                    } else if !ours {
                        self.ask_lvsd(&Ask::Renew);
                    }
                }
                Received::Message(Said::Unable(why)) => {
                    self.say(&Message::Unable(why));
                    events.push_back(services(election::Event::Failing));
                }
                Received::Message(Said::Able) => {
                    self.say(&Message::Able);
                    events.push_back(services(election::Event::Mended));
                }
                Received::Message(Said::Withdrawn(page)) => {
                    events.push_back(Event::Lvsd(child::Event::Heard));
                    events.extend(lvsd.pages.take(page).map(Event::Withdrawn));
                }
                Received::Message(Said::News(news)) => {
                    events.push_back(Event::Lvsd(child::Event::Heard));
                    self.listeners.missed(news.lost);
                    self.notify(&Notice::of_news(news));
                }
                Received::Message(Said::Ready) => events.push_back(Event::Lvsd(child::Event::Ready)),
                Received::Message(
                    Said::Alive
                    | Said::Verdict { .. }
                    | Said::Flaps(_)
                    | Said::Holds(_)
                    | Said::Dropped(_)
                    | Said::Leaving(_)
                    | Said::Answer { .. }
                    | Said::Why { .. },
                )
                | Received::Garbage(_) => {
                    events.push_back(Event::Lvsd(child::Event::Heard));
                }
                Received::Nothing => return false,
                Received::Ended if ours => {
                    lvsd.line = None; // how it ended, waitpid will tell
                    return false;
                }
                Received::Ended => {
                    self.lvsd = None;
                    events.push_back(Event::Lvsd(child::Event::Gone(Exit::Unknown)));
                    return false;
                }
            }
        }
        true
    }
}

/// What lvsd says of the services it keeps.
fn services(event: fn(Watched) -> election::Event) -> Event {
    Event::Pair(Box::new(event(Watched::Services)))
}
