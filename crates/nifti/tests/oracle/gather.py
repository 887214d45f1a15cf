"""Writes fixtures/gather.json: patches evaluated by SciPy and NumPy, for tests of crates/nifti/src/gather.

Order 0 and 1 are scipy.ndimage.map_coordinates; Catmull-Rom is written out below; displacements are scipy.interpolate.BSpline
over uniform knots. Voxels are stored x fastest. Run: python gather.py > ../fixtures/gather.json
"""

import json

import numpy as np
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

rng = np.random.default_rng(3)
MODES = {"constant": "grid-constant", "edge": "nearest", "reflect": "mirror"}


def places(affine, size, control=None):
    """Stored coordinates (3, z, y, x), in the order x, y, z, of a patch."""
    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in size[::-1]), indexing="ij")
    p = np.stack([x, y, z])
    if control is not None:
        n = control.shape[2], control.shape[1], control.shape[0]  # x, y, z
        basis = []
        for axis in range(3):
            u = (np.arange(size[axis]) + 0.5) / size[axis] * (n[axis] - 3)
            knots = np.arange(-3, n[axis] + 1, dtype=float)
            basis.append(BSpline.design_matrix(u, knots, 3).toarray())
        p = p + np.einsum("zk,yj,xi,kjic->czyx", basis[2], basis[1], basis[0], control)
    return np.einsum("ij,jzyx->izyx", affine[:, :3], p) + affine[:, 3][:, None, None, None]


def catmull_rom(volume, at, mode, value):
    """Cubic convolution with a = -1/2 (Keys 1981), four taps along each axis."""
    def kernel(d):
        d = np.abs(d)
        near = 1.5 * d**3 - 2.5 * d**2 + 1
        far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    first = np.floor(at).astype(int)
    out = np.zeros(at.shape[1:])
    for k in range(-1, 3):
        for j in range(-1, 3):
            for i in range(-1, 3):
                index = first + np.array([i, j, k])[:, None, None, None]
                taps = map_coordinates(volume, index[::-1], order=0, mode=MODES[mode], cval=value)
                out += taps * np.prod(kernel(at - index), axis=0)
    return out


cases = []
for number in range(24):
    shape = [int(n) for n in rng.integers(4, 9, 3)]  # x, y, z
    size = [int(n) for n in rng.integers(3, 7, 3)]
    volume = rng.integers(-300, 700, shape[::-1]).astype(np.int16)
    middle = (np.array(size) - 1) / 2
    linear = Rotation.random(random_state=rng).as_matrix() @ np.diag(rng.uniform(0.6, 1.4, 3))
    target = (np.array(shape) - 1) / 2 + rng.uniform(-2, 2, 3)
    affine = np.concatenate([linear, (target - linear @ middle)[:, None]], axis=1)
    control = None
    if number % 3 == 2:
        n = [int(n) for n in rng.integers(4, 7, 3)]
        control = rng.uniform(-1, 1, (n[2], n[1], n[0], 3))
    interpolation = ["nearest", "linear", "linear", "cubic"][number % 4]
    border = list(MODES)[number // 4 % 3]
    value = float(rng.integers(-300, 300))
    at = places(affine, size, control)
    source = volume.astype(np.float64)
    if interpolation == "cubic":
        expected = catmull_rom(source, at, border, value)
    else:
        order = 0 if interpolation == "nearest" else 1
        expected = map_coordinates(source, at[::-1], order=order, mode=MODES[border], cval=value)
    cases.append({
        "shape": shape,
        "size": size,
        "voxels": volume.ravel().tolist(),
        "affine": affine.tolist(),
        "control_points": None if control is None else [control.shape[2], control.shape[1], control.shape[0]],
        "control": None if control is None else control.reshape(-1, 3).tolist(),
        "interpolation": interpolation,
        "border": border,
        "value": value,
        "expected": [float(f"{x:.8g}") for x in expected.ravel()],
    })
print(json.dumps(cases, separators=(",", ":")))
