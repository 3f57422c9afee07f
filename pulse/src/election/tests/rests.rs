//! Named behaviours: failover services that fail, and what follows from that for the
//! next hand-over.

use super::*;

const STEADY: Duration = Duration::from_secs(60);

/// A BACKUP, active, whose services fail and are handed over: what it says then.
fn hand_over(node: &mut Node) -> Vec<String> {
    node.event(Event::Failing(Watched::Services));
    let out = node.partner_says(Doing::Standby).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::Unfit(Reason::Lvsd) }]);
    node.event(Event::Lowered);
    node.partner_says(Doing::Active);
    // lvsd stops them, which mends nothing
    node.event(Event::Mended(Watched::Services));
    lines(&out)
}

/// The partner hands them back.
fn take_back(node: &mut Node) {
    let out = node.partner_says_with(Doing::Unfit, |beat| beat.flags.handover = true);
    assert_eq!(deeds(out), [Action::BecomeActive { why: Activation::PartnerInactive }]);
}

fn rests(node: &Node) -> bool {
    (node.said.state, node.said.reason) == (Doing::Unfit, Some(Reason::Rests))
}

#[test]
fn services_that_fail_again_and_again_are_handed_over_ever_more_rarely() {
    let mut node = Node::active(Role::Backup);
    for (times, lasts) in [(1, STEADY), (2, STEADY * 2), (3, STEADY * 4)] {
        let said = format!(
            "failover services were handed over (number {times} in a row): not taken back for {}",
            Seconds(lasts)
        );
        assert_eq!(hand_over(&mut node), ["lvsd cannot serve: deactivating LVS", &said]);
        node.wait_with(lasts - KEEPALIVE * 2, Doing::Active);
        assert!(rests(&node), "{:?}", node.said);
        let status = node.election.report(node.now).to_string();
        assert!(status.contains("fit: no, failover services failed here, not taking them for another "), "{status}");
        node.wait_with(KEEPALIVE * 3, Doing::Active);
        assert_eq!(node.said.state, Doing::Standby);
        take_back(&mut node);
    }
}

#[test]
fn services_that_ran_well_for_an_hour_are_handed_over_as_at_first() {
    let mut node = Node::active(Role::Backup);
    hand_over(&mut node);
    node.wait_with(STEADY, Doing::Active);
    take_back(&mut node);
    node.wait_with(STEADY * 64, Doing::Standby);
    assert!(hand_over(&mut node)[1].contains("(number 1 in a row): not taken back for 60.0s"));
}

#[test]
fn what_nobody_holds_is_taken_during_a_rest() {
    // the partner dies
    let mut node = Node::active(Role::Backup);
    hand_over(&mut node);
    assert_eq!(deeds(&node.wait(DEADTIME + KEEPALIVE)).len(), 1);
    // it is stopped
    let mut node = Node::active(Role::Backup);
    hand_over(&mut node);
    let out = node.partner_says_with(Doing::Standby, |beat| beat.flags.leaving = true);
    assert_eq!(deeds(out), [Action::BecomeActive { why: Activation::PartnerLeft }]);
    // it lets go of them for a reason of its own, and takes part
    let mut node = Node::active(Role::Backup);
    hand_over(&mut node);
    assert_eq!(deeds(node.partner_says(Doing::Unfit)), [Action::BecomeActive { why: Activation::PartnerInactive }]);
    // and what was handed over and not taken comes back
    let mut node = Node::active(Role::Backup);
    node.event(Event::Failing(Watched::Services));
    node.partner_says(Doing::Standby);
    node.event(Event::Lowered);
    node.event(Event::Mended(Watched::Services));
    assert_eq!(deeds(&node.wait_with(DEADTIME + KEEPALIVE, Doing::Unfit)).len(), 1);
}

#[test]
fn whoever_reloads_or_restores_or_wants_them_back_ends_a_rest_and_what_it_remembers() {
    let reload = || Event::Reloaded(Box::new(settings(Role::Backup)));
    for event in [reload(), Event::Asked(Request::Restore), Event::Asked(Request::Relocate)] {
        let mut node = Node::active(Role::Backup);
        hand_over(&mut node);
        node.wait_with(KEEPALIVE * 2, Doing::Active);
        assert!(rests(&node));
        node.event(event.clone());
        node.wait(KEEPALIVE);
        assert_eq!(node.said.state, Doing::Standby, "{event:?}");
        assert_eq!(node.said.flags.want, event == Event::Asked(Request::Relocate));
        take_back(&mut node);
        assert!(hand_over(&mut node)[1].contains("(number 1 in a row)"), "{event:?}");
    }
}

#[test]
fn a_partner_that_rests_is_handed_over_to_by_hand_only() {
    let resting = |beat: &mut Heartbeat| beat.reason = Some(Reason::Rests);
    let mut node = Node::active(Role::Backup);
    node.partner_says_with(Doing::Unfit, resting);
    let out = node.event(Event::Failing(Watched::Services)).to_vec();
    let line = "lvsd cannot serve, but on the partner, too, services failed: staying active until it has rested";
    assert_eq!((lines(&out), deeds(&out)), (vec![line.to_owned()], vec![]));
    assert_eq!(deeds(node.partner_says_with(Doing::Unfit, resting)), []);
    assert!(node.election.report(node.now).to_string().contains("partner: unfit, failover services failed there\n"));
    node.asked(Request::Relocate);
    let out = node.partner_says_with(Doing::Unfit, resting);
    assert_eq!(deeds(out), [Action::Yield { why: Deactivation::Relocated }]);

    let mut node = Node::active(Role::Backup);
    node.partner_says_with(Doing::Unfit, resting);
    node.asked(Request::Release);
    let out = node.partner_says_with(Doing::Unfit, resting);
    assert_eq!(deeds(out), [Action::Yield { why: Deactivation::Unfit(Reason::Released) }]);

    // and whoever is moved to by hand during a rest has none any more
    let mut node = Node::active(Role::Backup);
    hand_over(&mut node);
    node.wait_with(KEEPALIVE * 2, Doing::Active);
    assert!(rests(&node));
    take_back(&mut node);
    assert!(hand_over(&mut node)[1].contains("(number 1 in a row)"));
}

#[test]
fn services_that_recover_where_they_are_stay_there() {
    let mut node = Node::active(Role::Backup);
    node.partner_says(Doing::Unfit);
    node.event(Event::Failing(Watched::Services));
    node.event(Event::Mended(Watched::Services));
    assert_eq!(deeds(node.partner_says(Doing::Standby)), []);
}
