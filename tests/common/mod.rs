//! The program in a folder of its own, and what its runs leave behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The exit codes of the program.
pub(crate) const DONE: i32 = 0;
pub(crate) const USAGE: i32 = 2;
pub(crate) const DATA: i32 = 3;
pub(crate) const ENVIRONMENT: i32 = 4;
pub(crate) const STOPPED: i32 = 75;

/// How long anything here may take before a test says that it hangs; far above what it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// A small VAE with everything in it that draws: shuffling, every augmentation, dropout. 44 steps.
pub(crate) const TINY: &str = "
name: tiny
seed: 7
data:
  glyphs: { classes: 4, drawings: 28, test_drawings: 4, size: 12 }
  split: { validation: 0.2 }
  augment:
    flip: { x: 0.3, y: 0.2 }
    scale: { factor: [0.9, 1.1], probability: 0.8 }
    shear: { degrees: [-8, 8], probability: 0.5 }
    rotate: { degrees: [-15, 15] }
    shift: { x: [-1.5, 1.5], y: [-1.5, 1.5] }
    noise: { sigma: [0, 0.1], clip: [0, 1], probability: 0.7 }
loader: { batch_size: 8, workers: 2 }
model:
  vae: { hidden: [24], latent: 3, dropout: 0.2, beta: { linear: { from: 0, to: 1, steps: 20 } } }
training:
  epochs: 4
  threads: 1
  optimizer: { adamw: { lr: 2e-3, weight_decay: 0.01 } }
  schedule: { cosine: { end: 0.1 } }
  checkpoint: { every_steps: 3, keep: 2 }
logging: { dir: runs, log_every: 2, pictures_every: 0 }
";

/// A folder with a configuration `run.yaml`, removed at the end.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run.yaml"), yaml).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Prepares a call of the program in this folder.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_batchwright"));
        command.args(arguments).current_dir(self.folder.path()).env_remove("BATCHWRIGHT_DATA");
        // What the program would set and start itself anew with: half the time of a short run.
        command.env("OMP_WAIT_POLICY", "passive").env("GOMP_SPINCOUNT", "0");
        command
    }

    /// Calls the program and waits for it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Running::start(self.program(arguments)).wait()
    }

    /// Trains `run.yaml` with further arguments.
    pub(crate) fn train(&self, arguments: &[&str]) -> Ended {
        self.run(&[&["train", "run.yaml", "--quiet"], arguments].concat())
    }

    /// Starts training `run.yaml` with further arguments.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.program(&[&["train", "run.yaml", "--quiet"], arguments].concat()))
    }

    /// The checkpoints of a run, the earliest first.
    pub(crate) fn checkpoints(&self, run: &str) -> Vec<PathBuf> {
        let folder = self.path("runs").join(run).join("checkpoints");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("step-"));
        paths.sort();
        paths
    }

    /// What a run leaves behind that may depend on nothing but its configuration: the last checkpoint's tensors and the logs.
    pub(crate) fn remains(&self, run: &str) -> Remains {
        let folder = self.path("runs").join(run);
        let last = self.checkpoints(run).pop().expect("the run has a checkpoint");
        let step = last.file_name().unwrap().to_string_lossy().into_owned();
        let mut files = BTreeMap::from([("step".to_owned(), step.into_bytes())]);
        for (folder, names) in [
            (&last, ["model.safetensors", "optimizer.safetensors"]),
            (&folder, ["metrics.jsonl", "metrics.csv"]),
        ] {
            for name in names {
                files.insert(name.to_owned(), fs::read(folder.join(name)).unwrap());
            }
        }
        Remains(files)
    }

    /// The `summary.json` of a run.
    pub(crate) fn summary(&self, run: &str) -> Value {
        let path = self.path("runs").join(run).join("summary.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

/// Files by name, compared byte by byte.
pub(crate) struct Remains(pub(crate) BTreeMap<String, Vec<u8>>);

impl Remains {
    /// Says which files differ, without printing tensors.
    #[track_caller]
    pub(crate) fn assert_equal(&self, other: &Self, what: &str) {
        let names: Vec<_> = self.0.keys().filter(|name| self.0[*name] != other.0[*name]).collect();
        assert!(names.is_empty(), "{what}: {names:?} differ");
    }
}

/// The program while it runs. Killed where a test ends without waiting for it.
pub(crate) struct Running {
    child: Option<Child>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        // What is said while it runs is far below what a pipe holds.
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child: Some(child) }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it was not waited for yet")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child().try_wait().unwrap().is_none()
    }

    /// Waits until `is_so`, or until the program has ended; returns which.
    pub(crate) fn until(&mut self, is_so: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        while !is_so() {
            if !self.is_running() {
                return is_so();
            }
            assert!(start.elapsed() < PATIENCE, "it did not come in time");
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    #[allow(unsafe_code, reason = "the standard library sends no signal but SIGKILL")]
    pub(crate) fn signal(&mut self, signal: libc::c_int) {
        let child = self.child();
        let id = libc::pid_t::try_from(child.id()).unwrap();
        // SAFETY: it only sends a signal, to a child that was not waited for, so that the number is still its own.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    pub(crate) fn kill(&mut self) {
        self.child().kill().unwrap();
    }

    /// Waits for the end. No program of ours may panic, whatever was done to it.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let child = self.child.take().expect("it was not waited for yet");
        let id = libc::pid_t::try_from(child.id()).unwrap();
        let (done, alarm) = std::sync::mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            let late = alarm.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if late {
                let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
            }
            late
        });
        let output = child.wait_with_output().unwrap();
        drop(done);
        assert!(!watchdog.join().unwrap(), "it hung");
        Ended::of(&output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The program after its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(!stderr.contains("panicked") && output.status.code() != Some(101), "a panic: {stderr}");
        assert!(!stderr.contains("defect of batchwright"), "a defect: {stderr}");
        Self { code: output.status.code(), signal: output.status.signal(), stdout, stderr }
    }

    /// Expects an exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Expects that the error says all of this.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "`{text}` is not in: {}", self.stderr);
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Where the real data lie, if they do; says so if not.
pub(crate) fn real_data(file: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("BATCHWRIGHT_DATA").map_or_else(beside, PathBuf::from);
    if folder.join(file).exists() {
        return Some(folder);
    }
    println!("skipped: there is no {file} in {}", folder.display());
    None
}

/// The folder of the repository.
pub(crate) fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}
