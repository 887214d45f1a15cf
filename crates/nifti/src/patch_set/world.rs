//! Places of patches in the world: what a sampler draws, the same place in another image, and a second one over it.

use batchwright_core::{Context, SampleError, Slot, Stream};
use serde::{Deserialize, Serialize};

use crate::affine::{Affine, VoxelToWorld};
use crate::error::Error;
use crate::intensity::PatchShape;
use crate::places::{Place, Places};
use crate::spatial::Lattice;

use super::memory::{Memory, with_memory};
use super::prepared::Prepared;
use super::record::PatchRecord;
use super::set::PatchSet;

/// Where in the world a patch lies, before random changes: a box of the set's patch size along these axes, about this
/// centre. In mm; right, anterior and superior are positive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchPlace {
    /// The middle of the patch.
    pub center: [f64; 3],
    /// For x, y and z of the patch, the way from a voxel to the next.
    pub axes: [[f64; 3]; 3],
}

/// How far a patch may lie off the voxels of a grid, in voxels, and still be taken for one on them: what affines in single
/// precision differ by, and a thousandth of the difference of neighbours at most.
const NEAR: f64 = 1e-3;

impl PatchPlace {
    /// Returns the place of a patch that begins at a voxel of a grid.
    fn of(grid: &Lattice, origin: [i64; 3], size: [usize; 3]) -> Self {
        let map = &grid.voxel_to_world.0;
        let middle = [0, 1, 2].map(|axis| origin[axis] as f64 + (size[axis] as f64 - 1.0) / 2.0);
        Self { center: map.apply(middle), axes: [0, 1, 2].map(|axis| [0, 1, 2].map(|row| map.0[row][axis])) }
    }

    /// Returns the map from the voxels of a patch of a size to the world.
    pub fn voxel_to_world(&self, size: [usize; 3]) -> VoxelToWorld {
        let Self { center, axes } = self;
        VoxelToWorld(Affine([0, 1, 2].map(|row| {
            let half: f64 = (0..3).map(|axis| axes[axis][row] * ((size[axis] as f64 - 1.0) / 2.0)).sum();
            [axes[0][row], axes[1][row], axes[2][row], center[row] - half]
        })))
    }

    /// Returns the place so many voxels of the patch away.
    fn moved(&self, by: [f64; 3]) -> Self {
        let center = [0, 1, 2]
            .map(|row| self.center[row] + (0..3).map(|axis| self.axes[axis][row] * by[axis]).sum::<f64>());
        Self { center, axes: self.axes }
    }

    /// Returns the map from the voxels of a patch to those of a grid: in whole steps, where it is that within [`NEAR`] at
    /// every voxel of the patch.
    fn in_grid(&self, grid: &Lattice, size: [usize; 3]) -> Result<Affine, Error> {
        let world = self.voxel_to_world(size).0;
        if world.inverse().is_none() {
            let expected = "a finite centre and three axes that span space";
            return Err(Error::choice("place", expected, format!("{self:?}")));
        }
        let back = grid.voxel_to_world.inverse().ok_or_else(|| {
            let expected = "one that can be inverted, for a place in the world to be found";
            Error::choice("the map from voxels to the world", expected, format!("{:?}", grid.voxel_to_world))
        })?;
        let exact = back.0.after(&world);
        // Adding 0 leaves no -0.
        let whole = Affine(exact.0.map(|row| row.map(|x| x.round() + 0.0)));
        let is_near = exact.0.iter().zip(&whole.0).all(|(exact, whole)| {
            let off = |column: usize| (exact[column] - whole[column]).abs();
            let steps = |axis: usize| (size[axis] as f64 - 1.0).max(1.0);
            off(3) + (0..3).map(|axis| off(axis) * steps(axis)).sum::<f64>() <= NEAR
        });
        Ok(if is_near { whole } else { exact })
    }
}

impl PatchSet {
    /// Returns where in the world the patch lies that [`write`](batchwright_core::Dataset::write) writes in this context.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn place(&self, index: usize, context: &Context<'_>) -> Result<PatchPlace, SampleError> {
        with_memory(|memory| {
            let record = self.drawn(index, context, memory)?;
            let subject = &self.subjects[self.plan.at(index).0];
            let facts = self.facts_of(subject, memory)?;
            Ok(PatchPlace::of(&facts.grid, record.place.origin, self.options.patch.size))
        })
        .map_err(|error: Error| error.into())
    }

    /// Writes what the subject of sample `index` has at a place in the world into a slot: the same millimetres as any other
    /// image that is written at it. Random changes are drawn in this context, as for the sample itself.
    ///
    /// The place, the image's geometry and the changes make one map, and voxels are interpolated once. Where the patch's
    /// voxels fall on those of the image's grid, within a thousandth of a voxel, and nothing is changed, they are copied; at
    /// the sample's own [`place`](Self::place) the bits are those of [`write`](batchwright_core::Dataset::write). What lies
    /// outside of the volume is padded as chosen.
    ///
    /// # Errors
    /// Refuses a place that has nothing of the volume ([`Error::PlaceOutside`]), and one whose axes span no space. Gives the
    /// errors of reading the volumes.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn write_at(
        &self,
        index: usize,
        place: &PatchPlace,
        slot: &mut Slot<'_>,
        context: &Context<'_>,
    ) -> Result<(), SampleError> {
        with_memory(|memory| {
            let record = context.stage("draw", || self.drawn_at(index, place, context, memory))?;
            self.make(index, &record, slot, context, memory)
        })
        .map_err(Into::into)
    }

    /// Draws the random changes of a patch at a place in the world: the record of what [`write_at`](Self::write_at) writes,
    /// for [`patch`](Self::patch).
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn draw_at(
        &self,
        index: usize,
        place: &PatchPlace,
        context: &Context<'_>,
    ) -> Result<PatchRecord, SampleError> {
        with_memory(|memory| self.drawn_at(index, place, context, memory)).map_err(Into::into)
    }

    fn drawn_at(
        &self,
        index: usize,
        place: &PatchPlace,
        context: &Context<'_>,
        memory: &mut Memory,
    ) -> Result<PatchRecord, Error> {
        let (number, patch) = self.plan.at(index);
        let subject = &self.subjects[number];
        let grid = self.facts_of(subject, memory)?.grid;
        let frame = self.frame(subject, &grid, place)?;
        let shape = PatchShape { spacing: frame.spacing, ..self.shape };
        let changes = self.options.augmentation.draw(context, &shape);
        let origin = place.in_grid(&grid, self.options.patch.size)?.0.map(|row| row[3].round() as i64);
        let id = subject.id.clone();
        Ok(PatchRecord {
            subject: id,
            patch,
            place: Place::at(origin),
            at: Some(*place),
            foreground: None,
            changes,
        })
    }

    /// Returns the grid of a patch at a place: its own voxels, and where they lie in the subject's volume.
    pub(super) fn frame(
        &self,
        subject: &Prepared,
        grid: &Lattice,
        place: &PatchPlace,
    ) -> Result<Lattice, Error> {
        let size = self.options.patch.size;
        let to_grid = place.in_grid(grid, size)?;
        let to_stored = grid.to_stored.after(&to_grid);
        let voxel_to_world = place.voxel_to_world(size);
        let volume = &subject.images[0];
        if lie_apart(&to_stored, size, volume.shape()) {
            let boxes =
                [world_box(&voxel_to_world, size), world_box(&volume.voxel_to_world()?, volume.shape())];
            let path = volume.path();
            return Err(Error::PlaceOutside { path, boxes: Box::new(boxes) }.of_subject(&subject.id));
        }
        let lengths = voxel_to_world.0.column_lengths();
        let spacing = [0, 1, 2].map(|axis| {
            // An axis of the grid has the very spacing of the grid, not what rounding makes of it.
            let column = [0, 1, 2].map(|row| to_grid.0[row][axis].abs());
            let is_axis = column.iter().sum::<f64>() == 1.0;
            let along = column.iter().position(|&step| step == 1.0).filter(|_| is_axis);
            along.map_or(lengths[axis], |along| grid.spacing[along])
        });
        Ok(Lattice { shape: size, to_stored, voxel_to_world, spacing })
    }

    /// Draws a second place of the volume of sample `index`, whose box shares the fraction `overlap` of its volume with that
    /// of the first: as far as whole voxels allow, that is, within half a voxel on each axis.
    ///
    /// The way to it is drawn from the stream `patch/overlap`: three numbers uniform in -1 to 1, of the patch's lengths, the
    /// axes of flat patches left out; as far along it as the overlap says. Where that leaves the volume, axes are turned
    /// round, then those that have no more room go as far as they can and the others farther; only where no place inside has
    /// this overlap is the box one that reaches out. A first place that does not lie on the voxels of the volume's own grid
    /// is moved without regard to where the volume ends.
    ///
    /// # Errors
    /// Refuses an overlap that is not from 0 to 1, and a place whose axes span no space. Gives the errors of reading the
    /// volumes.
    ///
    /// # Panics
    /// Panics if there is no such sample.
    pub fn overlapping(
        &self,
        index: usize,
        place: &PatchPlace,
        overlap: f64,
        context: &Context<'_>,
    ) -> Result<PatchPlace, SampleError> {
        let mut stream = context.stream("patch/overlap");
        with_memory(|memory| self.second(index, place, overlap, &mut stream, memory)).map_err(Into::into)
    }

    fn second(
        &self,
        index: usize,
        place: &PatchPlace,
        overlap: f64,
        stream: &mut Stream,
        memory: &mut Memory,
    ) -> Result<PatchPlace, Error> {
        if !(0.0..=1.0).contains(&overlap) {
            return Err(Error::choice("overlap", "a fraction from 0 to 1", overlap));
        }
        let size = self.options.patch.size;
        let way = Way::draw(size, stream);
        let subject = &self.subjects[self.plan.at(index).0];
        let grid = self.facts_of(subject, memory)?.grid;
        let to_grid = place.in_grid(&grid, size)?;
        let origin = to_grid.0.map(|row| row[3]);
        if to_grid != Affine::translation(origin) {
            return Ok(
                place.moved(way.as_far([f64::INFINITY; 3], overlap).map_or([0.0; 3], |by| way.signed(by)))
            );
        }
        let valid = Places::new(grid.shape, size)?.valid();
        let rooms = [0, 1, 2].map(|axis| {
            let [low, high] = [*valid[axis].start(), *valid[axis].end()].map(|at| at as f64);
            [(origin[axis] - low).max(0.0), (high - origin[axis]).max(0.0)]
        });
        let by = way.inside(rooms, overlap);
        Ok(PatchPlace::of(&grid, [0, 1, 2].map(|axis| (origin[axis] + by[axis]) as i64), size))
    }
}

/// The way from one box to another of the same size, in lengths of the box.
#[derive(Clone, Copy, Debug)]
struct Way {
    size: [f64; 3],
    /// How much of the way goes along each axis; the largest is 1.
    along: [f64; 3],
    /// Whether it goes down.
    down: [bool; 3],
}

impl Way {
    fn draw(size: [usize; 3], stream: &mut Stream) -> Self {
        let drawn = [0; 3].map(|_| stream.uniform_in(-1.0, 1.0));
        let flat = size.map(|n| n == 1);
        let along = [0, 1, 2].map(|axis| {
            let left_out = flat[axis] && flat != [true; 3];
            if left_out { 0.0 } else { drawn[axis].abs().max(f64::MIN_POSITIVE) }
        });
        let most = along.into_iter().fold(0.0, f64::max);
        Self {
            size: size.map(|n| n as f64),
            along: along.map(|part| part / most),
            down: drawn.map(|part| part < 0.0),
        }
    }

    /// Returns how far, in whole voxels, boxes of this overlap lie apart on each axis, none farther than its room; or
    /// nothing, where all of the room is not enough.
    fn as_far(&self, room: [f64; 3], overlap: f64) -> Option<[f64; 3]> {
        let by = |far: f64| {
            [0, 1, 2]
                .map(|axis| (far * self.along[axis] * self.size[axis]).min(room[axis]).min(self.size[axis]))
        };
        let shared = |far: f64| {
            let by = by(far);
            (0..3).map(|axis| 1.0 - by[axis] / self.size[axis]).product::<f64>()
        };
        let least = self.along.into_iter().filter(|part| 0.0 < *part).fold(1.0, f64::min);
        // So far that every axis ends at its limit, whatever rounding does.
        let (mut near, mut far) = (0.0, 2.0 / least);
        if overlap < shared(far) {
            return None;
        }
        // What is shared falls all the way, so the middle is on one side.
        for _ in 0..200 {
            let middle = f64::midpoint(near, far);
            if overlap < shared(middle) {
                near = middle;
            } else {
                far = middle;
            }
        }
        Some(by(far).map(f64::round))
    }

    fn signed(&self, by: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|axis| if self.down[axis] { -by[axis] } else { by[axis] })
    }

    /// Returns the way to a box of this overlap, `rooms` being how far down and up it can go and stay inside; one that
    /// leaves, if none stays.
    fn inside(mut self, rooms: [[f64; 2]; 3], overlap: f64) -> [f64; 3] {
        let free = self.as_far([f64::INFINITY; 3], overlap).unwrap_or(self.size);
        let drawn = self.down;
        for try_longest in [false, true] {
            let room = [0, 1, 2].map(|axis| {
                let [down, up] = rooms[axis];
                let here = if drawn[axis] { down } else { up };
                let turn = (try_longest || here < free[axis]) && here < down.max(up);
                self.down[axis] = drawn[axis] != turn;
                if turn { down.max(up) } else { here }
            });
            if let Some(by) = self.as_far(room, overlap) {
                return self.signed(by);
            }
        }
        self.down = drawn;
        self.signed(free)
    }
}

/// Returns whether the box of a patch has nothing of a volume, by the separating axes of two boxes: the normals of their
/// faces and the cross products of their edges (Gottschalk, Lin and Manocha 1996). `map` takes voxels of the patch to voxels of
/// the volume.
fn lie_apart(map: &Affine, size: [usize; 3], shape: [usize; 3]) -> bool {
    let middle = |size: [usize; 3]| size.map(|n| (n as f64 - 1.0) / 2.0);
    let at = map.apply(middle(size));
    let other = middle(shape);
    let between = [0, 1, 2].map(|row| at[row] - other[row]);
    let edges = [0, 1, 2].map(|axis| [0, 1, 2].map(|row| map.0[row][axis] * (size[axis] as f64 / 2.0)));
    let half = shape.map(|n| n as f64 / 2.0);
    let unit = |axis: usize| [0, 1, 2].map(|row| if row == axis { 1.0 } else { 0.0 });
    let separates = |axis: [f64; 3]| {
        let of_volume: f64 = (0..3).map(|row| (half[row] * axis[row]).abs()).sum();
        let of_patch: f64 = edges.iter().map(|edge| dot(*edge, axis).abs()).sum();
        of_volume + of_patch < dot(between, axis).abs()
    };
    (0..3).any(|a| {
        separates(unit(a))
            || separates(cross(edges[a], edges[(a + 1) % 3]))
            || edges.iter().any(|edge| separates(cross(unit(a), *edge)))
    })
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Returns the lowest and the highest place of a box of voxels in the world.
fn world_box(map: &VoxelToWorld, size: [usize; 3]) -> [[f64; 3]; 2] {
    let mut bounds = [[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]];
    for corner in 0..8 {
        let at = [0, 1, 2].map(|axis| (size[axis] * (corner >> axis & 1)) as f64 - 0.5);
        for (axis, mm) in map.0.apply(at).into_iter().enumerate() {
            bounds[0][axis] = bounds[0][axis].min(mm);
            bounds[1][axis] = bounds[1][axis].max(mm);
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared(by: [f64; 3], size: [usize; 3]) -> f64 {
        (0..3).map(|axis| (1.0 - by[axis].abs() / size[axis] as f64).max(0.0)).product()
    }

    proptest! {
        #[test]
        fn boxes_share_what_was_asked_within_half_a_voxel_of_each_axis_and_stay_inside_if_any_does(
            size in prop::array::uniform3(1_usize..40),
            rooms in prop::array::uniform3(prop::array::uniform2(0_u8..50)),
            overlap in 0.0..=1.0_f64,
            position in 0_u64..1000,
        ) {
            let way = Way::draw(size, &mut Stream::new(3, 0, position, "patch/overlap"));
            let rooms = rooms.map(|room| room.map(f64::from));
            let by = way.inside(rooms, overlap);
            let off: f64 = size.iter().map(|&n| 0.5 / n as f64).sum();
            prop_assert!((shared(by, size) - overlap).abs() <= off + 1e-9, "{by:?} of {size:?}: {overlap}");
            prop_assert!(by.iter().all(|by| by.fract() == 0.0));
            let is_inside = (0..3).all(|axis| -rooms[axis][0] <= by[axis] && by[axis] <= rooms[axis][1]);
            // As far as any box inside can go.
            let usable = |axis: usize| if size[axis] == 1 && size != [1; 3] { 0.0 } else { rooms[axis][0].max(rooms[axis][1]) };
            let least = shared([0, 1, 2].map(|axis| usable(axis).min(size[axis] as f64)), size);
            prop_assert_eq!(is_inside, least <= overlap, "{:?} of {:?} in {:?}: {} {}", by, size, rooms, least, overlap);
        }

        /// The reference: points of the patch, some of which are inside, or none.
        #[test]
        fn boxes_lie_apart_where_no_point_of_one_is_in_the_other(
            turn in prop::array::uniform3(-3.0..3.0_f64),
            shift in prop::array::uniform3(-30.0..40.0_f64),
            size in prop::array::uniform3(1_usize..12),
        ) {
            let shape = [10, 12, 8];
            let mut map = Affine::IDENTITY;
            for (axis, angle) in turn.into_iter().enumerate() {
                let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
                let mut by = Affine::IDENTITY;
                (by.0[a][a], by.0[a][b], by.0[b][a], by.0[b][b]) =
                    (angle.cos(), -angle.sin(), angle.sin(), angle.cos());
                map = map.after(&by);
            }
            let map = Affine::translation(shift).after(&map);
            let mut meets = false;
            let n = 24;
            for i in 0..n * n * n {
                let at = [i % n, i / n % n, i / n / n].map(|x| f64::from(x) / f64::from(n - 1));
                let point = map.apply([0, 1, 2].map(|axis| at[axis] * size[axis] as f64 - 0.5));
                meets |= (0..3).all(|axis| -0.5 <= point[axis] && point[axis] <= shape[axis] as f64 - 0.5);
            }
            let apart = lie_apart(&map, size, shape);
            prop_assert!(!(meets && apart));
            // Points half a voxel apart miss only boxes that barely touch.
            if !meets {
                let wide = shape.map(|n| n - 2);
                let inner = Affine::translation([-1.0; 3]).after(&map);
                prop_assert!(apart || lie_apart(&inner, size, wide));
            }
        }
    }

    #[test]
    fn directions_fill_all_octants() {
        let mut seen = std::collections::BTreeSet::new();
        for position in 0..200 {
            let way = Way::draw([8; 3], &mut Stream::new(1, 0, position, "patch/overlap"));
            seen.insert(way.down);
        }
        assert_eq!(seen.len(), 8);
    }
}
