use super::*;
use crate::nanny_command::Manner;
use crate::wanted::tests::config;

fn wanted() -> Wanted {
    let server =
        |name: &str, last: u8| format!(" server {name} {{\n address = 10.0.0.{last}\n active = 1\n weight = 3\n }}\n");
    let block = |name: &str, port: u16| {
        let servers = server("a", 1) + &server("b", 2);
        format!(
            "virtual {name} {{\n active = 1\n address = 192.0.2.1 eth0:1\n port = {port}\n send = \"-w\"\n drain = 9\n{servers}}}\n"
        )
    };
    let text = "network = direct\n".to_owned() + &block("web", 80) + &block("mail", 25);
    Wanted::new(&config(&text), "/opt/nanny".as_ref(), &Manner::default()).0
}

fn target(wanted: &Wanted, called: &str) -> Target {
    find(wanted, called).unwrap().target
}

fn weight(wanted: &Wanted, called: &str) -> String {
    let line: Vec<&str> = find(wanted, called).unwrap().arguments.iter().collect();
    let at = line.windows(2).rposition(|pair| pair[0] == "-w").unwrap();
    line[at + 1].to_owned()
}

#[test]
fn a_server_is_found_by_names_and_by_addresses() {
    let wanted = wanted();
    assert_eq!(target(&wanted, "web/b"), target(&wanted, "192.0.2.1:80/10.0.0.2:80"));
    assert_ne!(target(&wanted, "web/b"), target(&wanted, "mail/b"));
    for called in ["", "web", "web/", "web/c", "/a", "10.0.0.2:80", "192.0.2.1:80/10.0.0.2:25"] {
        assert!(find(&wanted, called).is_err(), "{called}");
    }
    let mut twice = wanted.clone();
    twice.virtuals[1].name = "web".to_owned();
    let several = "several real servers are called \"web/a\": say \"tcp 192.0.2.1:80/10.0.0.1:80\", ";
    assert!(find(&twice, "web/a").unwrap_err().starts_with(several), "{:?}", find(&twice, "web/a"));
}

#[test]
fn where_two_services_are_on_one_port_the_protocol_tells_them_apart() {
    let text = "virtual dns {\n active = 1\n address = 192.0.2.1 eth0:1\n port = 53\n protocol = udp\n server a {\n \
                address = 10.0.0.1\n active = 1\n }\n}\n";
    let tcp = text.replace("dns", "zone").replace("udp", "tcp");
    let six = "virtual six {\n active = 1\n fwmark = 21\n server a {\n address = 2001:db8::1\n active = 1\n }\n}\n";
    let wanted = Wanted::new(&config(&format!("{text}{tcp}{six}")), "/opt/nanny".as_ref(), &Manner::default()).0;
    let why = find(&wanted, "192.0.2.1:53/10.0.0.1:53").unwrap_err();
    for (word, called) in [("udp", "dns/a"), ("tcp", "zone/a")] {
        let kernels = format!("{word} 192.0.2.1:53/10.0.0.1:53");
        assert!(why.contains(&kernels), "{why}");
        assert_eq!(target(&wanted, &kernels), target(&wanted, called));
    }
    for called in ["21/[2001:db8::1]:80", "mark 21 (IPv6)/[2001:db8::1]:80"] {
        assert_eq!(target(&wanted, called), target(&wanted, "six/a"), "{called}");
    }
}

#[test]
fn words_are_orders() {
    assert_eq!(order("drain"), Ok(Some(Order::Weight(0))));
    assert_eq!(order("disable"), Ok(Some(Order::Disabled)));
    assert_eq!(order("enable"), Ok(None));
    assert_eq!(order("weight=7"), Ok(Some(Order::Weight(7))));
    for wrong in ["", "weight=", "weight=-1", "weight=65536", "Drain"] {
        assert!(order(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_order_changes_its_server_alone_and_is_undone_without_a_trace() {
    let file = wanted();
    let mut wanted = file.clone();
    let (a, b) = (target(&file, "web/a"), target(&file, "web/b"));
    let mut orders = Orders::from([(a, Order::Weight(0)), (b, Order::Disabled)]);
    obey(&mut wanted, &mut orders);
    assert_eq!(weight(&wanted, "web/a"), "0");
    assert!(find(&wanted, "web/a").unwrap().arguments.iter().any(|word| word == "-s"), "the text -w is no option");
    let web = &wanted.virtuals[0];
    assert_eq!((web.monitors.len(), web.disabled.len()), (1, 1));
    assert_eq!(wanted.inactive.get(&b), Some(&std::time::Duration::from_secs(9)), "it drains as at a reload");
    assert_eq!(wanted.virtuals[1], file.virtuals[1]);

    obey(&mut wanted, &mut orders);
    orders.insert(a, Order::Weight(5));
    obey(&mut wanted, &mut orders);
    assert_eq!(weight(&wanted, "web/a"), "5");
    orders.clear();
    obey(&mut wanted, &mut orders);
    assert_eq!(wanted, file);
}

#[test]
fn orders_about_servers_that_left_the_file_are_forgotten() {
    let mut wanted = wanted();
    let (a, b) = (target(&wanted, "web/a"), target(&wanted, "mail/a"));
    wanted.virtuals.pop();
    let mut orders = Orders::from([(a, Order::Disabled), (b, Order::Disabled)]);
    obey(&mut wanted, &mut orders);
    assert_eq!(orders.into_keys().collect::<Vec<_>>(), [a]);
}
