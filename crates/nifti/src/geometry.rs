//! Where the voxels of a volume lie in the world.

use crate::affine::{Affine, VoxelToWorld, WorldToVoxel};
use crate::finding::{Finding, Judge, Problem};
use crate::header::Header;
use crate::orientation::Orientation;

/// Which fields of a header a geometry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GeometrySource {
    /// The matrix `srow_x`, `srow_y`, `srow_z`.
    Sform,
    /// The quaternion, `qoffset` and `pixdim`.
    Qform,
    /// Only `pixdim`: the volume is centred on the origin, and x points left.
    Pixdim,
}

impl GeometrySource {
    /// Returns `sform`, `qform` or `pixdim`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sform => "sform",
            Self::Qform => "qform",
            Self::Pixdim => "pixdim",
        }
    }
}

/// Where the voxels of a volume lie in the world.
///
/// The rule: the matrix of the sform if `sform_code` is above 0; else the quaternion of the qform if `qform_code` is above
/// 0; else the spacing alone, centred, with x to the left. One that cannot be used (a number that is not finite, no inverse,
/// a quaternion longer than 1 by more than rounding) is passed over with a warning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    // Invariant: voxel_to_world has an inverse, which is world_to_voxel.
    voxel_to_world: VoxelToWorld,
    world_to_voxel: WorldToVoxel,
    orientation: Orientation,
    source: GeometrySource,
}

/// How far beyond 1 the squared length of a quaternion may be: it is written in single precision.
const QUATERNION_TOLERANCE: f64 = 1e-5;

impl Geometry {
    /// Returns the geometry that a header says, and what was wrong on the way to it.
    pub fn of(header: &Header) -> (Self, Vec<Finding>) {
        let mut judge = Judge::new(true);
        let geometry = Self::judged(header, &mut judge);
        (geometry, judge.warnings)
    }

    pub(crate) fn judged(header: &Header, judge: &mut Judge) -> Self {
        warn_of_codes_and_units(header, judge);
        let spacing = spacing(header, judge);
        if 0 < header.sform_code {
            if let Some(geometry) = Self::from_map(Affine(header.srow), GeometrySource::Sform) {
                warn_of_spacing(&geometry, spacing, judge);
                return geometry;
            }
            let found = format!("{:?}", header.srow);
            judge.warn(Finding::new(
                Problem::BadAffine,
                "srow",
                "finite numbers that have an inverse",
                found,
            ));
        }
        if 0 < header.qform_code {
            let map = qform(header, spacing);
            if let Some(geometry) = map.and_then(|map| Self::from_map(map, GeometrySource::Qform)) {
                return geometry;
            }
            let found = format!("{:?}, {:?}", header.quatern, header.qoffset);
            judge.warn(Finding::new(
                Problem::BadAffine,
                "quatern and qoffset",
                "finite numbers, a quaternion of length 1 at most",
                found,
            ));
        }
        let [x, y, z] = spacing;
        let mut map = Affine::scale([-x, y, z]);
        for axis in 0..3 {
            map.0[axis][3] = -map.0[axis][axis] * (header.space()[axis] - 1) as f64 / 2.0;
        }
        Self::from_map(map, GeometrySource::Pixdim).unwrap_or(Self {
            voxel_to_world: VoxelToWorld(Affine::IDENTITY),
            world_to_voxel: WorldToVoxel(Affine::IDENTITY),
            orientation: Orientation::RAS,
            source: GeometrySource::Pixdim,
        })
    }

    fn from_map(map: Affine, source: GeometrySource) -> Option<Self> {
        if !map.0.iter().flatten().all(|x| x.is_finite()) {
            return None;
        }
        let voxel_to_world = VoxelToWorld(map);
        Some(Self {
            voxel_to_world,
            world_to_voxel: voxel_to_world.inverse()?,
            orientation: Orientation::of(&voxel_to_world)?,
            source,
        })
    }

    /// Returns the map from voxels to the world.
    pub fn voxel_to_world(&self) -> VoxelToWorld {
        self.voxel_to_world
    }

    /// Returns the map from the world to voxels.
    pub fn world_to_voxel(&self) -> WorldToVoxel {
        self.world_to_voxel
    }

    /// Returns the distance of neighbouring voxels along x, y and z, in millimetres: the lengths of the columns of the map.
    pub fn spacing(&self) -> [f64; 3] {
        self.voxel_to_world.0.column_lengths()
    }

    /// Returns which way x, y and z point.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Returns which fields of the header it comes from.
    pub fn source(&self) -> GeometrySource {
        self.source
    }
}

/// The spacing of `pixdim`, made usable: without sign, and 1 where there is none.
fn spacing(header: &Header, judge: &mut Judge) -> [f64; 3] {
    std::array::from_fn(|axis| {
        let written = header.pixdim[1 + axis];
        let usable = written.is_finite() && written != 0.0;
        if axis < header.rank && (!usable || written < 0.0) {
            let what = format!("pixdim[{}]", 1 + axis);
            judge.warn(Finding::new(Problem::BadAffine, what, "a positive spacing", written));
        }
        if usable { written.abs() } else { 1.0 }
    })
}

fn warn_of_codes_and_units(header: &Header, judge: &mut Judge) {
    for (what, code) in [("qform_code", header.qform_code), ("sform_code", header.sform_code)] {
        // The last code that the format gives a meaning to is 5, the template of another registration.
        if !(0..=5).contains(&code) {
            judge.warn(Finding::new(Problem::BadAffine, what, "0 to 5", code));
        }
    }
    let unit = match header.rest.xyzt_units & 7 {
        1 => "metres",
        3 => "micrometres",
        _ => return,
    };
    let expected = "millimetres: lengths are taken as they are written";
    judge.warn(Finding::new(Problem::BadAffine, "xyzt_units", expected, unit));
}

fn warn_of_spacing(geometry: &Geometry, spacing: [f64; 3], judge: &mut Judge) {
    let columns = geometry.spacing();
    let differ = columns.iter().zip(spacing).any(|(a, b)| 0.01 * a < (a - b).abs());
    if differ {
        let expected = format!("{columns:?}, as the columns of the sform, which count");
        judge.warn(Finding::new(Problem::BadAffine, "pixdim", expected, format_args!("{spacing:?}")));
    }
}

/// The map of a unit quaternion a + bi + cj + dk with a >= 0, of which b, c and d are written, times the spacing, z mirrored
/// where `pixdim[0]` is negative (NIfTI-1 standard, "method 2").
fn qform(header: &Header, spacing: [f64; 3]) -> Option<Affine> {
    let [mut b, mut c, mut d] = header.quatern;
    let rest = 1.0 - (b * b + c * c + d * d);
    if !rest.is_finite() || rest < -QUATERNION_TOLERANCE {
        return None;
    }
    let a = if rest < 1e-7 {
        // As good as half a turn: the written part is made a unit vector, as rounding made it a little longer or shorter.
        let length = (b * b + c * c + d * d).sqrt();
        (b, c, d) = (b / length, c / length, d / length);
        0.0
    } else {
        rest.sqrt()
    };
    let mirror = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let [sx, sy, sz] = [spacing[0], spacing[1], spacing[2] * mirror];
    let [x, y, z] = header.qoffset;
    Some(Affine([
        [(a * a + b * b - c * c - d * d) * sx, 2.0 * (b * c - a * d) * sy, 2.0 * (b * d + a * c) * sz, x],
        [2.0 * (b * c + a * d) * sx, (a * a + c * c - b * b - d * d) * sy, 2.0 * (c * d - a * b) * sz, y],
        [2.0 * (b * d - a * c) * sx, 2.0 * (c * d + a * b) * sy, (a * a + d * d - b * b - c * c) * sz, z],
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datatype::Datatype;
    use crate::voxels::VoxelType;

    fn header() -> Header {
        let mut header = Header::new(&[4, 3, 2], Datatype::Real(VoxelType::I16)).unwrap();
        header.pixdim = [1.0, 1.0, 2.0, 3.0, 1.0, 1.0, 1.0, 1.0];
        header
    }

    fn problems(header: &Header) -> (Geometry, usize) {
        let (geometry, findings) = Geometry::of(header);
        assert!(findings.iter().all(|finding| finding.problem == Problem::BadAffine));
        (geometry, findings.len())
    }

    #[test]
    fn the_sform_counts_before_the_qform_and_that_before_the_spacing() {
        let mut header = header();
        let (geometry, warnings) = problems(&header);
        assert_eq!((geometry.source(), warnings), (GeometrySource::Pixdim, 0));
        let centred = [[-1.0, 0.0, 0.0, 1.5], [0.0, 2.0, 0.0, -2.0], [0.0, 0.0, 3.0, -1.5]];
        assert_eq!(geometry.voxel_to_world().0.0, centred);
        assert_eq!(geometry.orientation().to_string(), "LAS");
        header.qform_code = 1;
        header.quatern = [1.0, 0.0, 0.0];
        let (geometry, warnings) = problems(&header);
        assert_eq!((geometry.source(), warnings), (GeometrySource::Qform, 0));
        assert_eq!(geometry.orientation().to_string(), "RPI");
        header.sform_code = 1;
        header.srow = [[1.0, 0.0, 0.0, 5.0], [0.0, 2.0, 0.0, 6.0], [0.0, 0.0, 3.0, 7.0]];
        let (geometry, warnings) = problems(&header);
        assert_eq!((geometry.source(), warnings), (GeometrySource::Sform, 0));
        assert_eq!(geometry.spacing(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn what_cannot_be_used_is_passed_over_with_a_warning() {
        let mut header = header();
        header.sform_code = 1;
        header.qform_code = 1;
        for value in [0.0, f64::NAN, f64::INFINITY] {
            header.srow = [[value; 4]; 3];
            let (geometry, warnings) = problems(&header);
            assert_eq!((geometry.source(), warnings), (GeometrySource::Qform, 1));
            assert_eq!(geometry.spacing(), [1.0, 2.0, 3.0]);
        }
        for quatern in [[0.9; 3], [f64::NAN, 0.0, 0.0], [f64::INFINITY, 0.0, 0.0]] {
            header.quatern = quatern;
            assert_eq!(problems(&header).0.source(), GeometrySource::Pixdim);
        }
    }

    #[test]
    fn a_quaternion_that_rounding_made_too_long_is_half_a_turn() {
        let mut header = header();
        header.qform_code = 1;
        for excess in [-2e-8, 0.0, 2e-8, 1e-6] {
            header.quatern = [0.0, 1.0 + excess, 0.0];
            let (geometry, _) = problems(&header);
            assert_eq!(geometry.source(), GeometrySource::Qform);
            assert_eq!(geometry.orientation().to_string(), "LAI");
            assert_eq!(geometry.spacing(), [1.0, 2.0, 3.0]);
        }
    }

    #[test]
    fn the_sign_in_pixdim_0_mirrors_z_and_odd_spacings_are_mended() {
        let mut header = header();
        header.qform_code = 1;
        for (qfac, expected) in [(1.0, "RAS"), (0.0, "RAS"), (2.0, "RAS"), (-1.0, "RAI"), (f64::NAN, "RAS")] {
            header.pixdim[0] = qfac;
            assert_eq!(problems(&header).0.orientation().to_string(), expected);
        }
        for (spacing, expected) in [(-1.5, 1.5), (0.0, 1.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)] {
            header.pixdim[1] = spacing;
            let (geometry, warnings) = problems(&header);
            assert_eq!(geometry.spacing()[0], expected);
            assert_eq!(warnings, 1);
        }
    }
}
