//! What an operator or a machine can get wrong: a clear sentence, the right exit
//! code, and nothing torn down.

use std::fmt::Write as _;
use std::process::Output;

use crate::ground::director::{Director, LVS_CF, LVSD, PULSE};
use crate::ground::real_server::RealServer;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{MODULES, in_a_guest, scenario};
use crate::site::{self, Site, VIP_ON_DEVICE};

/// The exit code and stderr.
fn refused(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_missing_a_forbidden_and_a_wrong_file_are_refused_in_words() {
    scenario(|lab| {
        let site = Site::new(lab);
        let director = &site.director;
        let (code, said) = refused(&director.try_pulse(&["-c", "/etc/sysconfig/ha/none.cf"]));
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("pulse: failed to open /etc/sysconfig/ha/none.cf"), "{said}");
        let (code, said) = refused(&director.run_daemon(LVSD, &["--nofork", "-c", "/etc/sysconfig/ha/none.cf"]));
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("lvs: failed to open /etc/sysconfig/ha/none.cf"), "{said}");

        let (wrong, at) = site::wrong_lvs_cf();
        director.configure(&wrong);
        let (code, said) = refused(&director.try_pulse(&[]));
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(&format!("pulse: error parsing {LVS_CF} at line {at}: ")), "{said}");
        let (code, said) = refused(&director.run_daemon(LVSD, &["--nofork"]));
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(&format!("lvs: error parsing {LVS_CF} on line {at}.")), "{said}");
        assert!(said.contains(&format!("{LVS_CF}:{at}:")), "{said}");

        director.configure(&site::LVS_CF.replace("virtual 100 {\n     active = 1", "virtual 100 {\n     active = 0"));
        let (code, said) = refused(&director.try_pulse(&[]));
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(&format!("pulse: no active lvs services defined in {LVS_CF}")), "{said}");

        director.configure(site::LVS_CF);
        let as_nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", PULSE];
        let (code, said) = refused(&director.machine.output("setpriv", &as_nobody));
        assert_eq!(code, Some(77), "{said}");
        assert!(said.contains("running as root?") || said.contains("Permission denied"), "{said}");
        director.machine.run("chmod", &["600", LVS_CF]);
        let (code, said) = refused(&director.machine.output("setpriv", &as_nobody));
        assert_eq!(code, Some(77), "{said}");
        assert!(director.daemons().is_empty() && director.table().services.is_empty());
    });
}

#[test]
fn a_second_start_is_refused_and_disturbs_nothing() {
    scenario(|lab| {
        let site = Site::in_service(lab);
        let director = &site.director;
        let (watch, daemons) = (director.watch(), director.daemons());
        let (code, said) = refused(&director.try_pulse(&[]));
        assert_eq!(code, Some(71), "{said}");
        assert!(said.contains("already running"), "{said}");
        let (code, said) = refused(&director.run_daemon(LVSD, &["--nofork"]));
        assert_eq!(code, Some(71), "{said}");
        assert!(said.contains("already running"), "{said}");
        assert_eq!(director.daemons(), daemons);
        watch.assert_unchanged();
    });
}

#[test]
fn a_kernel_without_ipvs_is_told_in_one_sentence() {
    scenario(|lab| {
        lab.network("front");
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        if !in_a_guest() {
            // This kernel has it, and it is not ours to take out.
            let loaded = std::fs::read_to_string("/proc/modules").unwrap_or_default();
            assert!(loaded.contains("ip_vs"), "shown only in a guest, whose kernel loads what it is asked for");
            return;
        }
        std::fs::write("/proc/sys/kernel/modprobe", "/nonexistent\n").expect("the kernel's module loader");
        director.configure(site::LVS_CF);
        let sentence = "this kernel has no IPVS: load it with \"modprobe ip_vs\"";
        let (code, said) = refused(&director.run_daemon(LVSD, &["--nofork"]));
        assert_eq!(code, Some(71), "{said}");
        director.log.wait_for(0, sentence);
        let mark = director.log.mark();
        director.start_pulse();
        director.log.wait_for(mark, sentence);
        assert!(!director.daemons().is_empty(), "pulse goes on trying");
        director.stop_pulse();
    });
}

#[test]
fn a_vip_on_a_device_that_is_not_there_waits_for_it_and_the_others_are_served() {
    scenario(|lab| {
        let site = Site::new(lab);
        let director = &site.director;
        let other = site::LVS_CF.split_once("virtual 100").expect("the virtual").1;
        let other =
            other.replace("192.168.142.100 eth0:1", "192.168.142.101 eth9:1").replace("port = 80\n", "port = 81\n");
        director.configure(&format!("{}virtual 101{other}", site::LVS_CF));
        director.start_pulse();
        site.wait_in_service();
        director.wait_for_destinations("TCP 192.168.142.101:81", &["192.168.142.158:81", "192.168.142.159:81"]);
        director.log.wait_for(0, "eth9");
        director.machine.ip("link add eth9 type dummy\nlink set eth9 up\n");
        director.wait_for_address("192.168.142.101/24");
        assert_eq!(site.client.ask(site::VIP).map(|server| server.len()), Ok(3));
        director.stop_pulse();
        assert!(!director.has_address("192.168.142.101/24") && !director.has_address(VIP_ON_DEVICE));
    });
}

/// Whoever takes a scheduler that the kernel lacks is told before, and nobody else.
#[test]
fn the_check_knows_which_schedulers_this_kernel_has() {
    scenario(|lab| {
        lab.network("front");
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        let schedulers =
            ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];
        let mut file = "primary = 192.168.142.160\n".to_owned();
        let mut lacking = Vec::new();
        for (port, scheduler) in (8001..).zip(schedulers) {
            write!(
                file,
                "virtual {scheduler} {{\n active = 1\n address = 192.168.142.100 eth0:1\n vip_nmask = 255.255.255.0\n \
                 port = {port}\n scheduler = {scheduler}\n server a {{\n  address = 192.168.142.158\n  active = 1\n }}\n}}\n"
            )
            .unwrap();
            let service = format!("192.168.142.100:{port}");
            let added = director.machine.output("ipvsadm", &["-A", "-t", &service, "-s", scheduler]);
            if !added.status.success() {
                lacking.push(scheduler);
            }
        }
        assert!(lacking.len() < schedulers.len() && !lacking.contains(&"wlc"), "{lacking:?}");
        director.configure(&file);
        let checked = if in_a_guest() {
            assert!(!lacking.is_empty(), "this guest's kernel has them all: nothing is shown");
            check_beside_the_modules(&director)
        } else {
            director.machine.run(LVSD, &["--check", LVS_CF])
        };
        let told: Vec<&str> = checked
            .lines()
            .filter_map(|line| line.split_once("this kernel has no scheduler \"")?.1.split_once('"'))
            .map(|(scheduler, _)| scheduler)
            .collect();
        assert_eq!(told, lacking, "{checked}");
    });
}

/// `lvsd --check` where the guest's modules are below /lib/modules, as everywhere
/// but in a guest, whose root is the host's and has none.
fn check_beside_the_modules(director: &Director) -> String {
    let folder = std::path::Path::new(LVSD).parent().expect("a folder").display();
    let script = format!(
        "set -e; root=/run/root; mkdir -p $root/usr $root/proc $root/etc $root/lib/modules $root{folder}\n\
         mount --bind /usr $root/usr; ln -s usr/lib64 $root/lib64; ln -s /usr/lib/* $root/lib\n\
         mount --rbind /proc $root/proc\n\
         mount --rbind /etc $root/etc; mount --bind {MODULES} $root/lib/modules; mount --bind {folder} $root{folder}\n\
         exec chroot $root {LVSD} --check {LVS_CF}"
    );
    director.machine.run("sh", &["-c", &script])
}

/// What a check script can do to its nanny, by the port of its virtual service.
const SCRIPTS: [(u16, &str); 4] = [
    (8181, "exec sleep 100000"),
    (8182, "head -c 1073741824 /dev/zero"),
    (8183, "sleep 100000 & setsid sleep 100000 & echo FAIL"),
    (8184, "exit 1"),
];

#[test]
fn a_check_script_that_hangs_babbles_forks_away_fails_or_is_missing_costs_its_own_server() {
    scenario(|lab| {
        lab.network("front");
        let director = Director::new(lab, "director", "front", &["192.168.142.160/24"]);
        let mut server = RealServer::new(lab, "158", "front", &["192.168.142.158/24"]);
        server.serve(&["tcp 8080"]);
        let mut file = String::from("primary = 192.168.142.160\nservice = lvs\nnetwork = direct\n");
        let ports: Vec<u16> = SCRIPTS.iter().map(|(port, _)| *port).chain([8185, 8186]).collect();
        for port in &ports {
            director.machine.write_script(&format!("/run/check{port}"), "#!/bin/sh\necho OK\n");
            // The well one has what the others leave of the machine.
            let timeout = if *port == 8186 { 30 } else { 5 };
            let _ = write!(
                file,
                "virtual v{port} {{\n active = 1\n address = 192.168.142.100 eth0:1\n vip_nmask = 255.255.255.0\n port = {port}\n\
                 send_program = \"/run/check{port} %h %p\"\n expect = \"OK\"\n timeout = {timeout}\n interval = 2\n reentry = 2\n\
                 server s {{\n address = 192.168.142.158\n active = 1\n port = {port}\n }}\n}}\n"
            );
        }
        director.configure(&file);
        director.start_pulse();
        let service = |port: &u16| format!("TCP 192.168.142.100:{port}");
        let destination = |port: &u16| format!("192.168.142.158:{port}");
        for port in &ports {
            director.wait_for_destinations(&service(port), &[&destination(port)]);
        }
        let mark = director.log.mark();
        for (port, script) in SCRIPTS {
            director.machine.write_script(&format!("/run/check{port}"), &format!("#!/bin/sh\n{script}\n"));
        }
        std::fs::remove_file(director.machine.path("/run/check8185")).expect("the script");
        for port in &ports[..5] {
            director.wait_for_destinations(&service(port), &[]);
            director
                .log
                .wait_for(mark, &format!("[inactive] shutting down {} due to connection failure", destination(port)));
        }
        assert_eq!(director.kernel_table().destinations(&service(&8186)), [destination(&8186)], "the well one stays");
        director.log.wait_for(mark, "/run/check8185");
        director.log.assert_never(mark, "died");
        for port in &ports[..5] {
            director.machine.write_script(&format!("/run/check{port}"), "#!/bin/sh\necho OK\n");
        }
        for port in &ports {
            director.wait_for_destinations(&service(port), &[&destination(port)]);
        }
        wait_until(SOON, "what the scripts had started is gone", || {
            let names: Vec<String> = director.machine.all_processes().into_iter().map(|(_, name)| name).collect();
            !names.iter().any(|name| name == "head") && names.iter().filter(|name| *name == "sleep").count() <= 1
        });
        director.stop_pulse();
        assert_eq!(director.table().services.len(), 0);
    });
}
