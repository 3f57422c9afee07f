use super::*;

const DAMPEN: Duration = Duration::from_secs(60);

#[test]
fn what_a_nanny_is_told_of_its_predecessors_flaps_counts_as_if_it_had_seen_them() {
    let began = Instant::now() + DAMPEN * 9;
    let mut first = Flaps::default();
    first.return_at(began);
    assert!(first.fall_at(DAMPEN, began + DAMPEN / 2));
    first.return_at(began + DAMPEN);
    let told = first.told(began + DAMPEN);
    let handed_over = told.after(DAMPEN / 2);
    assert_eq!(handed_over, channel::Flaps { strikes: 1, returned: Some(DAMPEN / 2) });
    let mut second = Flaps::recall(handed_over, began + DAMPEN * 3 / 2);
    assert_eq!(second, first);
    assert!(second.fall_at(DAMPEN, began + DAMPEN * 3 / 2));
    assert_eq!(second.returns_after(3), 12);
    assert_eq!(Flaps::recall(second.told(began), began), second, "while it is down, too");
}

#[test]
fn what_is_told_is_believed_within_limits() {
    let told = channel::Flaps { strikes: u32::MAX, returned: Some(Duration::MAX) };
    let flaps = Flaps::recall(told, Instant::now());
    assert_eq!(flaps.returns_after(2), 32);
    assert_eq!(flaps.told(Instant::now()), channel::Flaps { strikes: STRIKES_MAX, returned: None });
}

#[test]
fn zero_is_never_too_soon() {
    let (mut flaps, now) = (Flaps::default(), Instant::now());
    flaps.return_at(now);
    assert!(!flaps.fall_at(Duration::ZERO, now));
    assert_eq!(flaps.returns_after(0), 1);
}
