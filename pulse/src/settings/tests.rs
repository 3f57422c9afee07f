use super::*;

/// A file of this text, read as pulse reads it.
fn settings(text: &str) -> Result<(Settings, Vec<Message>), Message> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lvs.cf");
    std::fs::write(&path, text).unwrap();
    let loaded = config::load(&path).unwrap();
    Settings::new(&Config { path: "lvs.cf".into(), ..loaded.config })
}

const VIRTUAL: &str = "virtual web {\n active = 1\n address = 10.0.0.9 eth0:1\n vip_nmask = 255.255.255.0\n}\n";

#[test]
fn a_single_director_gets_its_addresses_and_commands() {
    let start = "primary = 10.0.0.1\nbackup_active = 0\nnetwork = direct\nactive_cmd = \"/bin/up \tnow\"\ninactive_cmd = /bin/down\n";
    let (settings, remarks) = settings(&format!("{start}{VIRTUAL}")).unwrap();
    assert_eq!(settings.primary, Some([10, 0, 0, 1].into()));
    assert_eq!(settings.active_cmd, Some(vec!["/bin/up".into(), "now".into()]), "no shell, blanks between words");
    assert_eq!(settings.inactive_cmd, Some(vec!["/bin/down".into()]));
    let held: Vec<_> = settings.wanted.iter().map(|one| (one.address, one.device.as_str(), one.prefix)).collect();
    assert_eq!(held, [([10, 0, 0, 9].into(), "eth0", 24)]);
    assert_eq!(settings.wanted[0].label.as_deref(), Some("eth0:1"));
    assert_eq!(remarks, []);
}

#[test]
fn the_first_active_virtual_with_an_address_decides_device_and_mask() {
    let more = "virtual off {\n active = 0\n address = 10.0.0.7 eth3\n}\n\
        virtual second {\n active = 1\n address = 10.0.0.9 eth1:1\n vip_nmask = 255.255.255.255\n port = 81\n}\n";
    let (settings, _) = settings(&format!("network = direct\n{VIRTUAL}{more}")).unwrap();
    let held: Vec<_> = settings.wanted.iter().map(|one| (one.device.as_str(), one.prefix)).collect();
    assert_eq!(held, [("eth0", 24)]);
}

#[test]
fn the_nat_routers_address_is_held_too_but_only_with_nat() {
    let router = "nat_router = 192.168.9.1 eth1:1\nnat_nmask = 255.255.255.0\n";
    let (nat, _) = settings(&format!("network = nat\n{router}{VIRTUAL}")).unwrap();
    let held: Vec<_> = nat.wanted.iter().map(|one| one.device.as_str()).collect();
    assert_eq!(held, ["eth1", "eth0"]);
    let (direct, _) = settings(&format!("network = direct\n{router}{VIRTUAL}")).unwrap();
    assert_eq!(direct.wanted.len(), 1);
}

#[test]
fn a_missing_mask_is_remarked() {
    let text = "network = direct\nvirtual web {\n active = 1\n address = 10.0.0.9 eth0:1\n}\n";
    let (_, remarks) = settings(text).unwrap();
    assert_eq!(remarks, [Message::MaskByClass { address: [10, 0, 0, 9].into(), prefix: 8 }]);
}

#[test]
fn a_file_without_active_services_is_refused_in_the_originals_words() {
    let refused = settings("network = direct\n").unwrap_err();
    assert_eq!(refused.to_string(), "no active lvs services defined in lvs.cf");
}

#[test]
fn a_director_holds_the_addresses_of_the_kind_of_service_it_runs() {
    // piranha.md 1.2: both kinds may stand in a file, one is run
    let both = format!("{VIRTUAL}{}", VIRTUAL.replace("virtual", "failover").replace("10.0.0.9", "10.0.0.8"));
    for (service, vip) in [(ServiceKind::Lvs, [10, 0, 0, 9]), (ServiceKind::Fos, [10, 0, 0, 8])] {
        let word = if service == ServiceKind::Lvs { "lvs" } else { "fos" };
        let (settings, _) = settings(&format!("network = direct\nservice = {word}\n{both}")).unwrap();
        assert_eq!(settings.service, service);
        assert_eq!(settings.wanted.iter().map(|one| one.address).collect::<Vec<_>>(), [IpAddr::from(vip)]);
    }
    let none = settings(&format!("service = fos\n{VIRTUAL}")).unwrap_err();
    assert_eq!(none.to_string(), "no active fos services defined in lvs.cf");
}

#[test]
fn a_pair_of_one_is_refused_in_one_sentence() {
    let pair = settings(&format!("backup_active = 1\nbackup = 10.0.0.2\n{VIRTUAL}")).unwrap_err();
    assert!(pair.to_string().starts_with("backup_active = 1 in lvs.cf, but primary is not set"), "{pair}");
}

#[test]
fn an_active_backup_without_an_address_is_cleared_as_the_original_did() {
    let (_, remarks) = settings(&format!("backup_active = 1\n{VIRTUAL}")).unwrap();
    assert_eq!(remarks, [Message::UndefinedBackup]);
}

const PAIR: &str = "primary = 10.0.0.1\nbackup = 10.0.0.2\nbackup_active = 1\nnetwork = direct\n";

/// The ways of a director: its own end, and the partner's.
fn ends(text: &str, role: election::Role) -> Vec<(String, String, String)> {
    let pair = settings(&format!("{PAIR}{text}{VIRTUAL}")).unwrap().0.pair.unwrap();
    assert_eq!(pair.election(role).paths.len(), pair.ways.len());
    let end = |end: End| (end.name, end.ours.to_string(), end.partner.to_string());
    pair.ends(role).into_iter().map(end).collect()
}

fn end(name: &str, ours: &str, partner: &str) -> (String, String, String) {
    (name.to_owned(), ours.to_owned(), partner.to_owned())
}

#[test]
fn heartbeats_go_the_public_way_the_private_way_and_each_further_one() {
    let more = "primary_private = 10.1.0.1\nbackup_private = 10.1.0.2\nheartbeat_port = 1050\n\
        heartbeat_path = 2001:db8::1 2001:db8::2\n";
    assert_eq!(ends("", election::Role::Master), [end("Primary", "10.0.0.1:539", "10.0.0.2:539")]);
    let all = [
        end("Primary", "10.0.0.2:1050", "10.0.0.1:1050"),
        end("Private", "10.1.0.2:1050", "10.1.0.1:1050"),
        end("2001:db8::1-2001:db8::2", "[2001:db8::2]:1050", "[2001:db8::1]:1050"),
    ];
    assert_eq!(ends(more, election::Role::Backup), all);
}

#[test]
fn a_private_way_is_what_it_was_to_the_original() {
    // piranha.md 1.2: backup_private is backup unless it is set
    let half = [end("Primary", "10.0.0.1:539", "10.0.0.2:539"), end("Private", "10.1.0.1:539", "10.0.0.2:539")];
    assert_eq!(ends("primary_private = 10.1.0.1\n", election::Role::Master), half);
    // piranha.md 2.1: there is none where it is the public one
    let same = "primary_private = 10.0.0.1\nbackup_private = 10.1.0.2\n";
    assert_eq!(ends(same, election::Role::Master), [end("Primary", "10.0.0.1:539", "10.0.0.2:539")]);
}

#[test]
fn a_backup_that_is_marked_inactive_is_no_partner() {
    let text = format!("{}{VIRTUAL}", PAIR.replace("backup_active = 1", "backup_active = 0"));
    assert_eq!(settings(&text).unwrap().0.pair, None);
}
