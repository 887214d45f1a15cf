//! Provides libtorch: the user's own, or a CPU folder in the user's cache, made from pinned Python wheels.

mod link;
#[cfg(test)]
mod tests;
mod unpack;
mod wheels;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use wheels::{Platform, VERSION};

use crate::failure::{Failure, OnPath as _, Result};
use crate::tools;

/// What the environment says, gathered once.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Root of the workspace.
    pub(crate) root: PathBuf,
    /// `LIBTORCH`, as set by the shell or by cargo's `[env]`.
    pub(crate) libtorch: Option<OsString>,
    /// `LIBTORCH_USE_PYTORCH`.
    pub(crate) use_pytorch: Option<OsString>,
    /// The user's cache directory, where it can be told.
    pub(crate) cache: Option<PathBuf>,
    /// `CXX`.
    pub(crate) cxx: Option<OsString>,
    /// `PATH`.
    pub(crate) path: OsString,
}

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn new() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let manifest = set("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let manifest = PathBuf::from(manifest);
        let home = || set("HOME").map(PathBuf::from);
        let cache = if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library/Caches"))
        } else {
            // The specification of XDG_CACHE_HOME says that a relative path is to be ignored.
            let xdg = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
            xdg.or_else(|| home().map(|home| home.join(".cache")))
        };
        Self {
            root: manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf),
            libtorch: set("LIBTORCH"),
            use_pytorch: std::env::var_os("LIBTORCH_USE_PYTORCH"),
            cache,
            cxx: set("CXX"),
            path: set("PATH").unwrap_or_default(),
        }
    }

    /// The link that cargo's `[env]` names.
    fn link(&self) -> PathBuf {
        self.root.join("target").join("libtorch")
    }
}

/// A libtorch that builds can use: the variables they need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Variables to set for cargo.
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

/// Makes sure that there is a libtorch and a C++ compiler.
pub(crate) fn provide(environment: &Environment) -> Result<Ready> {
    let mut variables = Vec::new();
    if let Some(cxx) = tools::cxx(environment.cxx.as_deref(), &environment.path)? {
        variables.push(("CXX", cxx));
    }
    if let Some(value) = &environment.use_pytorch {
        // The bindings ask for this variable first, so cargo's default for LIBTORCH does no harm.
        variables.push(("LIBTORCH_USE_PYTORCH", value.clone()));
        return Ok(Ready { variables });
    }
    let link = environment.link();
    if let Some(folder) = environment.libtorch.as_deref().filter(|set| Path::new(set) != link) {
        variables.push(("LIBTORCH", folder.to_owned()));
        return Ok(Ready { variables });
    }
    let platform = wheels::platform(std::env::consts::OS, std::env::consts::ARCH)?;
    if !complete(&link, platform) {
        let folder = cached(environment, platform)?;
        link::point(&link, &folder)?;
    }
    variables.push(("LIBTORCH", link.into()));
    Ok(Ready { variables })
}

/// Whether `folder` is a libtorch of our version with all its libraries.
fn complete(folder: &Path, platform: &Platform) -> bool {
    fs::read_to_string(folder.join("build-version")).is_ok_and(|version| version.trim() == VERSION)
        && folder.join("include/torch/csrc/api/include/torch/torch.h").is_file()
        && platform.libraries.iter().all(|library| folder.join("lib").join(library).is_file())
}

/// The folder in the cache, made if it is not there.
fn cached(environment: &Environment, platform: &Platform) -> Result<PathBuf> {
    let Some(cache) = &environment.cache else {
        return Err(Failure::new(
            "neither XDG_CACHE_HOME nor HOME is set, so there is no place for libtorch; set one of them, or LIBTORCH",
        ));
    };
    let cache = cache.join("batchwright");
    fs::create_dir_all(&cache).on_path("create", &cache)?;
    let name = format!("libtorch-{VERSION}-{}", platform.name);
    let folder = cache.join(&name);
    let _lock = lock(&cache.join(format!("{name}.lock")))?;
    let making = cache.join(format!("{name}.making"));
    clear(&making)?;
    if complete(&folder, platform) {
        return Ok(folder);
    }
    let python = tools::python_with_pip(&environment.path)?;
    let started = Instant::now();
    fs::create_dir(&making).on_path("create", &making)?;
    let made = make(&making, platform, &python).and_then(|made| {
        if folder.exists() {
            // Damaged: moved into what is cleared below, so that the name is never half a folder.
            fs::rename(&folder, making.join("damaged")).on_path("move away", &folder)?;
        }
        fs::rename(&made, &folder).on_path("move into place", &folder)
    });
    let cleared = clear(&making);
    made.and(cleared)?;
    eprintln!("libtorch {VERSION} is in {} ({:.0} s)", folder.display(), started.elapsed().as_secs_f64());
    Ok(folder)
}

/// Waits until no other process makes the same folder. The lock ends with the process, however that ends.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).on_path("create", path)?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another set-up to finish ({})", path.display());
        file.lock().on_path("lock", path)?;
    }
    Ok(file)
}

/// Removes what an interrupted run has left.
fn clear(making: &Path) -> Result<()> {
    if making.exists() { fs::remove_dir_all(making).on_path("remove", making) } else { Ok(()) }
}

/// Downloads, checks and unpacks into `making`; returns the finished folder inside of it.
fn make(making: &Path, platform: &Platform, python: &Path) -> Result<PathBuf> {
    let downloaded = making.join("wheels");
    fs::create_dir(&downloaded).on_path("create", &downloaded)?;
    eprintln!("fetching libtorch {VERSION} for the CPU (once, about 0.5 GB) ...");
    download(platform, python, making, &downloaded)?;
    let folder = making.join("libtorch");
    fs::create_dir(&folder).on_path("create", &folder)?;
    for wheel in platform.wheels {
        let file = downloaded_file(&downloaded, &wheel.file_prefix())?;
        unpack::check(&file, wheel)?;
        unpack::extract(&file, wheel, &folder)?;
        fs::remove_file(&file).on_path("remove", &file)?;
    }
    for (path, text) in platform.written {
        let path = folder.join(path);
        fs::write(&path, text).on_path("write", &path)?;
    }
    let version = folder.join("build-version");
    fs::write(&version, format!("{VERSION}\n")).on_path("write", &version)?;
    Ok(folder)
}

/// Calls pip. Its index, proxy and mirror settings are the user's; the Python it runs on does not matter.
fn download(platform: &Platform, python: &Path, making: &Path, to: &Path) -> Result<()> {
    let requirements = making.join("requirements.txt");
    fs::write(&requirements, requirements_text(platform)).on_path("write", &requirements)?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]);
    pip.args(["--abi", "cp312", "--abi", "abi3", "--abi", "none"]);
    for tag in platform.tags {
        pip.args(["--platform", tag]);
    }
    pip.arg("--require-hashes").arg("-r").arg(&requirements).arg("-d").arg(to);
    // pip's temporary files are as large as the wheels; they belong where we clean up.
    pip.env("TMPDIR", making).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = pip.status().on_path("run", python)?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "pip could not download libtorch ({status}); its own message is above\n\
         Tried: {} -m pip download torch=={VERSION} for {}\n\
         pip's settings (index, proxy) are honoured; or set LIBTORCH to the folder of a libtorch {VERSION} that you have.",
        python.display(),
        platform.tags[0]
    )))
}

fn requirements_text(platform: &Platform) -> String {
    let line = |wheel: &wheels::Wheel| {
        format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256)
    };
    platform.wheels.iter().map(line).collect()
}

fn downloaded_file(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).on_path("list", folder)?;
    for entry in entries {
        let path = entry.on_path("list", folder)?.path();
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        if stem.starts_with(prefix) && path.extension() == Some(OsStr::new("whl")) {
            return Ok(path);
        }
    }
    Err(Failure::new(format!("pip said that all is well, but {} holds no {prefix}*.whl", folder.display())))
}
