//! Which Python wheels hold libtorch for this machine, and which of their files are needed.
//!
//! Every wheel is pinned by the SHA-256 of its file, so that a mirror can serve it but not change it.

use crate::failure::{Failure, Result};

/// The version of libtorch that the workspace builds against (what the crate `tch` in use expects).
pub(crate) const VERSION: &str = "2.11.0";

/// One wheel on the package index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// Name of the package.
    pub(crate) package: &'static str,
    /// Its exact version.
    pub(crate) version: &'static str,
    /// SHA-256 of the file, in hex.
    pub(crate) sha256: &'static str,
    /// Files and folders (ending in `/`) to take out, and where they go below the libtorch folder.
    pub(crate) take: &'static [(&'static str, &'static str)],
}

impl Wheel {
    /// What the file name of the wheel begins with.
    pub(crate) fn file_prefix(&self) -> String {
        format!("{}-{}-", self.package.replace('-', "_"), self.version)
    }
}

/// What is downloaded on one kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Platform {
    /// Short name, part of the folder's name in the cache.
    pub(crate) name: &'static str,
    /// Platform tags of its wheels, as pip writes them.
    pub(crate) tags: &'static [&'static str],
    /// The wheels.
    pub(crate) wheels: &'static [Wheel],
    /// Files to write besides: (path, text).
    pub(crate) written: &'static [(&'static str, &'static str)],
    /// Libraries that must be there for the folder to be complete.
    pub(crate) libraries: &'static [&'static str],
}

/// Finds the platform of an operating system and processor, as `std::env::consts` names them.
pub(crate) fn platform(os: &str, arch: &str) -> Result<&'static Platform> {
    match (os, arch) {
        ("linux", "x86_64") => Ok(&LINUX_X86_64),
        ("linux", "aarch64") => Ok(&LINUX_AARCH64),
        ("macos", "aarch64") => Ok(&MACOS_ARM64),
        (os, arch) => Err(Failure::new(format!(
            "no libtorch {VERSION} is known for {os} on {arch} (known: linux on x86_64 and aarch64, macos on aarch64)\n\
             Install PyTorch {VERSION} or libtorch {VERSION} yourself, and set LIBTORCH_USE_PYTORCH=1 or LIBTORCH=FOLDER."
        ))),
    }
}

/// `libtorch.so` of the CUDA wheel wants CUDA's libraries; linking against the CPU part alone does not.
const CPU_ONLY: (&str, &str) = ("lib/libtorch.so", "INPUT ( libtorch_cpu.so )\n");

const LINUX_TORCH: &[(&str, &str)] = &[
    ("torch/include/", "include/"),
    ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
    ("torch/lib/libc10.so", "lib/libc10.so"),
    ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
];
/// On ARM the CPU part needs its linear algebra beside it.
const LINUX_ARM_TORCH: &[(&str, &str)] = &[
    ("torch/include/", "include/"),
    ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
    ("torch/lib/libc10.so", "lib/libc10.so"),
    ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
    ("torch/lib/libarm_compute.so", "lib/libarm_compute.so"),
    ("torch/lib/libarm_compute_graph.so", "lib/libarm_compute_graph.so"),
    ("torch/lib/libgfortran.so.5", "lib/libgfortran.so.5"),
    ("torch/lib/libnvpl_blas_core.so.0", "lib/libnvpl_blas_core.so.0"),
    ("torch/lib/libnvpl_blas_lp64_gomp.so.0", "lib/libnvpl_blas_lp64_gomp.so.0"),
    ("torch/lib/libnvpl_lapack_core.so.0", "lib/libnvpl_lapack_core.so.0"),
    ("torch/lib/libnvpl_lapack_lp64_gomp.so.0", "lib/libnvpl_lapack_lp64_gomp.so.0"),
];
const CUDART: &[(&str, &str)] = &[("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13")];
const CUPTI: &[(&str, &str)] = &[("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13")];
const LINUX_LIBRARIES: &[&str] =
    &["libtorch.so", "libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"];

static LINUX_X86_64: Platform = Platform {
    name: "linux-x86_64",
    tags: &[
        "manylinux_2_28_x86_64",
        "manylinux_2_27_x86_64",
        "manylinux_2_25_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ],
    wheels: &[
        Wheel {
            package: "torch",
            version: VERSION,
            sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
            take: LINUX_TORCH,
        },
        Wheel {
            package: "nvidia-cuda-runtime",
            version: "13.0.96",
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            take: CUDART,
        },
        Wheel {
            package: "nvidia-cuda-cupti",
            version: "13.0.85",
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            take: CUPTI,
        },
    ],
    written: &[CPU_ONLY],
    libraries: LINUX_LIBRARIES,
};

static LINUX_AARCH64: Platform = Platform {
    name: "linux-aarch64",
    tags: &[
        "manylinux_2_28_aarch64",
        "manylinux_2_27_aarch64",
        "manylinux_2_25_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ],
    wheels: &[
        Wheel {
            package: "torch",
            version: VERSION,
            sha256: "f99924682ef0aa6a4ab3b1b76f40dc6e273fca09f367d15a524266db100a723f",
            take: LINUX_ARM_TORCH,
        },
        Wheel {
            package: "nvidia-cuda-runtime",
            version: "13.0.96",
            sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
            take: CUDART,
        },
        Wheel {
            package: "nvidia-cuda-cupti",
            version: "13.0.85",
            sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
            take: CUPTI,
        },
    ],
    written: &[CPU_ONLY],
    libraries: LINUX_LIBRARIES,
};

static MACOS_ARM64: Platform = Platform {
    name: "macos-arm64",
    tags: &["macosx_11_0_arm64"],
    wheels: &[Wheel {
        package: "torch",
        version: VERSION,
        sha256: "4b5866312ee6e52ea625cd211dcb97d6a2cdc1131a5f15cc0d87eec948f6dd34",
        take: &[
            ("torch/include/", "include/"),
            ("torch/lib/libtorch.dylib", "lib/libtorch.dylib"),
            ("torch/lib/libtorch_cpu.dylib", "lib/libtorch_cpu.dylib"),
            ("torch/lib/libc10.dylib", "lib/libc10.dylib"),
            ("torch/lib/libomp.dylib", "lib/libomp.dylib"),
        ],
    }],
    written: &[],
    libraries: &["libtorch.dylib", "libtorch_cpu.dylib", "libc10.dylib", "libomp.dylib"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_platform_pins_each_wheel_by_a_whole_sha256() {
        let known = [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")];
        let mut seen = Vec::new();
        for (os, arch) in known {
            for wheel in platform(os, arch).unwrap().wheels {
                assert_eq!(wheel.sha256.len(), 64, "{wheel:?}");
                assert!(wheel.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
                assert!(!seen.contains(&wheel.sha256), "{} comes up twice", wheel.sha256);
                seen.push(wheel.sha256);
            }
        }
        assert_eq!(seen.len(), 7);
    }

    #[test]
    fn every_library_of_a_platform_is_taken_from_a_wheel_or_written() {
        for (os, arch) in [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")] {
            let platform = platform(os, arch).unwrap();
            for library in platform.libraries {
                let path = format!("lib/{library}");
                let taken = platform.wheels.iter().flat_map(|w| w.take).any(|(_, to)| *to == path);
                let written = platform.written.iter().any(|(to, _)| *to == path);
                assert!(taken || written, "{path} of {}", platform.name);
            }
        }
    }

    #[test]
    fn an_unknown_machine_is_told_which_variables_to_set() {
        let message = platform("windows", "x86_64").unwrap_err().to_string();
        assert!(message.starts_with("no libtorch 2.11.0 is known for windows on x86_64"), "{message}");
        assert!(message.contains("LIBTORCH_USE_PYTORCH=1 or LIBTORCH=FOLDER"), "{message}");
    }

    #[test]
    fn the_file_of_a_wheel_begins_with_its_package_and_version() {
        assert_eq!(LINUX_X86_64.wheels[1].file_prefix(), "nvidia_cuda_runtime-13.0.96-");
    }
}
