//! Finds the programs that a fresh machine may lack, and says what to install.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};

/// Finds `name` in `search`, which is written as `PATH` is.
fn find(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A Python that has pip: `python3`, else `python`.
pub(crate) fn python_with_pip(search: &OsStr) -> Result<PathBuf> {
    let pythons = ["python3", "python"].into_iter().filter_map(|name| find(OsStr::new(name), search));
    let mut first = None;
    for python in pythons {
        let pip = Command::new(&python)
            .args(["-m", "pip", "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if pip.is_ok_and(|status| status.success()) {
            return Ok(python);
        }
        first.get_or_insert(python);
    }
    Err(match first {
        None => Failure::new(
            "neither python3 nor python is in PATH; libtorch is fetched with Python's pip\n\
             Install both:  Debian, Ubuntu: apt-get install python3 python3-pip   Fedora: dnf install python3-pip   \
             macOS: brew install python\n\
             Or set LIBTORCH to the folder of a libtorch that you have.",
        ),
        Some(python) => Failure::new(format!(
            "{} has no pip; libtorch is fetched with it\n\
             Install it:  Debian, Ubuntu: apt-get install python3-pip   Fedora: dnf install python3-pip   \
             elsewhere: {} -m ensurepip\n\
             Or set LIBTORCH to the folder of a libtorch that you have.",
            python.display(),
            python.display()
        )),
    })
}

/// The C++ compiler: `cxx` (the value of `CXX`) if set, else the first of `c++`, `g++` and `clang++`.
///
/// Returned is the value `CXX` has to have for the build, or none where the build finds the compiler by itself.
pub(crate) fn cxx(cxx: Option<&OsStr>, search: &OsStr) -> Result<Option<OsString>> {
    if let Some(set) = cxx.filter(|set| !set.is_empty()) {
        let text = set.to_string_lossy();
        let program = text.split_whitespace().next().unwrap_or_default();
        if find(OsStr::new(program), search).is_some() {
            return Ok(None);
        }
        return Err(Failure::new(format!("CXX is {text:?}, and no such program is in PATH")));
    }
    if find(OsStr::new("c++"), search).is_some() {
        return Ok(None);
    }
    for name in ["g++", "clang++"] {
        if find(OsStr::new(name), search).is_some() {
            return Ok(Some(name.into()));
        }
    }
    Err(Failure::new(
        "no C++ compiler in PATH (c++, g++ or clang++); the bindings to libtorch are compiled with it\n\
         Install one:  Debian, Ubuntu: apt-get install g++   Fedora: dnf install gcc-c++   \
         macOS: xcode-select --install",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::program;

    /// A folder that stands for PATH, holding scripts with the given bodies.
    fn path_with(programs: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, body) in programs {
            program(&folder.path().join(name), body);
        }
        folder
    }

    #[test]
    fn without_python_the_message_says_what_to_install() {
        let path = path_with(&[]);
        let message = python_with_pip(path.path().as_os_str()).unwrap_err().to_string();
        assert!(message.starts_with("neither python3 nor python is in PATH"), "{message}");
        assert!(message.contains("apt-get install python3 python3-pip"), "{message}");
    }

    #[test]
    fn a_python_without_pip_is_named() {
        let path = path_with(&[("python3", "exit 1")]);
        let message = python_with_pip(path.path().as_os_str()).unwrap_err().to_string();
        assert!(message.contains("python3 has no pip"), "{message}");
        assert!(message.contains("apt-get install python3-pip"), "{message}");
    }

    #[test]
    fn the_python_that_has_pip_is_taken() {
        let path = path_with(&[("python3", "exit 1"), ("python", "exit 0")]);
        assert_eq!(python_with_pip(path.path().as_os_str()).unwrap(), path.path().join("python"));
    }

    #[test]
    fn without_a_compiler_the_message_says_what_to_install() {
        let path = path_with(&[]);
        let message = cxx(None, path.path().as_os_str()).unwrap_err().to_string();
        assert!(message.contains("apt-get install g++"), "{message}");
        let message = cxx(Some(OsStr::new("nothing++ -v")), path.path().as_os_str()).unwrap_err().to_string();
        assert_eq!(message, "CXX is \"nothing++ -v\", and no such program is in PATH");
    }

    #[test]
    fn a_compiler_that_the_build_would_not_look_for_is_handed_over() {
        let path = path_with(&[("clang++", "")]);
        assert_eq!(cxx(None, path.path().as_os_str()).unwrap(), Some("clang++".into()));
        let path = path_with(&[("c++", ""), ("g++", "")]);
        assert_eq!(cxx(None, path.path().as_os_str()).unwrap(), None);
    }
}
