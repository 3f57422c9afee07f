//! A download that is under way when its director goes: with the connections told
//! to the other one it stands still for a moment, and every byte arrives.

use std::time::Duration;

use crate::ground::download::Download;
use crate::ground::wait::{SOON, wait_until};
use crate::ground::{Lab, scenario, tell};

use super::product::Product;
use super::site::{BACKUP, MASTER, Method, Pair, Plan, VIP};

/// Longer than everything that happens meanwhile.
const LASTS: Duration = Duration::from_secs(12);

fn survives(lab: &Lab, method: Method) {
    let pair = Pair::in_service(lab, Plan { method, sync: true, ..Plan::OURS });
    let known_to = |which: usize, download: &Download| {
        let connections = pair.directors[which].machine.run("ipvsadm", &["-Lnc"]);
        let client = format!("192.168.142.10:{} ", download.port());
        connections.lines().any(|line| line.contains("ESTABLISHED") && line.contains(&client))
    };
    let download = pair.client.download(VIP, LASTS);
    wait_until(SOON, "the backup knows of the connection", || known_to(BACKUP, &download));
    download.assert_flowing();
    pair.cut_off(MASTER);
    wait_until(SOON, "the backup takes over", || pair.holds_vip(BACKUP));
    download.assert_flowing();
    let still = download.finish();
    tell::figure(&format!("pair: a download, {method:?}, its director cut off: it stood still for {still:?}"));
    pair.mend(MASTER);
    let active = pair.wait_until_agreed();
    pair.wait_for_service(active);

    let download = pair.client.download(VIP, LASTS);
    wait_until(SOON, "the other one knows of the connection", || known_to(1 - active, &download));
    Product::Ours.stop(&pair.directors[active]);
    pair.wait_for_vip_on(&[1 - active]);
    download.assert_flowing();
    let still = download.finish();
    tell::figure(&format!("pair: a download, {method:?}, its director stopped: it stood still for {still:?}"));
}

#[test]
fn a_download_survives_a_takeover_under_direct_routing() {
    scenario(|lab| survives(lab, Method::Direct));
}

#[test]
fn a_download_survives_a_takeover_behind_nat() {
    scenario(|lab| survives(lab, Method::Nat));
}
