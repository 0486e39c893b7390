//! What the integration tests share: one real control plane for each test program.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// A running API server with etcd. It stops with this process.
pub struct ControlPlane {
    dir: tempfile::TempDir,
    bin: PathBuf,
}

impl ControlPlane {
    /// The control plane of this test program, started on first use.
    ///
    /// # Panics
    /// When there is none and none can be made: that is a failure, never a reason to skip.
    pub fn get() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start() {
            Ok(started) => started,
            Err(why) => panic!(
                "no control plane for this test: {why}; set KUBEBUILDER_ASSETS to a directory that holds etcd, \
                 kube-apiserver and kubectl, or see tests/control-plane/README.md for how they are built"
            ),
        })
    }

    fn start() -> Result<Self, String> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/control-plane");
        let bin = stdout(Command::new(scripts.join("find")))?;
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        // The owner ends with this test program, in whatever way, and takes the control plane along.
        let mut up = Command::new(scripts.join("up"));
        up.arg(dir.path()).arg("--owner").arg(std::process::id().to_string());
        stdout(up)?;
        let started = Self {
            dir,
            bin: bin.trim().into(),
        };
        std::fs::create_dir(started.scratch()).map_err(|e| e.to_string())?;
        Ok(started)
    }

    /// Where the administrator's kubeconfig is.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// The directory of this control plane, as `tests/control-plane/ctl` wants it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A directory for files of whoever uses this control plane; it goes when the control plane does.
    pub fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// `kubectl`, pointed at this control plane.
    pub fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(self.bin.join("kubectl"));
        kubectl
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.scratch())
            .stdin(Stdio::null());
        kubectl
    }

    /// Runs `kubectl` with these arguments and this text on standard input.
    pub fn kubectl_with_input(&self, args: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = self
            .kubectl()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes())
            .expect("kubectl reads");
        child.wait_with_output().expect("kubectl ends")
    }

    /// Applies the definitions that the program prints and waits until the API server serves them. Once is enough.
    pub fn install_crds(&self) {
        static DONE: OnceLock<()> = OnceLock::new();
        DONE.get_or_init(|| {
            let crds = elb_doctor::api::v1alpha1::crds::to_yaml().expect("the definitions can be written");
            let applied = self.kubectl_with_input(&["apply", "--server-side", "-f", "-"], &crds);
            assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
            let waited = self
                .kubectl()
                .args(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])
                .output()
                .expect("kubectl runs");
            assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
        });
    }

    /// Makes a namespace.
    pub fn namespace(&self, name: &str) {
        let made = self
            .kubectl()
            .args(["create", "namespace", name])
            .output()
            .expect("kubectl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

/// What a command prints, or what it says when it fails, on one line.
fn stdout(mut command: Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it failed and said nothing").to_owned())
}
