//! A partner that announces the VIPs and is not heard.

use super::*;

/// Active, and nobody is heard any more.
fn alone(role: Role) -> Node {
    let mut node = Node::active(role);
    node.wait(DEADTIME + KEEPALIVE);
    assert_eq!(node.election.state(), State::Active);
    node
}

/// Yielded to a partner that announces, and the VIPs are gone.
fn eclipsed() -> Node {
    let mut node = alone(Role::Backup);
    node.event(Event::Announced);
    node.now += KEEPALIVE / 2;
    node.event(Event::Announced);
    node.event(Event::Lowered);
    assert_eq!((node.election.state(), node.election.is_eclipsed()), (State::Standby, true));
    node
}

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

#[test]
fn a_backup_yields_to_the_second_announcement_and_not_to_one_burst() {
    let mut node = alone(Role::Backup);
    let first = node.event(Event::Announced).to_vec();
    assert_eq!(lines(&first), ["partner announces our VIPs, but no heartbeat comes from it: check the way"]);
    node.now += KEEPALIVE / 2 - MS;
    assert_eq!(node.event(Event::Announced), [], "the same announcement, for another VIP");
    node.now += MS;
    let out = node.event(Event::Announced).to_vec();
    assert_eq!(lines(&out), ["partner active and not heard: deactivating LVS"]);
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::PartnerAnnounces }]);
}

#[test]
fn a_master_stays_and_says_when_it_is_over() {
    let mut node = alone(Role::Master);
    let mut all = Vec::new();
    for _ in 0..5 {
        all.extend(node.wait(KEEPALIVE / 2));
        all.extend_from_slice(node.event(Event::Announced));
    }
    let status = node.election.report(node.now).to_string();
    assert!(status.contains("\npartner: silent, but it announces our VIPs\n"), "{status}");
    assert!(node.election.has_successor(), "the VIPs are on loan: it would see that we are gone");
    all.extend(node.wait(DEADTIME * 4));
    assert_eq!(deeds(&all), [Action::Reannounce]);
    let announces = "partner announces our VIPs, but no heartbeat comes from it: check the way";
    assert_eq!(lines(&all), [announces, "partner does not announce our VIPs any more: resending arps"]);
    assert!(node.election.has_successor());
}

#[test]
fn a_master_that_cannot_serve_yields_at_once() {
    let mut node = alone(Role::Master);
    node.event(Event::Failing(Watched::Check));
    let out = node.event(Event::Announced).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::Unfit(Reason::Check) }]);
}

#[test]
fn a_partner_that_is_heard_is_judged_by_what_it_says() {
    for role in [Role::Master, Role::Backup] {
        let mut node = Node::active(role);
        for _ in 0..4 {
            assert_eq!(node.event(Event::Announced), []);
            assert_eq!(deeds(&node.wait_with(KEEPALIVE, Doing::Standby)), []);
        }
    }
}

#[test]
fn who_yielded_so_does_not_take_over_while_the_partner_answers_for_a_vip() {
    let mut node = eclipsed();
    let mut asked = 0;
    for _ in 0..20 {
        let out = node.wait(KEEPALIVE);
        if deeds(&out).contains(&Action::AskWitness) {
            asked += 1;
            assert_eq!(deeds(node.event(Event::Witness(Answer::VipHeld { mac: MAC }))), []);
        }
    }
    assert!(asked > 15, "{asked}");
    assert_eq!(node.election.state(), State::Standby);
    let status = node.election.report(node.now).to_string();
    assert!(status.contains("\npartner: silent, but it answers for a VIP\n"), "{status}");
    // and then it does not any more
    let gone = node.now;
    let mut done = Vec::new();
    while done.is_empty() {
        let out = node.wait(KEEPALIVE);
        if deeds(&out).contains(&Action::AskWitness) {
            done = deeds(node.event(Event::Witness(Answer::Heard)));
        }
    }
    assert!(matches!(done[..], [Action::BecomeActive { why: Activation::PartnerDead { .. } }]), "{done:?}");
    let after = node.now - gone;
    assert!(after > DEADTIME - KEEPALIVE * 2 && after <= DEADTIME + KEEPALIVE * 2, "{after:?}");
}

#[test]
fn a_heartbeat_ends_it() {
    let mut node = eclipsed();
    node.partner_says(Doing::Active);
    assert!(!node.election.is_eclipsed());
    let out = node.wait(DEADTIME * 2);
    assert_eq!(lines(&out), ["partner dead: activating lvs"], "nothing is asked that the file does not ask for");
}

#[test]
fn one_that_said_good_bye_and_came_back_unheard_is_a_rival_too() {
    let mut node = Node::active(Role::Backup);
    node.partner_says_with(Doing::Standby, |beat| beat.flags.leaving = true);
    node.event(Event::Announced);
    node.now += KEEPALIVE;
    node.event(Event::Announced);
    node.event(Event::Lowered);
    assert_eq!(deeds(&node.wait(KEEPALIVE * 2)), [Action::AskWitness], "its good-bye counts no more");
}

/// Its firewall was changed together with its restart: it says Standby, as its last
/// start did, then takes over from a partner that it does not hear.
#[test]
fn one_that_was_started_again_and_is_deaf_is_a_rival_by_its_announcements() {
    let mut node = Node::active(Role::Backup);
    let deaf = |beat: &mut Heartbeat| (beat.start, beat.heard) = (StartId::new(PARTNER + 1), None);
    node.partner.sequence = 0;
    for _ in 0..4 {
        node.wait(KEEPALIVE);
        assert_eq!(deeds(node.partner_says_with(Doing::Standby, deaf)), []);
    }
    node.partner_says_with(Doing::Active, deaf);
    node.event(Event::Announced);
    node.wait(KEEPALIVE);
    node.partner_says_with(Doing::Active, deaf);
    let out = node.event(Event::Announced).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::PartnerAnnounces }]);
}
