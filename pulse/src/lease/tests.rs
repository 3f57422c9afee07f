use proptest::prelude::*;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A director that beats and renews in time until it is killed.
struct Life {
    last_beat: Instant,
    /// When the loan of the moment ends by the file, and how long it is.
    ends: Instant,
}

/// Beats every `keepalive`, and wakes in between as [`Lease::deadline`] says,
/// until `lasting`.
fn live(terms: Terms, keepalive: Duration, lasting: Duration) -> Life {
    let born = Instant::now();
    let mut lease = Lease::default();
    let (mut now, mut next_beat) = (born, born);
    let mut life = Life { last_beat: born, ends: born };
    while now <= born + lasting {
        let beats = now >= next_beat;
        if beats {
            life.last_beat = now;
            next_beat = now + keepalive;
        }
        if let Some(asked) = lease.turn(Some(terms), beats, now) {
            assert_eq!(asked, Some(terms.valid));
            assert!(now <= life.ends || now == born, "it ran out while pulse lived");
            life.ends = now + seconds(terms.valid);
        }
        now = lease.deadline().map_or(next_beat, |at| at.min(next_beat)).max(now + ms(1));
    }
    life
}

#[test]
fn usual_times_leave_nothing_behind() {
    // keepalive, deadtime, seconds on loan: the code's defaults, the web
    // interface's (piranha.md 1.2), and faster ones
    for (keepalive, deadtime, valid) in
        [(2000, 5000, 4), (6000, 18_000, 15), (1000, 3000, 2), (500, 2500, 2), (100, 1400, 1), (1000, 3500, 2)]
    {
        let terms = Terms::new(ms(keepalive), ms(deadtime));
        assert_eq!(terms.valid, valid, "{keepalive} {deadtime}");
        assert!(terms.excess(ms(keepalive), ms(deadtime)) <= ms(100), "{keepalive} {deadtime}");
    }
}

/// The kernel knows no loan below a second.
#[test]
fn short_times_leave_what_the_kernel_cannot_do_better() {
    let terms = Terms::new(ms(10), ms(50));
    assert_eq!((terms.valid, terms.excess(ms(10), ms(50))), (1, ms(1335)));
    let terms = Terms::new(ms(250), ms(1000));
    assert_eq!((terms.valid, terms.excess(ms(250), ms(1000))), (1, ms(625)));
}

#[test]
fn nobody_to_take_over_is_for_ever_and_asked_for_once() {
    let (mut lease, now) = (Lease::default(), Instant::now());
    assert_eq!(lease.turn(None, true, now), Some(None));
    assert_eq!(lease.turn(None, true, now + ms(100_000)), None);
    assert_eq!(lease.deadline(), None);
}

#[test]
fn a_partner_that_comes_or_goes_changes_it_at_once() {
    let (mut lease, now) = (Lease::default(), Instant::now());
    let terms = Terms::new(ms(2000), ms(5000));
    assert_eq!(lease.turn(None, false, now), Some(None));
    assert_eq!(lease.turn(Some(terms), false, now + ms(1)), Some(Some(4)));
    assert_eq!(lease.turn(Some(terms), false, now + ms(3000)), None, "only with a beat");
    assert_eq!(lease.turn(Some(terms), true, now + ms(3000)), Some(Some(4)));
    assert_eq!(lease.turn(Some(Terms::new(ms(1000), ms(3000))), false, now + ms(3001)), Some(Some(2)), "a reload");
    assert_eq!(lease.turn(None, false, now + ms(3002)), Some(None));
    // nothing to wake up for: it once was always late, and took that for a sleep
    let short = Terms::new(ms(200), ms(2000));
    lease.turn(Some(short), false, now + ms(3002));
    assert_eq!(lease.deadline(), Some(now + ms(3252)));
    lease.turn(None, false, now + ms(3003));
    assert_eq!(lease.deadline(), None);
    lease.end();
    assert_eq!(lease.turn(None, false, now + ms(3003)), Some(None), "other addresses");
}

proptest! {
    /// Invariant 5: whenever it is killed, and however late the kernel is, the
    /// addresses are gone when the partner has waited for `deadtime`, but for the
    /// excess that is said; and a pulse alone that dies has time to come back.
    #[test]
    fn gone_before_the_partner_comes_and_not_before_a_new_pulse_does(
        keepalive in 10_u64..20_000,
        deadtime in 20_u64..60_000,
        killed in 0_u64..120_000,
    ) {
        let (keepalive, deadtime) = (ms(keepalive), ms(deadtime));
        let terms = Terms::new(keepalive, deadtime);
        // The moments are the same again and again; some hundred beats show all.
        let life = live(terms, keepalive, ms(killed).min(keepalive * 300));
        let gone = life.ends + late(terms.valid);
        let taken = life.last_beat + deadtime;
        prop_assert!(gone <= taken + terms.excess(keepalive, deadtime));
    }

    #[test]
    fn there_is_time_to_come_back(keepalive in 10_u64..20_000, deadtime in 20_u64..60_000) {
        let (keepalive, deadtime) = (ms(keepalive), ms(deadtime));
        let terms = Terms::new(keepalive, deadtime);
        // The longest time since a renewal.
        let oldest = if terms.with_beats { keepalive.max((terms.every + keepalive).min(terms.every * 2)) } else { terms.every };
        prop_assert!(seconds(terms.valid).saturating_sub(oldest) >= ms(750), "{terms:?}");
    }
}
