//! A running controller as a test sees it: the built program as a child process, with the rights of the service account
//! that deploy/ makes, its log in a file.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::common::ControlPlane;

/// How long anything may take on a busy machine before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Runs `kubectl` and returns what it prints.
pub fn kubectl(args: &[&str]) -> String {
    let output = ControlPlane::get().kubectl().args(args).output().expect("kubectl runs");
    assert!(
        output.status.success(),
        "kubectl {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("kubectl prints UTF-8")
}

/// Applies manifests to a namespace.
pub fn apply(namespace: &str, manifests: &str) {
    let output = ControlPlane::get().kubectl_with_input(&["apply", "-n", namespace, "-f", "-"], manifests);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until `look` finds what it looks for; `Err` says what it sees instead.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}; last seen: {seen}"
            ),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The program that is tested. `ELB_DOCTOR_TEST_BINARY` names another, such as an older one that a test is to fail with.
fn program() -> String {
    std::env::var("ELB_DOCTOR_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_elb-doctor").to_owned())
}

/// A kubeconfig that acts as the service account, with a token of its own.
pub fn kubeconfig(dir: &Path, namespace: &str) -> PathBuf {
    let mut config: serde_json::Value =
        serde_json::from_str(&kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"])).expect("a kubeconfig");
    let token = kubectl(&["create", "token", "elb-doctor", "-n", namespace, "--duration=2h"]);
    config["users"][0]["user"] = serde_json::json!({ "token": token.trim() });
    config["contexts"][0]["context"]["namespace"] = namespace.into();
    let path = dir.join("kubeconfig");
    std::fs::write(&path, config.to_string()).expect("a file");
    path
}

/// A running controller. It ends with this value, and with the test program in whatever way that ends.
pub struct Replica {
    shell: Child,
    pid: u32,
    dir: tempfile::TempDir,
    admin: String,
}

impl Replica {
    /// Starts a controller as the service account `elb-doctor` of that namespace and waits until it answers probes.
    pub fn start(account_namespace: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir_in(ControlPlane::get().scratch()).expect("a directory");
        let kubeconfig = kubeconfig(dir.path(), account_namespace);
        Self::start_with(dir, &kubeconfig, flags)
    }

    /// The same with another way to the API server.
    pub fn start_by(kubeconfig: &Path, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir_in(ControlPlane::get().scratch()).expect("a directory");
        Self::start_with(dir, kubeconfig, flags)
    }

    fn start_with(dir: tempfile::TempDir, kubeconfig: &Path, flags: &[&str]) -> Self {
        // The shell kills the controller when its standard input ends, which the end of the test program brings about.
        const SHELL: &str = r#"exec 3<&0; "$@" & pid=$!; echo $pid
            { cat >/dev/null; kill -9 $pid; } <&3 2>/dev/null & guard=$!
            wait $pid; status=$?; kill $guard 2>/dev/null; exit $status"#;
        let log = File::create(dir.path().join("log")).expect("a file");
        let mut command = Command::new("sh");
        command
            .args(["-c", SHELL, "sh", &program(), "run"])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--admin-addr=127.0.0.1:0", "--log-format=json"])
            .args(flags)
            .env("ELB_DOCTOR_LOG_LEVEL", "info,elb_doctor=debug")
            .env_remove("POD_NAMESPACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut shell = command.spawn().expect("sh starts");
        let mut line = String::new();
        let stdout = shell.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a process id");
        let mut replica = Self {
            shell,
            pid: line.trim().parse().expect("a process id"),
            dir,
            admin: String::new(),
        };
        replica.admin = eventually("the address of the probes", || {
            let lines = replica.log();
            let found = lines
                .iter()
                .find_map(|line| line.get("address")?.as_str().map(str::to_owned));
            found.ok_or_else(|| format!("{lines:?}"))
        });
        replica
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.path().join("log")).expect("a log");
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits until a line with this message is logged.
    pub fn until_logged(&self, message: &str) {
        eventually(message, || {
            let lines = self.log();
            let found = lines
                .iter()
                .any(|line| line["message"].as_str().is_some_and(|said| said.contains(message)));
            found.then_some(()).ok_or_else(|| format!("{:?}", lines.last()))
        });
    }

    /// Status code, content type and body of a page of the admin server.
    pub fn get(&self, path: &str) -> Result<(u16, String, String), String> {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(&self.admin).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n"
        )
        .map_err(|e| e.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|e| e.to_string())?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no body")?;
        let code = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or("no status")?;
        let kind = head
            .lines()
            .find_map(|line| line.strip_prefix("content-type: "))
            .unwrap_or_default();
        Ok((code, kind.to_owned(), body.to_owned()))
    }

    /// Waits until it says that it is ready.
    pub fn until_ready(&self) {
        eventually("readiness", || match self.get("/readyz")? {
            (200, _, _) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// The sum of a counter or gauge over all series that have these words among their labels.
    pub fn metric(&self, name: &str, labels: &str) -> u64 {
        let (_, _, page) = self.get("/metrics").expect("a page");
        page.lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(labels))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Address of probes and metrics.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Everything logged so far, as it stands in the log.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).expect("a log")
    }

    /// Memory that it holds now, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
        let size = line.split_whitespace().nth(1).expect("a number");
        size.parse().expect("a number")
    }

    /// Time of a processor that it has used so far.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("a process");
        // The name, in parentheses, may hold anything; 11 fields after the state come those of this process.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number"))
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Sends a signal such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is not on every machine.
        let sent = Command::new("sh")
            .args(["-c", "kill -$0 $1", name, &self.pid.to_string()])
            .status();
        assert!(sent.expect("sh runs").success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the controller", || {
            self.shell.try_wait().expect("a child").ok_or_else(|| "it runs".into())
        })
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the controller's last words");
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A world in which every probe gets through: one load balancer, one group, one backend server `ewe-1`.
pub const MEADOW: &str = r#"
{ apiVersion: elb-doctor.dev/v1alpha1, kind: Subnet, metadata: { name: hill }, spec: { cidrs: [10.1.0.0/28] } }
---
{ apiVersion: elb-doctor.dev/v1alpha1, kind: Subnet, metadata: { name: vale }, spec: { cidrs: [10.2.0.0/24] } }
---
{ apiVersion: elb-doctor.dev/v1alpha1, kind: AddressGroup, metadata: { name: dogs }, spec: { addresses: [10.1.0.0/28] } }
---
apiVersion: elb-doctor.dev/v1alpha1
kind: SecurityGroup
metadata: { name: fence }
spec:
  rules:
    - { name: in, direction: Ingress, protocol: tcp, ports: "8081", remote: { addressGroupRef: { name: dogs } } }
    - { name: out, direction: Egress }
---
apiVersion: elb-doctor.dev/v1alpha1
kind: LoadBalancer
metadata: { name: gate }
spec:
  type: Dedicated
  backendSubnetRefs: [{ name: hill }]
  listeners: [{ name: front, protocol: HTTP, port: 80, backendServerGroups: [herd] }]
  backendServerGroups:
    - { name: herd, protocol: HTTP, healthCheck: { enabled: true, protocol: HTTP } }
---
apiVersion: elb-doctor.dev/v1alpha1
kind: BackendServer
metadata: { name: ewe-1 }
spec:
  loadBalancerRef: { name: gate }
  backendServerGroup: herd
  address: 10.2.0.11
  port: 8081
  subnetRef: { name: vale }
  securityGroupRefs: [{ name: fence }]
"#;

/// The same with another name for the backend server.
pub fn ewe(name: &str) -> String {
    let (_, ewe) = MEADOW.rsplit_once("---").expect("documents");
    ewe.replace("ewe-1", name)
}

/// An object as it is now.
pub fn object(namespace: &str, kind_and_name: &str) -> serde_json::Value {
    let text = kubectl(&["get", kind_and_name, "-n", namespace, "-o", "json"]);
    serde_json::from_str(&text).expect("JSON")
}

/// `Status/Reason` of a condition of an object.
pub fn condition(object: &serde_json::Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.map_or_else(String::new, |found| {
        format!(
            "{}/{}",
            found["status"].as_str().unwrap_or_default(),
            found["reason"].as_str().unwrap_or_default()
        )
    })
}

/// Waits until a condition of an object has that status and reason, and returns the object.
pub fn until(namespace: &str, kind_and_name: &str, kind: &str, wanted: &str) -> serde_json::Value {
    eventually(&format!("{kind}={wanted} of {namespace} {kind_and_name}"), || {
        let object = object(namespace, kind_and_name);
        if condition(&object, kind) == wanted {
            Ok(object)
        } else {
            Err(object["status"].to_string())
        }
    })
}

/// Ids of the failed checks of a backend server.
pub fn failed(object: &serde_json::Value) -> Vec<String> {
    let checks = object["status"]["diagnosis"]["checks"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    checks
        .iter()
        .map(|check| check["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Waits until exactly these checks of a backend server have failed.
pub fn until_failed(namespace: &str, name: &str, wanted: &[&str]) -> serde_json::Value {
    eventually(&format!("{wanted:?} of {namespace}/{name}"), || {
        let object = object(namespace, &format!("bes/{name}"));
        if condition(&object, "Diagnosed").starts_with("True") && failed(&object) == wanted {
            Ok(object)
        } else {
            Err(object["status"].to_string())
        }
    })
}

/// Reports the health of a backend server, as a health reporter does.
pub fn report(namespace: &str, name: &str, state: &str, reason: Option<&str>) {
    let health = serde_json::json!({ "status": { "health": { "state": state, "reason": reason } } });
    patch_status(namespace, &format!("bes/{name}"), &health);
}

/// Merges a change into the status of an object.
pub fn patch_status(namespace: &str, kind_and_name: &str, patch: &serde_json::Value) {
    let patch = patch.to_string();
    kubectl(&[
        "patch",
        kind_and_name,
        "-n",
        namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
}

/// Merges a change into an object.
pub fn patch(namespace: &str, kind_and_name: &str, patch: &serde_json::Value) {
    let patch = patch.to_string();
    kubectl(&["patch", kind_and_name, "-n", namespace, "--type=merge", "-p", &patch]);
}
