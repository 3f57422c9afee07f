//! PURE. What a start or a reload would do with failover services, in the order
//! in which it would be said, for `--plan` and `--test-start`.

use super::ledger::Ledger;
use super::wanted::Block;

/// What would be done with one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// In words.
    pub text: String,
    /// Whether something is done at all.
    pub is_act: bool,
}

/// One for each service: the file's first, then those that leave it. `ledger` is
/// what is started now.
pub fn preview(blocks: &[Block], ledger: &Ledger) -> Vec<Item> {
    let wanted = blocks.iter().map(|block| {
        let Block { name, at, .. } = block;
        let when = if ledger.is_standby { ", when this director becomes active" } else { "" };
        let start = if block.start.is_empty() { String::new() } else { format!(": {}", block.start.join(" ")) };
        let what = if block.start.is_empty() { "watch" } else { "start" };
        let Some(started) = ledger.started.get(&block.key) else {
            let text = format!("{what} failover service {name} {at}{when}{start}");
            return Item { text, is_act: !ledger.is_standby };
        };
        let text = match &started.given_up {
            None => format!("keep failover service {name} {at}, which is started"),
            Some(why) => format!("try failover service {name} {at} again, which was given up: {why}"),
        };
        Item { text, is_act: started.given_up.is_some() }
    });
    let leaving = ledger.started.iter().filter(|(key, _)| blocks.iter().all(|block| block.key != **key));
    let leaving = leaving.map(|(key, started)| {
        let how = if started.stop.is_empty() { String::new() } else { format!(": {}", started.stop.join(" ")) };
        Item { text: format!("stop failover service {} ({key}){how}", started.name), is_act: true }
    });
    wanted.chain(leaving).collect()
}

#[cfg(test)]
mod tests {
    use common::config::{Fake, Syntax, load_with};

    use super::super::ledger;
    use super::super::wanted::wanted;
    use super::*;
    use crate::nanny_command::Manner;

    fn said(ledger: &str) -> Vec<(String, bool)> {
        let block = |name: &str, port: u16, more: &str| {
            format!("failover {name} {{\n active = 1\n address = 192.0.2.9 eth0:1\n port = {port}\n{more}\n}}\n")
        };
        let text = ["service = fos\n", &block("web", 80, "start_cmd = \"/x start\""), &block("mail", 25, "")].concat();
        let mut world = Fake::default();
        world.files.insert("lvs.cf".into(), text.into());
        let config = load_with("lvs.cf".as_ref(), Syntax::LvsCf, &world).unwrap_or_else(|e| panic!("{e}")).config;
        let (blocks, _) = wanted(&config, "/x/nanny".as_ref(), &Manner::default());
        let (ledger, bad) = ledger::parse(&format!("boot\t1\n{ledger}"), "1");
        assert_eq!(bad, 0);
        preview(&blocks, &ledger).into_iter().map(|item| (item.text, item.is_act)).collect()
    }

    #[test]
    fn what_is_not_here_is_started_or_watched() {
        let start = ("start failover service web 192.0.2.9:80: /x start".to_owned(), true);
        assert_eq!(said(""), [start, ("watch failover service mail 192.0.2.9:25".to_owned(), true)]);
    }

    #[test]
    fn a_standby_starts_nothing_yet() {
        let when = "when this director becomes active";
        let start = (format!("start failover service web 192.0.2.9:80, {when}: /x start"), false);
        assert_eq!(said("standby\n"), [start, (format!("watch failover service mail 192.0.2.9:25, {when}"), false)]);
    }

    #[test]
    fn what_is_started_stays_what_left_the_file_goes_and_what_was_given_up_is_tried() {
        let ledger = "tcp 192.0.2.9:80\tweb\t10000\t/x stop\ntcp 192.0.2.9:25\tmail\t10000\t\n\
                      given up\ttcp 192.0.2.9:25\tit does not answer\ntcp 192.0.2.9:81\told\t10000\t/y stop\n";
        let keep = "keep failover service web 192.0.2.9:80, which is started";
        let again = "try failover service mail 192.0.2.9:25 again, which was given up: it does not answer";
        let stop = "stop failover service old (tcp 192.0.2.9:81): /y stop";
        assert_eq!(
            said(ledger),
            [(keep, false), (again, true), (stop, true)].map(|(text, act)| (text.to_owned(), act))
        );
    }
}
