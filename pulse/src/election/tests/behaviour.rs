//! Named behaviours: takeover, evidence, originals, sleep, isolation, paths.

use super::*;

#[test]
fn a_partner_that_says_nothing_is_dead_after_deadtime_and_not_before() {
    for role in [Role::Master, Role::Backup] {
        let mut node = Node::fresh(role);
        assert_eq!(deeds(&node.wait(DEADTIME - MS)), []);
        let out = node.wait(MS);
        let why = Activation::PartnerDead { silent: DEADTIME };
        assert_eq!(deeds(&out), [Action::BecomeActive { why }]);
        assert_eq!(lines(&out), ["partner dead: activating lvs"]);
        assert_eq!(beats(&out)[0].word, Word::Lvs(Claim::Running), "the partner is told at once");
    }
}

#[test]
fn the_takeover_comes_deadtime_after_the_last_heartbeat_on_any_path() {
    let mut node = Node::standby(Role::Backup);
    node.wait_with(KEEPALIVE * 3, Doing::Active);
    node.wait(KEEPALIVE);
    node.partner_says_with(Doing::Active, |beat| beat.path = 1);
    assert_eq!(deeds(&node.wait(DEADTIME - MS)), []);
    assert_eq!(deeds(&node.wait(MS)).len(), 1);
}

#[test]
fn ten_milliseconds_of_keepalive_and_thirty_of_deadtime_do_as_seconds_do() {
    let fast = Settings { keepalive: MS * 10, deadtime: MS * 30, ..settings(Role::Backup) };
    let mut node = Node::start(fast, Start::Fresh);
    assert_eq!(beats(&node.wait(MS * 29)).len(), 2);
    assert_eq!(node.election.state(), State::Standby);
    assert_eq!(deeds(&node.wait(MS)).len(), 1);
}

#[test]
fn two_standby_directors_of_ours_let_the_master_begin() {
    let mut master = Node::fresh(Role::Master);
    let out = master.partner_says(Doing::Standby);
    assert_eq!(lines(out), ["backup inactive: activating lvs"]);

    let mut backup = Node::fresh(Role::Backup);
    assert_eq!(deeds(backup.partner_says(Doing::Standby)), []);
    let out = backup.wait_with(DEADTIME + KEEPALIVE, Doing::Standby);
    assert_eq!(lines(&out).last().unwrap(), "primary inactive: activating lvs", "it had its chance");
}

#[test]
fn a_master_that_knows_nobody_says_hold_so_that_an_original_backup_waits() {
    let mut node = Node::fresh(Role::Master);
    assert_eq!(node.said.word, Word::Hold);
    assert_eq!(Node::fresh(Role::Backup).said.word, Word::Lvs(Claim::Stopped));
    let out = node.original_says(Word::Lvs(Claim::Stopped));
    assert_eq!(lines(out), ["backup inactive: activating lvs"]);
}

#[test]
fn an_original_that_gives_up_is_succeeded_at_once_in_both_roles() {
    for (role, line) in
        [(Role::Master, "backup inactive: activating lvs"), (Role::Backup, "primary inactive: activating lvs")]
    {
        let mut node = Node::fresh(role);
        assert_eq!(deeds(node.original_says(Word::Lvs(Claim::Running))), []);
        node.wait(KEEPALIVE);
        assert_eq!(lines(node.original_says(Word::Lvs(Claim::Stopped))), [line]);
    }
}

#[test]
fn there_is_no_fail_back_to_a_master_that_returns() {
    let mut node = Node::fresh(Role::Master);
    node.original_says(Word::Lvs(Claim::Running));
    for _ in 0..100 {
        assert_eq!(deeds(&node.wait(KEEPALIVE)), []);
        assert_eq!(deeds(node.original_says(Word::Lvs(Claim::Running))), []);
    }
}

#[test]
fn a_backup_yields_to_an_active_original_master_after_one_more_heartbeat() {
    let mut node = Node::start(settings(Role::Backup), Start::Forced);
    let out = node.original_says(Word::Lvs(Claim::Running)).to_vec();
    assert_eq!(lines(&out), ["partner active: deactivating LVS"]);
    let order: Vec<_> = out.iter().filter(|action| !matches!(action, Action::Say(_))).collect();
    assert!(matches!(order[0], Action::SendHeartbeat(Heartbeat { word: Word::Lvs(Claim::Running), .. })), "{order:?}");
    assert_eq!(*order[1], Action::Yield { why: Deactivation::PartnerActive });
    node.event(Event::Lowered);
    assert_eq!(node.said.word, Word::Lvs(Claim::Stopped));
}

#[test]
fn a_master_stays_answers_a_claim_at_once_and_announces_again_when_it_is_over() {
    let mut node = Node::active(Role::Master);
    node.wait(KEEPALIVE / 2);
    let out = node.partner_says(Doing::Active).to_vec();
    assert_eq!(lines(&out), ["partner active: resending arps"]);
    assert_eq!(deeds(&out), [Action::Reannounce]);
    assert_eq!(beats(&out)[0].word, Word::Lvs(Claim::Running));
    let out = node.partner_says(Doing::Active).to_vec();
    assert_eq!((lines(&out), deeds(&out)), (vec![], vec![]), "said once");
    let out = node.partner_says(Doing::Standby).to_vec();
    assert_eq!(deeds(&out), [Action::Reannounce]);
}

#[test]
fn a_master_yields_to_an_active_backup_that_cannot_hear_it() {
    let mut node = Node::active(Role::Master);
    let deaf = node.said;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.extend(node.wait(KEEPALIVE));
        node.said = deaf; // what it echoes
        all.extend_from_slice(node.partner_says(Doing::Active));
    }
    assert!(deeds(&all).contains(&Action::Yield { why: Deactivation::PartnerDeaf }), "{all:?}");
}

#[test]
fn a_master_yields_to_an_active_original_backup_that_cannot_hear_it() {
    let mut node = Node::active(Role::Master);
    node.wait(DEADTIME); // four bytes count when ours are not heard any more
    let mut all = Vec::new();
    for _ in 0..4 {
        all.extend_from_slice(node.original_says(Word::Lvs(Claim::Running)));
        all.extend(node.wait(KEEPALIVE));
    }
    assert_eq!(lines(&all).last().unwrap(), "partner active and does not hear us: deactivating LVS");

    // one that hears us is silenced by our first heartbeat
    let mut node = Node::active(Role::Master);
    node.wait(DEADTIME);
    let mut all = node.original_says(Word::Lvs(Claim::Running)).to_vec();
    all.extend(node.wait(DEADTIME * 2));
    all.extend_from_slice(node.original_says(Word::Lvs(Claim::Stopped)));
    assert!(!deeds(&all).iter().any(|deed| matches!(deed, Action::Yield { .. })), "{all:?}");
}

#[test]
fn what_takes_us_long_is_no_sleep_and_judges_nobody_before_its_words_are_read() {
    let mut node = Node::active(Role::Master);
    let (before, worked) = (node.now, DEADTIME * 2);
    node.now += worked;
    let out = node.event(Event::Worked { lasted: worked, until: node.now }).to_vec();
    assert_eq!((beats(&out).len(), lines(&out), deeds(&out)), (1, vec![], vec![]), "the partner waits for it");
    node.now += MS;
    assert_eq!(lines(node.partner_says(Doing::Standby)), [""; 0]);
    assert_eq!(lines(node.event(Event::Tick)), [""; 0]);
    assert_eq!(node.election.state(), State::Active);
    // it took over meanwhile: the rank decides, as ever
    node.partner_says(Doing::Active);
    assert_eq!(node.election.state(), State::Active);
    // the same without a word of ours about it
    let mut node = Node::active(Role::Master);
    node.now = before + worked;
    node.event(Event::Tick);
    assert!(matches!(node.election.state(), State::Listening { .. }));
    // a standby director does not take over on what it has not read
    let mut node = Node::standby(Role::Backup);
    node.now += worked;
    node.event(Event::Worked { lasted: worked, until: node.now });
    assert_eq!(deeds(node.partner_says(Doing::Active)), []);
    assert_eq!(deeds(node.event(Event::Tick)), []);
}

#[test]
fn nothing_that_can_be_sent_makes_a_director_stop() {
    let mut node = Node::fresh(Role::Master);
    node.original_says(Word::Lvs(Claim::Stopped));
    assert_eq!(node.election.state(), State::Active);
    for word in [Word::StopMe, Word::Hold, Word::Held, Word::Fos(Claim::Running), Word::Fos(Claim::Stopped)] {
        assert_eq!(deeds(node.original_says(word)), []);
    }
    assert_eq!(node.election.state(), State::Active);
    assert_eq!(node.election.counters().stop_me, 1);
    assert_eq!(node.election.counters().incompatible, 2);
}

#[test]
fn an_incompatible_partner_is_named_once() {
    let mut node = Node::fresh(Role::Backup);
    let text = "Incompatible heartbeat received -- other system not using identical services";
    assert_eq!(lines(node.original_says(Word::Fos(Claim::Running))), [text]);
    assert_eq!(lines(node.original_says(Word::Fos(Claim::Running))), [""; 0]);
    node.original_says(Word::Lvs(Claim::Running));
    assert_eq!(lines(node.original_says(Word::Fos(Claim::Running))), [""; 0], "whoever alternates");
}

#[test]
fn four_bytes_are_dropped_while_the_partner_is_one_of_ours_and_alive() {
    let mut node = Node::standby(Role::Backup);
    assert_eq!(deeds(node.original_says(Word::Lvs(Claim::Stopped))), []);
    assert_eq!(node.election.state(), State::Standby);
    assert_eq!(node.election.counters().downgraded, 1);
}

#[test]
fn what_was_overtaken_on_its_way_says_nothing_any_more() {
    let mut node = Node::standby(Role::Backup);
    node.partner_says_with(Doing::Active, |beat| beat.sequence += 1);
    let out = node.partner_says_with(Doing::Standby, |beat| {
        beat.sequence -= 1;
        beat.flags.handover = true;
    });
    assert_eq!(deeds(out), [], "it took them back meanwhile");
    let out = node.wait(DEADTIME - MS);
    assert_eq!(deeds(&out), [], "but it was alive");
}

#[test]
fn a_start_that_has_proved_nothing_is_no_evidence_but_not_silence_either() {
    let mut node = Node::fresh(Role::Backup);
    let mut all = Vec::new();
    for _ in 0..5 {
        all.extend(node.wait(KEEPALIVE));
        all.extend_from_slice(node.partner_says_with(Doing::Active, |beat| beat.heard = None));
    }
    assert_eq!(deeds(&all), [], "it is active and deaf");
    assert_eq!(lines(&all), ["partner is heard, but it does not hear us: check the way there"]);
    let leaving = |beat: &mut Heartbeat| (beat.heard, beat.flags.leaving) = (None, true);
    assert_eq!(deeds(node.partner_says_with(Doing::Standby, leaving)), [], "or a recording");
}

#[test]
fn a_question_is_answered_at_once_but_not_without_measure() {
    let mut node = Node::standby(Role::Backup);
    let ask = |beat: &mut Heartbeat| beat.flags.ask = true;
    node.wait(KEEPALIVE / 2);
    assert_eq!(beats(node.partner_says_with(Doing::Active, ask)).len(), 1);
    let answers: usize = (0..100).map(|_| beats(node.partner_says_with(Doing::Active, ask)).len()).sum();
    assert_eq!(answers, 0, "a flood");
    assert_eq!(beats(&node.wait(KEEPALIVE / 8)).len(), 1, "the last one is owed");
}

#[test]
fn after_a_sleep_a_standby_director_begins_to_judge_anew() {
    let mut node = Node::standby(Role::Backup);
    node.now += DEADTIME * 100; // nobody told it: the tick is late
    let out = node.event(Event::Tick).to_vec();
    assert_eq!(deeds(&out), []);
    assert!(lines(&out)[0].starts_with("was not running for"), "{out:?}");
    assert_eq!(deeds(&node.wait(DEADTIME - MS)), []);
    assert_eq!(deeds(&node.wait(MS)).len(), 1);
}

#[test]
fn an_active_director_that_slept_listens_and_yields_to_one_that_took_over() {
    for role in [Role::Master, Role::Backup] {
        let mut node = Node::active(role);
        let out = node.event(Event::Slept { lasted: DEADTIME }).to_vec();
        assert!(matches!(node.election.state(), State::Listening { .. }));
        assert_eq!((node.said.word, node.said.flags.ask), (Word::Hold, true), "{out:?}");
        let out = node.partner_says(Doing::Active).to_vec();
        assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::PartnerActive }]);
    }
}

#[test]
fn who_sleeps_again_while_it_listens_listens_anew() {
    let mut node = Node::active(Role::Backup);
    for _ in 0..3 {
        node.now += DEADTIME * 3;
        assert_eq!(deeds(node.event(Event::Tick)), [], "nobody was heard because nobody listened");
        assert_eq!(node.election.state(), State::Listening { until: node.now + DEADTIME });
    }
    let out = node.partner_says(Doing::Active).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::PartnerActive }]);
}

#[test]
fn what_waited_in_a_buffer_while_we_slept_does_not_say_that_we_may_go_on() {
    let mut node = Node::active(Role::Master);
    let before = node.said;
    node.event(Event::Slept { lasted: DEADTIME });
    let woke = std::mem::replace(&mut node.said, before); // the partner answers what we said before
    assert_eq!(deeds(node.partner_says(Doing::Standby)), []);
    assert!(matches!(node.election.state(), State::Listening { .. }));
    node.said = woke;
    let out = node.partner_says(Doing::Standby).to_vec();
    assert_eq!(deeds(&out), [Action::BecomeActive { why: Activation::Resumed }]);
}

#[test]
fn a_good_bye_of_before_our_sleep_is_no_evidence() {
    let mut node = Node::standby(Role::Backup);
    node.now += DEADTIME * 3;
    let said = node.said;
    node.event(Event::Tick);
    assert!(node.said.sequence > said.sequence, "it asks who is there");
    let echo = Echo { start: said.start, sequence: said.sequence };
    let out = node.partner_says_with(Doing::Standby, |beat| {
        (beat.heard, beat.flags.leaving) = (Some(echo), true);
    });
    assert_eq!(deeds(out), [], "it came out of a buffer");
    let out = node.partner_says_with(Doing::Standby, |beat| beat.flags.leaving = true);
    assert_eq!(deeds(out), [Action::BecomeActive { why: Activation::PartnerLeft }]);
}

/// Four bytes do not say when they were sent.
#[test]
fn what_an_original_said_while_we_slept_is_no_evidence_until_it_must_be_new() {
    let mut node = Node::fresh(Role::Master);
    node.original_says(Word::Lvs(Claim::Running));
    node.now += DEADTIME * 3;
    node.event(Event::Tick);
    assert_eq!(deeds(node.original_says(Word::Lvs(Claim::Stopped))), []);
    node.wait(KEEPALIVE * 2 - MS);
    assert_eq!(deeds(node.original_says(Word::Lvs(Claim::Stopped))), []);
    node.wait(MS);
    let out = node.original_says(Word::Lvs(Claim::Stopped)).to_vec();
    assert_eq!(deeds(&out), [Action::BecomeActive { why: Activation::PartnerInactive }]);
}

#[test]
fn a_short_sleep_of_the_active_director_changes_nothing() {
    let mut node = Node::active(Role::Master);
    let out = node.event(Event::Slept { lasted: DEADTIME / 3 });
    assert_eq!((deeds(out), lines(out)), (vec![], vec![]), "nor is it worth a line");
    assert_eq!(node.election.state(), State::Active);
}

#[test]
fn a_new_start_that_finds_its_vips_keeps_them_unless_the_partner_took_over() {
    let mut node = Node::start(settings(Role::Backup), Start::Holding);
    assert_eq!(node.said.word, Word::Hold, "an original partner waits");
    let out = node.partner_says(Doing::Standby).to_vec();
    assert_eq!(deeds(&out), [Action::BecomeActive { why: Activation::Resumed }]);

    let mut node = Node::start(settings(Role::Master), Start::Holding);
    assert_eq!(deeds(node.partner_says(Doing::Active)), [Action::Yield { why: Deactivation::PartnerActive }]);

    let mut node = Node::start(settings(Role::Master), Start::Holding);
    assert_eq!(deeds(&node.wait(DEADTIME)), [Action::BecomeActive { why: Activation::Resumed }]);
}

#[test]
fn without_a_witness_there_is_no_takeover() {
    let mut node = Node::start(Settings { witness: Some(MS * 500), ..settings(Role::Backup) }, Start::Fresh);
    assert_eq!(deeds(&node.wait(DEADTIME)), [Action::AskWitness]);
    let out = node.event(Event::Witness(Answer::Silent)).to_vec();
    assert_eq!(lines(&out), ["neither partner nor witness heard: not activating"]);
    let out = node.wait(DEADTIME * 10);
    assert!(deeds(&out).len() > 5 && deeds(&out).iter().all(|deed| *deed == Action::AskWitness), "{out:?}");
    assert_eq!(lines(&out), [""; 0], "said once");
    while !matches!(node.election.state(), State::Asking { .. }) {
        node.wait(MS * 100);
    }
    let out = node.event(Event::Witness(Answer::Heard)).to_vec();
    assert_eq!(lines(&out), ["witness heard again: listening for the partner"]);
    assert_eq!(deeds(&node.wait(DEADTIME)), [Action::AskWitness], "all over again");
    assert_eq!(deeds(node.event(Event::Witness(Answer::Heard))).len(), 1);
    assert_eq!(node.election.state(), State::Active);
}

#[test]
fn a_vip_that_somebody_answers_for_is_not_taken() {
    let mut node = Node::start(Settings { witness: Some(MS * 500), ..settings(Role::Backup) }, Start::Fresh);
    node.wait(DEADTIME);
    let held = Event::Witness(Answer::VipHeld { mac: [2, 0, 0x0a, 0, 0, 1] });
    let out = node.event(held).to_vec();
    assert_eq!(lines(&out), ["partner dead, but 02:00:0a:00:00:01 answers for a VIP: not activating"]);
    let out = node.wait(KEEPALIVE * 3 / 2);
    assert_eq!((deeds(&out), lines(&out)), (vec![Action::AskWitness], vec![]), "asked again, said once");
    assert_eq!(deeds(node.event(Event::Witness(Answer::Heard))).len(), 1, "it is free now");
}

#[test]
fn a_path_that_falls_silent_is_named_once_and_does_not_matter() {
    let mut node = Node::standby(Role::Backup);
    node.event(Event::Datagram {
        path: 1,
        datagram: Datagram::Ours(Heartbeat {
            word: Word::Lvs(Claim::Running),
            state: Doing::Active,
            sequence: 1,
            ..node.partner.on(1)
        }),
    });
    let out = node.wait_with(DEADTIME * 4, Doing::Active);
    assert_eq!(lines(&out), ["Private heartbeat path: nothing heard"]);
    assert_eq!(deeds(&out), []);
    let sequence = node.partner.sequence;
    let again = Heartbeat { word: Word::Lvs(Claim::Running), state: Doing::Active, sequence, ..node.partner.on(1) };
    let out = node.event(Event::Datagram { path: 1, datagram: Datagram::Ours(again) }).to_vec();
    assert_eq!(lines(&out), ["Private heartbeat path: heard again"]);
}

#[test]
fn a_partner_whose_beat_is_slower_than_our_deadtime_is_not_taken_for_dead() {
    let mut node = Node::standby(Role::Backup);
    let fast = Settings { keepalive: MS * 50, deadtime: MS * 200, ..settings(Role::Backup) };
    node.event(Event::Reloaded(Box::new(fast)));
    assert_eq!(deeds(&node.wait_with(KEEPALIVE * 10, Doing::Active)), [], "the partner's file has not changed yet");
    node.partner_says_with(Doing::Active, |beat| beat.interval = MS * 50);
    assert_eq!(deeds(&node.wait(MS * 199)), []);
    assert_eq!(deeds(&node.wait(MS)).len(), 1, "now it has");
}

#[test]
fn a_reload_counts_a_silence_anew_unless_it_changes_nothing() {
    let slower = Settings { deadtime: DEADTIME * 2, ..settings(Role::Backup) };
    let faster = Settings { deadtime: DEADTIME / 2, ..settings(Role::Backup) };
    let other = Settings { fingerprint: 2, ..settings(Role::Backup) };
    let same = settings(Role::Backup);
    for (reloaded, left) in [(slower, DEADTIME * 2), (faster, DEADTIME / 2), (other, DEADTIME), (same, DEADTIME / 5)] {
        let mut node = Node::standby(Role::Backup);
        node.wait(DEADTIME * 4 / 5);
        node.event(Event::Reloaded(Box::new(reloaded)));
        assert_eq!(deeds(&node.wait(left - MS)), [], "{left:?}");
        assert_eq!(deeds(&node.wait(MS)).len(), 1, "{left:?}");
    }
}

#[test]
fn drifted_configurations_and_one_role_for_both_are_said_once() {
    let mut node = Node::standby(Role::Backup);
    let drifted = |beat: &mut Heartbeat| beat.fingerprint = 2;
    let line = "partner has another configuration: copy lvs.cf and reload";
    assert_eq!(lines(node.partner_says_with(Doing::Active, drifted)), [line]);
    assert_eq!(lines(node.partner_says_with(Doing::Active, drifted)), [""; 0]);
    assert_eq!(lines(node.partner_says(Doing::Active)), ["partner has our configuration again"]);
    let twin = |beat: &mut Heartbeat| beat.flags.master = false;
    let line = "partner says that it is the BACKUP too: check primary";
    assert_eq!(lines(node.partner_says_with(Doing::Active, twin)), [line]);
}

#[test]
fn of_two_backups_exactly_one_yields() {
    let twin = |beat: &mut Heartbeat| beat.flags.master = false;
    let mut lesser = Node::active(Role::Backup); // 7 against 1000
    let deed = Action::Yield { why: Deactivation::PartnerActive };
    assert_eq!(deeds(lesser.partner_says_with(Doing::Active, twin)), [deed]);
    let mut greater = Node::start(settings(Role::Backup), Start::Forced);
    greater.partner.start = StartId::new(3);
    greater.partner_says(Doing::Standby);
    assert_eq!(deeds(greater.partner_says_with(Doing::Active, twin)), [Action::Reannounce]);
}

#[test]
fn times_that_would_be_a_busy_loop_are_raised() {
    let zero = Settings { keepalive: Duration::ZERO, deadtime: Duration::ZERO, ..settings(Role::Master) };
    let mut node = Node::start(zero, Start::Fresh);
    assert!(beats(&node.wait(MS * 100)).len() <= 11);
}

#[test]
fn times_without_end_do_not_overflow() {
    let endless = Settings {
        keepalive: Duration::MAX,
        deadtime: Duration::MAX,
        witness: Some(Duration::MAX),
        auto_failback: Some(Duration::MAX),
        steady: Duration::MAX,
        ..settings(Role::Master)
    };
    let mut node = Node::start(endless, Start::Fresh);
    node.event(Event::Failing(Watched::Check));
    node.event(Event::Mended(Watched::Check));
    node.partner_says_with(Doing::Active, |beat| beat.interval = Duration::from_micros(u32::MAX.into()));
    assert_eq!(deeds(&node.wait(Duration::from_secs(1_000_000))), []);
}

#[test]
fn a_partner_that_left_may_come_back_as_an_original() {
    let mut node = Node::standby(Role::Backup);
    node.partner_says_with(Doing::Standby, |beat| beat.flags.leaving = true);
    assert_eq!(node.election.state(), State::Active);
    let out = node.original_says(Word::Lvs(Claim::Running)).to_vec();
    assert_eq!(deeds(&out), [Action::Yield { why: Deactivation::PartnerActive }]);
}
