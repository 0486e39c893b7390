//! Four network namespaces in a row: load balancer – border of its subnets – border of the server's subnet – server. Each is held by a helper process and
//! has no name, so that nothing is left when the helpers end, for whatever reason.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::IpAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    helper::{Answer, MARK, Request, VARIABLE},
    oracle::values::Family,
    packet::{Dropper, Fate, Packet, TCP, Way},
    render::Rendered,
};

const PACKAGES: &str = "apt-get install nftables iproute2 util-linux";

/// One namespace and the process that holds it.
struct Namespace {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The end of its input ends the helper, and with it the namespace.
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

impl Namespace {
    /// A fresh namespace; `beside` is a namespace whose user namespace it shares, where users may not make any otherwise.
    fn new(beside: Option<&Namespace>) -> Self {
        let me = std::env::current_exe().expect("the test's own program");
        let mut words: Vec<String> = Vec::new();
        if !is_root() {
            match beside {
                None => words.extend(["unshare", "--user", "--map-root-user", "--net"].map(Into::into)),
                Some(first) => {
                    let user = format!("--user=/proc/{}/ns/user", first.process.id());
                    words.extend(["nsenter".into(), "--preserve-credentials".into(), user]);
                }
            }
        }
        if words.first().is_none_or(|word| word != "unshare") {
            words.extend(["unshare", "--net"].map(Into::into));
        }
        let mut process = Command::new(&words[0])
            .args(&words[1..])
            .arg(me)
            .args(["--exact", "helper_in_a_namespace", "--nocapture"])
            .env(VARIABLE, "1")
            .env("PATH", path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}; {PACKAGES}", words[0]));
        let (input, output) = (process.stdin.take(), process.stdout.take().expect("piped"));
        let mut namespace = Self {
            process,
            input,
            output: BufReader::new(output),
        };
        let answered = namespace.try_ask(&Request::Reset);
        assert!(
            matches!(answered, Some(Answer::Done)),
            "this machine does not let this process make network namespaces ({} failed): run the test as root, allow \
             unprivileged user namespaces, or set ELB_DOCTOR_WITHOUT_KERNEL=1 to leave it out",
            words.join(" ")
        );
        namespace
    }

    /// `None`: the helper is gone.
    fn try_ask(&mut self, request: &Request) -> Option<Answer> {
        let mut line = serde_json::to_string(request).unwrap();
        line.push('\n');
        self.input.as_mut()?.write_all(line.as_bytes()).ok()?;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some((_, answer)) = line.split_once(MARK) {
                return Some(serde_json::from_str(answer).expect("an answer"));
            }
        }
    }

    fn ask(&mut self, request: &Request) -> Answer {
        match self.try_ask(request).expect("the helper lives") {
            Answer::Failed(told) => panic!("{told}"),
            answer => answer,
        }
    }

    fn run(&mut self, command: &[&str], input: &str) -> String {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let input = input.to_owned();
        match self.ask(&Request::Run { command, input }) {
            Answer::Output(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn set(&mut self, path: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/net/{path}"), value.to_owned());
        self.ask(&Request::Set { path, value });
    }

    fn ip(&mut self, lines: &[String]) {
        if !lines.is_empty() {
            self.run(&["ip", "-batch", "-"], &(lines.join("\n") + "\n"));
        }
    }
}

/// Where administrative programs are, also for users who lack it in their PATH.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}

fn require_tools() {
    for (tool, version) in [
        ("nft", "--version"),
        ("ip", "-V"),
        ("unshare", "--version"),
        ("nsenter", "--version"),
    ] {
        let found = Command::new(tool).arg(version).env("PATH", path()).output();
        assert!(found.is_ok(), "{tool} is missing: {PACKAGES}");
    }
}

/// The four namespaces, joined.
pub struct Row {
    // Dropped in this order: the first one's user namespace may own the others.
    server: Namespace,
    border: Namespace,
    edge: Namespace,
    balancer: Namespace,
    balancer_addresses: BTreeSet<IpAddr>,
    server_address: Option<IpAddr>,
    /// Number of the next memory of connections.
    zone: u16,
}

const SETTINGS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/ip_nonlocal_bind", "1"),
    // A listener keeps nothing of a handshake whose answer is dropped: the next rule set meets the same ports unused.
    ("ipv4/tcp_syncookies", "2"),
];

impl Row {
    pub fn new() -> Self {
        require_tools();
        let mut balancer = Namespace::new(None);
        let mut edge = Namespace::new(Some(&balancer));
        let mut border = Namespace::new(Some(&balancer));
        let mut server = Namespace::new(Some(&balancer));
        for namespace in [&mut balancer, &mut edge, &mut border, &mut server] {
            for (path, value) in SETTINGS {
                namespace.set(path, value);
            }
            namespace.ip(&["link set lo up".into()]);
        }
        // Next hops are fixed and their hardware addresses known, so that no neighbour discovery mixes with judged packets.
        let joined = |name: &str, number: u8, peer: &str, namespace: &Namespace| {
            format!(
                "link add {name} address 02:00:00:00:00:0{number} type veth \
                 peer name {peer} address 02:00:00:00:00:0{} netns {}",
                number + 1,
                namespace.process.id()
            )
        };
        let next_hop = |device: &str, number: u8| {
            vec![
                // no address of its own that would speak up
                format!("link set {device} addrgenmode none"),
                format!("link set {device} up"),
                format!("neigh replace 169.254.0.{number} lladdr 02:00:00:00:00:0{number} dev {device} nud permanent"),
                format!("neigh replace fe80::{number} lladdr 02:00:00:00:00:0{number} dev {device} nud permanent"),
            ]
        };
        let default = |device: &str, number: u8| {
            let mut lines = next_hop(device, number);
            lines.push(format!(
                "route replace default via 169.254.0.{number} dev {device} onlink"
            ));
            lines.push(format!("route replace ::/0 via fe80::{number} dev {device} onlink"));
            lines
        };
        edge.ip(&[joined("tolb", 1, "uplink", &balancer)]);
        border.ip(&[
            joined("tolb", 3, "toserver", &edge),
            joined("toserver", 5, "uplink", &server),
        ]);
        edge.ip(&default("tolb", 2));
        edge.ip(&next_hop("toserver", 3));
        border.ip(&default("tolb", 4));
        border.ip(&next_hop("toserver", 6));
        balancer.ip(&default("uplink", 1));
        server.ip(&default("uplink", 5));
        Self {
            server,
            border,
            edge,
            balancer,
            balancer_addresses: BTreeSet::new(),
            server_address: None,
            zone: 0,
        }
    }

    /// A number for a memory of connections that knows of none.
    pub fn next_zone(&mut self) -> u16 {
        self.zone += 1;
        self.zone
    }

    /// Sends packets through the rule sets and tells what became of each.
    pub fn send(&mut self, rendered: &Rendered, packets: &[Packet], server: IpAddr) -> Vec<Result<Fate, String>> {
        self.edge.run(&["nft", "-f", "-"], &rendered.edge);
        self.border.run(&["nft", "-f", "-"], &rendered.border);
        self.server.run(&["nft", "-f", "-"], &rendered.server);
        self.give_addresses(packets, server);
        let way = packets.first().map_or(Way::In, |packet| packet.way);
        let listen: BTreeSet<_> = packets
            .iter()
            .filter(|packet| packet.has_ports())
            .map(|packet| (packet.protocol == TCP, packet.to()))
            .collect();
        let (from, to) = match way {
            Way::In => (&mut self.balancer, &mut self.server),
            Way::Out => (&mut self.server, &mut self.balancer),
        };
        to.ask(&Request::Listen(listen.into_iter().collect()));
        from.ask(&Request::Send(packets.to_vec()));

        let deadline = Instant::now() + Duration::from_secs(20);
        let mut fates: Vec<Option<Fate>> = vec![None; packets.len()];
        loop {
            std::thread::sleep(Duration::from_millis(2));
            if let Answer::Answered(answered) = from.ask(&Request::Answered) {
                for i in answered {
                    fates[i] = Some(Fate::Completed);
                }
            }
            if fates.iter().any(Option::is_none) {
                let mut dropped = noted(&self.border.run(&["nft", "-jn", "list", "sets"], ""), rendered);
                dropped.extend(noted(&self.edge.run(&["nft", "-jn", "list", "sets"], ""), rendered));
                // The server's namespace is one of the two that are lent out above.
                let at_server = match way {
                    Way::In => to.run(&["nft", "-jn", "list", "sets"], ""),
                    Way::Out => from.run(&["nft", "-jn", "list", "sets"], ""),
                };
                dropped.extend(noted(&at_server, rendered));
                for (fate, packet) in fates.iter_mut().zip(packets) {
                    if fate.is_none() {
                        let found = dropped.iter().find(|(note, _)| note.is_of(packet));
                        *fate = found.map(|(_, dropper)| Fate::Dropped(dropper.clone()));
                    }
                }
            }
            if fates.iter().all(Option::is_some) || Instant::now() > deadline {
                break;
            }
        }
        from.ask(&Request::Reset);
        to.ask(&Request::Reset);
        let lost = |packet: &Packet| format!("{packet} is neither answered nor noted as dropped");
        fates
            .into_iter()
            .zip(packets)
            .map(|(fate, packet)| fate.ok_or_else(|| lost(packet)))
            .collect()
    }

    /// Puts the packets' addresses where they belong and takes others away.
    fn give_addresses(&mut self, packets: &[Packet], server: IpAddr) {
        let wanted: BTreeSet<IpAddr> = packets.iter().map(Packet::remote).collect();
        let line = |verb: &str, address: &IpAddr| match address {
            IpAddr::V4(a) => format!("addr {verb} {a}/32 dev lo"),
            // An IPv6 address would come to life some time later; a route to it is there at once.
            IpAddr::V6(a) => format!("route {verb} local {a}/128 dev lo table local"),
        };
        let gone = self.balancer_addresses.difference(&wanted).map(|a| line("del", a));
        let new = wanted.difference(&self.balancer_addresses).map(|a| line("add", a));
        self.balancer.ip(&gone.chain(new).collect::<Vec<_>>());
        self.balancer_addresses = wanted;
        if self.server_address != Some(server) {
            let old = self.server_address.replace(server);
            let lines: Vec<_> = old
                .iter()
                .map(|a| line("del", a))
                .chain([line("add", &server)])
                .collect();
            self.server.ip(&lines);
            for (router, next) in [(&mut self.edge, 3), (&mut self.border, 6)] {
                let route = |verb: &str, address: &IpAddr| match address {
                    IpAddr::V4(a) => format!("route {verb} {a}/32 via 169.254.0.{next} dev toserver onlink"),
                    IpAddr::V6(a) => format!("route {verb} {a}/128 via fe80::{next} dev toserver onlink"),
                };
                let lines: Vec<_> = old
                    .iter()
                    .map(|a| route("del", a))
                    .chain([route("add", &server)])
                    .collect();
                router.ip(&lines);
            }
        }
    }
}

/// A packet as a rule that dropped it has noted it.
struct Note {
    protocol: u8,
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

impl Note {
    /// Whether it is that packet, or the reply to it.
    fn is_of(&self, packet: &Packet) -> bool {
        // Where ports would stand, ICMP has other fields.
        let same = |(address, port): (IpAddr, u16), expected: (IpAddr, u16)| {
            address == expected.0 && (!packet.has_ports() || port == expected.1)
        };
        let source = (packet.source, packet.source_port);
        let destination = (packet.destination, packet.destination_port);
        self.protocol == packet.protocol
            && (same(self.source, source) && same(self.destination, destination)
                || same(self.source, destination) && same(self.destination, source))
    }
}

/// What `nft -jn list sets` says about dropped packets.
fn noted(listing: &str, rendered: &Rendered) -> Vec<(Note, Dropper)> {
    let listing: serde_json::Value = serde_json::from_str(listing).expect("JSON of nft");
    let mut notes = Vec::new();
    for entry in listing["nftables"].as_array().expect("a list") {
        let set = &entry["set"];
        let Some((_, dropper)) = rendered.droppers.iter().find(|(name, _)| set["name"] == name.as_str()) else {
            continue;
        };
        for element in set["elem"].as_array().into_iter().flatten() {
            let fields = element["concat"].as_array().expect("five fields");
            let number = |i: usize| {
                let text = fields[i]
                    .as_str()
                    .map(ToOwned::to_owned)
                    .unwrap_or(fields[i].to_string());
                text.parse::<u16>().unwrap_or_else(|_| panic!("a number: {element}"))
            };
            let address = |i: usize| {
                fields[i]
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .expect("an address")
            };
            let note = Note {
                protocol: u8::try_from(number(0)).expect("a protocol"),
                source: (address(1), number(2)),
                destination: (address(3), number(4)),
            };
            notes.push((note, dropper.clone()));
        }
    }
    notes
}

/// Whether packets with this address can be sent at all: no loopback, multicast, link-local or "this network".
pub fn can_be_sent(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            let first = a.octets()[0];
            (1..=223).contains(&first) && first != 127 && !a.is_link_local()
        }
        IpAddr::V6(a) => {
            let first = a.octets()[0];
            (0x20..=0xfd).contains(&first)
        }
    }
}

/// The family of an address.
pub fn family(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}
