//! What one lvsd leaves and the next one goes on with: what was started, and the
//! commands that run.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::command::Running;
use common::ipvs::ServiceKey;

use super::{Daemon, Event, Failover, Kept, Part, Which};
use crate::failover::ledger::{Command, Ledger, Started};
use crate::failover::service::{Past, Rules, Service, UnderWay};
use crate::failover::wanted::Block;
use crate::hands;
use crate::messages::Message;

impl Kept {
    /// One that a predecessor started and the file does not want.
    fn left_over(at: SocketAddr, started: Started, now: Instant) -> Self {
        let rules = Rules {
            has_start: false,
            has_stop: !started.stop.is_empty(),
            settle: Duration::ZERO,
            doubt: Duration::ZERO,
            restarts: 0,
            period: Duration::ZERO,
        };
        // Nothing follows its stop.
        let under_way = started.command.map(|command| match command.what {
            UnderWay::Start => UnderWay::Start,
            UnderWay::Stop | UnderWay::Restart => UnderWay::Stop,
        });
        Self {
            name: started.name,
            at,
            start: (Vec::new(), Duration::ZERO),
            stop: (started.stop, started.stop_within),
            monitor: None,
            service: Service::adopt(rules, Past { under_way, ..Past::default() }, now),
            command: None,
        }
    }
}

impl Daemon<Failover> {
    /// What a predecessor started is not started again, and what the file does not want
    /// of it is stopped.
    pub(super) fn succeed(&mut self, blocks: &[Block], now: Instant) {
        let mut inherited = std::mem::take(&mut self.own.inherited).started;
        let since_boot = hands::since_boot();
        let (mut ended, mut unwanted) = (Vec::new(), Vec::new());
        for block in blocks {
            let Some(started) = inherited.remove(&block.key) else { continue };
            self.log.say(&Message::FailoverAdopted { name: block.name.clone(), at: block.at });
            // One of which no clock can tell is long ago.
            let at = |at: &Duration| now.checked_sub(since_boot.saturating_sub(*at));
            let restarts = started.restarts.iter().filter_map(at).collect();
            let under_way = started.command.map(|command| command.what);
            let past = Past { restarts, given_up: started.given_up, under_way };
            let kept = Kept::new(block, Service::adopt(block.rules, past, now));
            self.take_over((block.key, kept), started.command, &mut ended, now);
        }
        for (key, started) in inherited {
            let ServiceKey::Address { address, port, .. } = key else { continue };
            let command = started.command;
            let kept = Kept::left_over(SocketAddr::new(address, port), started, now);
            self.take_over((key, kept), command, &mut ended, now);
            unwanted.push(key);
        }
        // All of them are here: what is written now names each.
        for key in ended {
            // How it ended, the service will show.
            self.feed(&key, Event::Ended(Ok(())), now);
        }
        for key in unwanted {
            self.feed(&key, Event::Stop, now);
        }
    }

    /// One of them, with the command that was under way: it has the rest of its time.
    fn take_over(
        &mut self,
        (key, mut kept): (ServiceKey, Kept),
        command: Option<Command>,
        ended: &mut Vec<ServiceKey>,
        now: Instant,
    ) {
        if let Some(Command { what, identity, until, within }) = command {
            let left = until.saturating_sub(hands::since_boot()).min(within);
            let which = match what {
                UnderWay::Start => Which::Start,
                UnderWay::Stop | UnderWay::Restart => Which::Stop,
            };
            kept.command = Running::inherit(identity, within, now + left).map(|running| (which, running));
            if kept.command.is_some() {
                let (name, command) = (kept.name.clone(), what.keyword());
                self.log.say(&Message::FailoverUnderWay { name, command, left });
            } else {
                ended.push(key);
            }
        }
        self.own.kept.insert(key, kept);
    }

    /// What is started, for the next lvsd.
    pub(super) fn write_ledger(&mut self) {
        let Some(file) = &self.own.file else { return };
        let (now, since_boot) = (Instant::now(), hands::since_boot());
        let started = self.own.kept.iter().filter(|(_, kept)| !kept.service.is_over()).map(|(key, kept)| {
            let ((stop, stop_within), Past { restarts, given_up, under_way }) =
                (kept.stop.clone(), kept.service.past());
            let at = |at: Instant| since_boot.saturating_sub(now.saturating_duration_since(at));
            let restarts = restarts.into_iter().map(at).collect();
            let running = under_way.zip(kept.command.as_ref()).and_then(|(what, (_, running))| {
                let until = since_boot + running.deadline().saturating_duration_since(now);
                Some(Command { what, identity: running.identity()?, until, within: running.within() })
            });
            let name = kept.name.clone();
            (*key, Started { name, stop, stop_within, restarts, given_up, command: running })
        });
        let is_standby = self.own.part == Part::Rest && !self.is_stopping();
        if let Err(e) = file.write(&Ledger { started: started.collect(), is_standby }) {
            self.log.say(&Message::NoState { reason: format!("{}: {e}", file.path().display()) });
        }
    }
}
