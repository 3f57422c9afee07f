//! Named behaviours: stopping, handing over, being unfit, failing back.

use super::*;

#[test]
fn a_stop_takes_the_vips_away_before_it_says_so() {
    let mut node = Node::active(Role::Master);
    assert_eq!(deeds(node.asked(Request::Stop)), [Action::Yield { why: Deactivation::Stopped }]);
    let meanwhile = node.wait(KEEPALIVE);
    assert!(beats(&meanwhile).iter().all(|beat| beat.word == Word::Hold && !beat.flags.leaving), "{meanwhile:?}");
    let mut out = node.event(Event::Lowered).to_vec();
    out.extend(node.wait(KEEPALIVE));
    let words = beats(&out);
    assert_eq!(words.len(), usize::from(LAST_WORDS));
    assert!(words.iter().all(|beat| beat.word == Word::Lvs(Claim::Stopped) && beat.flags.leaving));
    assert_eq!(out.last(), Some(&Action::Finished));
    assert_eq!(node.election.deadline(), None);
}

#[test]
fn the_last_words_end_when_the_partner_has_taken_over() {
    let mut node = Node::active(Role::Master);
    node.asked(Request::Stop);
    assert_eq!(beats(node.event(Event::Lowered)).len(), 1);
    assert_eq!(node.partner_says(Doing::Active), [Action::Finished]);
}

#[test]
fn a_stop_without_a_partner_does_not_wait() {
    let mut node = Node::fresh(Role::Master);
    node.wait(DEADTIME * 2);
    node.asked(Request::Stop);
    let out = node.event(Event::Lowered);
    assert_eq!((beats(out).len(), out.last()), (1, Some(&Action::Finished)));
}

#[test]
fn a_partner_that_stops_is_succeeded_in_the_same_moment() {
    let mut node = Node::standby(Role::Backup);
    let out = node.partner_says_with(Doing::Standby, |beat| beat.flags.leaving = true).to_vec();
    assert_eq!(deeds(&out), [Action::BecomeActive { why: Activation::PartnerLeft }]);
    assert_eq!(lines(&out), ["partner is being stopped", "partner stopped: activating lvs"]);
}

#[test]
fn vips_that_nobody_says_are_gone_do_not_hold_the_partner_up_for_ever() {
    let mut node = Node::active(Role::Backup);
    node.partner_says(Doing::Active);
    let out = node.wait(DEADTIME);
    assert_eq!(lines(&out), ["VIPs were not confirmed to be removed, going on"]);
    assert_eq!(node.election.state(), State::Standby);
}

#[test]
fn an_upgrade_lets_go_of_nothing_and_makes_the_partner_wait() {
    let mut node = Node::active(Role::Master);
    let out = node.asked(Request::Detach).to_vec();
    assert_eq!(deeds(&out), [Action::Finished]);
    assert_eq!((beats(&out)[0].state, beats(&out)[0].word), (Doing::Listening, Word::Hold));
}

#[test]
fn a_relocation_hands_over_to_a_partner_that_has_just_been_heard() {
    let mut node = Node::active(Role::Master);
    node.wait(KEEPALIVE / 2);
    let out = node.asked(Request::Relocate).to_vec();
    assert_eq!(deeds(&out), []);
    assert!(beats(&out)[0].flags.ask, "hurry");
    assert_eq!(deeds(node.partner_says(Doing::Standby)), [Action::Yield { why: Deactivation::Relocated }]);
    node.event(Event::Lowered);
    assert!(node.said.flags.handover);
    assert_eq!(deeds(node.partner_says(Doing::Standby)), [], "it has not seen that yet");
    node.partner_says(Doing::Active);
    node.wait_with(KEEPALIVE, Doing::Active);
    assert!(!node.said.flags.handover);
}

#[test]
fn what_is_handed_over_and_not_taken_comes_back() {
    let mut node = Node::active(Role::Master);
    node.asked(Request::Relocate);
    node.partner_says(Doing::Standby);
    node.event(Event::Lowered);
    let out = node.wait_with(DEADTIME + KEEPALIVE, Doing::Standby);
    assert_eq!(deeds(&out), [Action::BecomeActive { why: Activation::PartnerInactive }]);
}

#[test]
fn a_backup_takes_what_is_handed_to_it_at_once() {
    let mut node = Node::standby(Role::Backup);
    let out = node.partner_says_with(Doing::Standby, |beat| beat.flags.handover = true);
    assert_eq!(deeds(out), [Action::BecomeActive { why: Activation::PartnerInactive }]);
}

#[test]
fn a_relocation_to_a_partner_that_cannot_is_refused() {
    for state in [Doing::Unfit, Doing::Listening] {
        let mut node = Node::active(Role::Master);
        node.partner_says(state);
        let out = node.asked(Request::Relocate);
        assert_eq!(lines(out), ["not relocating: the partner cannot take over"]);
        assert_eq!(deeds(out), []);
    }
    let mut node = Node::active(Role::Master);
    node.asked(Request::Relocate);
    let out = node.wait(DEADTIME * 2);
    assert!(lines(&out).contains(&"not relocating: the partner cannot take over".to_owned()), "{out:?}");
    assert_eq!(node.election.state(), State::Active, "it died before it answered");
}

#[test]
fn a_relocation_asked_for_where_the_vips_should_go_is_a_request() {
    let mut node = Node::standby(Role::Backup);
    assert!(beats(node.asked(Request::Relocate))[0].flags.want);

    let mut node = Node::active(Role::Master);
    let want = |beat: &mut Heartbeat| beat.flags.want = true;
    assert_eq!(deeds(node.partner_says_with(Doing::Standby, want)), [], "not in the first moment");
    node.wait_with(DEADTIME, Doing::Standby);
    let out = node.partner_says_with(Doing::Standby, want).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::Wanted }]);
}

#[test]
fn an_original_yields_to_a_master_only() {
    let mut node = Node::fresh(Role::Master);
    node.original_says(Word::Lvs(Claim::Running));
    let out = node.asked(Request::Relocate).to_vec();
    assert_eq!(deeds(&out), [Action::BecomeActive { why: Activation::Relocated }]);

    let mut node = Node::fresh(Role::Backup);
    node.original_says(Word::Lvs(Claim::Running));
    let line = "not relocating: the partner is an original MASTER, which keeps what it has";
    assert_eq!(lines(node.asked(Request::Relocate)), [line]);
}

#[test]
fn a_released_director_stays_away_until_it_is_restored() {
    let mut node = Node::active(Role::Master);
    node.asked(Request::Release);
    assert_eq!(
        deeds(node.partner_says(Doing::Standby)),
        [Action::Yield { why: Deactivation::Unfit(Reason::Released) }]
    );
    node.event(Event::Lowered);
    assert_eq!((node.said.state, node.said.reason), (Doing::Unfit, Some(Reason::Released)));
    node.partner_says(Doing::Active);
    let out = node.wait(DEADTIME * 2);
    assert_eq!(lines(&out), ["partner dead, but released by hand: not activating"]);
    assert_eq!(deeds(node.asked(Request::Restore)).len(), 1, "the partner is still dead");
}

#[test]
fn an_unfit_director_hands_over_if_the_partner_can_and_stays_if_it_cannot() {
    let mut node = Node::active(Role::Backup);
    node.partner_says(Doing::Unfit);
    let out = node.event(Event::Failing(Watched::Lvsd)).to_vec();
    assert_eq!(lines(&out), ["lvsd cannot serve, but the partner cannot take over: staying active"]);
    assert_eq!(deeds(&out), []);
    let out = node.partner_says(Doing::Standby).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::Unfit(Reason::Lvsd) }]);
    assert_eq!(lines(&out), ["lvsd cannot serve: deactivating LVS"]);
}

#[test]
fn what_was_mended_must_hold_for_a_while_before_it_counts_between_two() {
    let mut node = Node::standby(Role::Backup);
    node.event(Event::Failing(Watched::Check));
    node.event(Event::Mended(Watched::Check));
    node.wait_with(Duration::from_secs(58), Doing::Active);
    assert_eq!((node.said.state, node.said.reason), (Doing::Unfit, Some(Reason::Check)), "it hands nothing to us");
    node.wait_with(KEEPALIVE * 2, Doing::Active);
    assert_eq!((node.said.state, node.said.reason), (Doing::Standby, None));
}

#[test]
fn what_was_mended_counts_at_once_where_the_partner_cannot_serve() {
    let mut node = Node::standby(Role::Backup);
    node.event(Event::Failing(Watched::Check));
    assert_eq!(deeds(&node.wait_with(KEEPALIVE, Doing::Unfit)), [], "neither of us can");
    node.event(Event::Mended(Watched::Check));
    let out = node.partner_says(Doing::Unfit).to_vec();
    assert_eq!(deeds(&out), [Action::BecomeActive { why: Activation::PartnerInactive }], "clients wait");
    let out = node.wait_with(KEEPALIVE * 2, Doing::Standby);
    assert_eq!((deeds(&out), node.election.state()), (vec![], State::Active), "it is well, and has no reason to go");
    node.event(Event::Failing(Watched::Check));
    let out = node.partner_says(Doing::Standby).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::Unfit(Reason::Check) }]);
}

#[test]
fn what_was_mended_counts_at_once_where_there_is_no_partner() {
    let mut node = Node::standby(Role::Backup);
    node.event(Event::Failing(Watched::Check));
    let out = node.wait(DEADTIME * 2);
    assert_eq!(deeds(&out), []);
    assert_eq!(lines(&out), ["partner dead, but check_cmd fails: not activating"]);
    assert_eq!(deeds(node.event(Event::Mended(Watched::Check))).len(), 1, "clients wait");
    let mut node = Node::standby(Role::Backup);
    node.event(Event::Failing(Watched::Check));
    node.event(Event::Mended(Watched::Check));
    let out = node.partner_says_with(Doing::Standby, |beat| beat.flags.leaving = true);
    assert_eq!(deeds(out), [Action::BecomeActive { why: Activation::PartnerLeft }]);
}

#[test]
fn a_link_failure_takes_the_vips_away_and_the_return_of_the_link_does_not_bring_them_back() {
    let mut node = Node::active(Role::Master);
    let out = node.event(Event::Link { path: 0, is_up: false }).to_vec();
    let said =
        ["Primary NIC: link down", "Local NIC link failure: Pulse disabled", "local link failure: deactivating LVS"];
    assert_eq!(lines(&out), said);
    node.event(Event::Lowered);
    assert_eq!(node.said.word, Word::Lvs(Claim::Stopped));
    node.wait(DEADTIME * 3);
    let out = node.event(Event::Link { path: 0, is_up: true }).to_vec();
    assert_eq!(lines(&out), ["Local NIC link(s) restored: Pulse enabled"]);
    assert_eq!(deeds(&node.wait(DEADTIME - MS)), [], "it could not hear anybody");
    assert_eq!(deeds(&node.wait(MS)).len(), 1);
}

#[test]
fn a_private_link_matters_only_when_it_is_the_last() {
    let mut node = Node::active(Role::Master);
    assert_eq!(deeds(node.event(Event::Link { path: 1, is_up: false })), [], "the cable of a partner that died");
    assert_eq!(node.election.state(), State::Active);
    let cables = vec![Path { name: "Private".to_owned(), serves: false }];
    node.event(Event::Reloaded(Box::new(Settings { paths: cables, ..settings(Role::Master) })));
    node.event(Event::Link { path: 0, is_up: false });
    assert!(matches!(node.election.state(), State::Lowering { .. }));
}

fn failing_back() -> Settings {
    Settings { auto_failback: Some(Duration::from_secs(30)), ..settings(Role::Master) }
}

#[test]
fn auto_failback_waits_then_asks_and_takes_when_it_is_given() {
    let mut node = Node::start(failing_back(), Start::Fresh);
    let early = node.wait_with(Duration::from_secs(30), Doing::Active);
    assert!(beats(&early).iter().all(|beat| !beat.flags.want));
    node.wait_with(KEEPALIVE * 2, Doing::Active);
    assert!(node.said.flags.want);
    let out = node.partner_says_with(Doing::Standby, |beat| beat.flags.handover = true);
    assert_eq!(deeds(out).len(), 1);
}

#[test]
fn auto_failback_from_an_original_is_taken() {
    let mut node = Node::start(failing_back(), Start::Fresh);
    let mut all = Vec::new();
    for _ in 0..16 {
        all.extend_from_slice(node.original_says(Word::Lvs(Claim::Running)));
        all.extend(node.wait(KEEPALIVE));
    }
    assert_eq!(deeds(&all)[0], Action::BecomeActive { why: Activation::Failback });
    assert_eq!(node.election.state(), State::Active);
}

#[test]
fn no_second_fail_back_is_tried_from_an_original_that_did_not_hear_the_first() {
    let mut node = Node::start(failing_back(), Start::Fresh);
    let running = |node: &mut Node, beats: u32| {
        let mut all = Vec::new();
        for _ in 0..beats {
            all.extend_from_slice(node.original_says(Word::Lvs(Claim::Running)));
            all.extend(node.wait(KEEPALIVE));
        }
        all.retain(|action| matches!(action, Action::BecomeActive { .. } | Action::Yield { .. }));
        all
    };
    let back = Action::BecomeActive { why: Activation::Failback };
    assert_eq!(running(&mut node, 30), [back.clone(), Action::Yield { why: Deactivation::PartnerDeaf }]);
    node.event(Event::Lowered);
    assert_eq!(running(&mut node, 300), []);
    node.asked(Request::Restore);
    assert_eq!(running(&mut node, 16), [back]);
}

#[test]
fn what_was_moved_by_hand_does_not_fail_back() {
    let mut node = Node::start(failing_back(), Start::Forced);
    node.partner_says(Doing::Standby);
    node.asked(Request::Relocate);
    node.partner_says(Doing::Standby);
    node.event(Event::Lowered);
    node.wait_with(Duration::from_secs(100), Doing::Active);
    assert!(!node.said.flags.want);
    node.asked(Request::Restore);
    node.wait_with(Duration::from_secs(40), Doing::Active);
    assert!(node.said.flags.want);
}

#[test]
fn the_originals_lines_are_its_own_to_the_letter() {
    let line = |role, service, why| Line::Activating { role, service, why }.to_string();
    let dead = Activation::PartnerDead { silent: DEADTIME };
    assert_eq!(line(Role::Master, Service::Lvs, Activation::Forced), "Forced active on startup: activating lvs");
    assert_eq!(line(Role::Master, Service::Fos, Activation::Forced), "Forced active on startup: activating fos");
    assert_eq!(line(Role::Backup, Service::Lvs, dead), "partner dead: activating lvs");
    let inactive = Activation::PartnerInactive;
    assert_eq!(line(Role::Master, Service::Lvs, inactive), "backup inactive: activating lvs");
    assert_eq!(line(Role::Backup, Service::Lvs, inactive), "primary inactive: activating lvs");
    let line = |service, why| Line::Deactivating { service, why }.to_string();
    assert_eq!(line(Service::Lvs, Deactivation::PartnerActive), "partner active: deactivating LVS");
    assert_eq!(line(Service::Fos, Deactivation::PartnerActive), "partner active: deactivating FOS");
    let cut_off = Deactivation::Unfit(Reason::Link);
    assert_eq!(line(Service::Lvs, cut_off), "local link failure: deactivating LVS");
    assert_eq!(Line::LinkDown("Private".to_owned()).to_string(), "Private NIC: link down");
}
