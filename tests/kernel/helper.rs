//! The process that lives inside one namespace: it keeps the namespace alive, runs commands there, opens flows and answers
//! them. One JSON request per line on standard input, one JSON answer per line on standard output; it ends with its input,
//! so it cannot outlive the test.

use std::{
    fs,
    io::{BufRead, Read, Write},
    net::{SocketAddr, UdpSocket},
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, TryRecvError, channel},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::packet::{Packet, TCP, UDP};

/// Set in the environment of a helper.
pub const VARIABLE: &str = "ELB_DOCTOR_KERNEL_HELPER";
/// Begins every answer, as other things may be written to standard output.
pub const MARK: &str = "elb-doctor helper: ";

#[derive(Debug, Deserialize, Serialize)]
pub enum Request {
    /// Run a command with this input.
    Run { command: Vec<String>, input: String },
    /// Write a kernel setting; settings that this kernel does not have are passed over.
    Set { path: String, value: String },
    /// Answer at these addresses, TCP (`true`) or UDP.
    Listen(Vec<(bool, SocketAddr)>),
    /// Open flows.
    Send(Vec<Packet>),
    /// Which of them, by position, have been answered.
    Answered,
    /// Close every socket.
    Reset,
}

#[derive(Debug, Deserialize, Serialize)]
pub enum Answer {
    Done,
    Output(String),
    Answered(Vec<usize>),
    Failed(String),
}

/// Serves until standard input ends.
pub fn run() -> ! {
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    println!();
    let mut sockets = Sockets::default();
    loop {
        // With sockets to look after, look at them every so often; else there is nothing to do but wait.
        let line = if sockets.are_idle() {
            requests.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            match requests.recv_timeout(Duration::from_micros(500)) {
                Ok(line) => Ok(line),
                Err(RecvTimeoutError::Timeout) => Err(TryRecvError::Empty),
                Err(RecvTimeoutError::Disconnected) => Err(TryRecvError::Disconnected),
            }
        };
        sockets.serve();
        match line {
            Ok(line) => {
                let request = serde_json::from_str(&line).expect("a request");
                let answer = sockets.answer(request).unwrap_or_else(Answer::Failed);
                println!("{MARK}{}", serde_json::to_string(&answer).unwrap());
                std::io::stdout().flush().unwrap();
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => std::process::exit(0),
        }
    }
}

#[derive(Default)]
struct Sockets {
    tcp: Vec<Socket>,
    accepted: Vec<Socket>,
    udp: Vec<UdpSocket>,
    /// One per packet; `None`: the kernel refused to send it.
    flows: Vec<(Packet, Option<Socket>, bool)>,
}

impl Sockets {
    fn are_idle(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty() && self.flows.is_empty()
    }

    fn answer(&mut self, request: Request) -> Result<Answer, String> {
        match request {
            Request::Run { command, input } => return run_command(&command, &input).map(Answer::Output),
            Request::Set { path, value } => drop(fs::write(path, value)),
            Request::Listen(places) => {
                for (is_tcp, place) in places {
                    self.listen(is_tcp, place)
                        .map_err(|e| format!("cannot listen at {place}: {e}"))?;
                }
            }
            Request::Send(packets) => {
                for packet in packets {
                    let flow = open(&packet).map_err(|e| format!("{packet}: {e}"))?;
                    self.flows.push((packet, flow, false));
                }
            }
            Request::Answered => {
                let answered = self.flows.iter().enumerate().filter(|(_, (_, _, done))| *done);
                return Ok(Answer::Answered(answered.map(|(i, _)| i).collect()));
            }
            Request::Reset => {
                // No end of a connection may stay behind and get in the way of the next one with the same ports.
                for socket in self
                    .accepted
                    .iter()
                    .chain(self.flows.iter().filter_map(|(_, s, _)| s.as_ref()))
                {
                    let _ = socket.set_linger(Some(Duration::ZERO));
                }
                *self = Self::default();
            }
        }
        Ok(Answer::Done)
    }

    fn listen(&mut self, is_tcp: bool, place: SocketAddr) -> std::io::Result<()> {
        let socket = bound(if is_tcp { Type::STREAM } else { Type::DGRAM }, None, place)?;
        if is_tcp {
            socket.listen(256)?;
            self.tcp.push(socket);
        } else {
            self.udp.push(socket.into());
        }
        Ok(())
    }

    fn serve(&mut self) {
        for listener in &self.tcp {
            while let Ok((socket, _)) = listener.accept() {
                self.accepted.push(socket);
            }
        }
        let mut buffer = [0; 2048];
        for socket in &self.udp {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                // A rule may refuse the answer; then it is noted as dropped.
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
        for (packet, socket, done) in &mut self.flows {
            if let (false, Some(socket)) = (*done, socket) {
                *done = is_answered(packet, socket);
            }
        }
    }
}

fn run_command(command: &[String], input: &str) -> Result<String, String> {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{command:?}: {e}"))?;
    let text = input.to_owned();
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let _ = writer.join();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{command:?} failed: {said}\n{input}"))
    }
}

fn bound(type_: Type, protocol: Option<Protocol>, place: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(place), type_, protocol)?;
    if type_ == Type::STREAM || type_ == Type::DGRAM {
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&place.into())?;
    Ok(socket)
}

/// Sends the first packet of a flow. That the kernel refuses it, as an outbound rule drops it, is no error.
fn open(packet: &Packet) -> std::io::Result<Option<Socket>> {
    let to = SockAddr::from(packet.to());
    match packet.protocol {
        TCP => {
            let socket = bound(Type::STREAM, None, packet.from())?;
            let _ = socket.connect(&to);
            Ok(Some(socket))
        }
        UDP => {
            let socket = bound(Type::DGRAM, None, packet.from())?;
            socket.connect(&to)?;
            let _ = socket.send(b"probe");
            Ok(Some(socket))
        }
        protocol => {
            let socket = bound(Type::RAW, Some(Protocol::from(i32::from(protocol))), packet.from())?;
            socket.connect(&to)?;
            let _ = socket.send(&echo_request(packet.source.is_ipv4()));
            Ok(Some(socket))
        }
    }
}

/// The ICMP echo request; over IPv6 the kernel fills in the checksum.
fn echo_request(v4: bool) -> [u8; 8] {
    if v4 {
        // type 8, code 0, checksum, identifier 1, sequence number 1
        [8, 0, 0xf7, 0xfd, 0, 1, 0, 1]
    } else {
        [128, 0, 0, 0, 0, 1, 0, 1]
    }
}

fn is_answered(packet: &Packet, socket: &mut Socket) -> bool {
    match packet.protocol {
        TCP => socket.peer_addr().is_ok(),
        UDP => socket.read(&mut [0; 64]).is_ok_and(|length| length == 5),
        _ => {
            let mut buffer = [0; 256];
            while let Ok(length) = socket.read(&mut buffer) {
                let message = &buffer[..length];
                // A raw IPv4 socket gives the IP header too.
                let type_ = if packet.source.is_ipv4() {
                    message.get(20)
                } else {
                    message.first()
                };
                if matches!(type_, Some(0 | 129)) {
                    return true;
                }
            }
            false
        }
    }
}
