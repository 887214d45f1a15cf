"""Makes ../fixtures/written.json: what nibabel writes for small volumes, as hexadecimal bytes.

Run with nibabel 5 and numpy 2: python write.py
"""

import io
import json
from pathlib import Path

import nibabel
import numpy

AFFINES = {
    "plain": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]],
    "flipped": [[-2, 0, 0, 90], [0, 2.5, 0, -126], [0, 0, 3, -72]],
    "permuted": [[0, 0, 2, -74.65625], [-2, 0, 0, 116.625], [0, 2, 0, -136.125]],
    "oblique": None,  # below
    "sheared": [[1, 0.25, 0, 5], [0, 1, 0, 6], [0, 0, 1, 7]],
}
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def oblique():
    angles = numpy.deg2rad([10, -20, 35])
    c, s = numpy.cos(angles), numpy.sin(angles)
    rx = numpy.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    ry = numpy.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    rz = numpy.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    linear = rz @ ry @ rx @ numpy.diag([0.75, 0.75, 4])
    return numpy.hstack([linear, [[12.5], [-33], [8]]]).tolist()


def case(number, kind, name, two, big):
    order = ">" if big else "<"
    shape = (4, 3, 2) if number % 3 else (3, 2, 2, 2)
    count = int(numpy.prod(shape))
    # The voxels in the order of the file: 0, 5, 10, ... modulo 101.
    voxels = (numpy.arange(count) * 5 % 101).reshape(shape, order="F").astype(order + kind)
    affine = numpy.array(AFFINES[name] + [[0, 0, 0, 1]], dtype=float)
    if not two:
        affine = affine.astype("f4").astype(float)
    header = (nibabel.Nifti2Header if two else nibabel.Nifti1Header)(endianness=order)
    header.set_data_dtype(voxels.dtype)
    image = (nibabel.Nifti2Image if two else nibabel.Nifti1Image)(voxels, affine, header)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 0 if name == "sheared" else 1, strip_shears=True)
    if name == "sheared":
        for field in ["quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"]:
            image.header[field] = 0
    image.header["descrip"] = b"batchwright"
    if not two:
        image.header["regular"] = b"r"
    return {
        "type": voxels.dtype.name,
        "shape": list(shape),
        "affine": affine[:3].tolist(),
        "two": two,
        "big": big,
        "hex": image.to_bytes().hex(),
    }


AFFINES["oblique"] = oblique()
cases, number = [], 0
for kind in TYPES:
    for name in ["oblique", list(AFFINES)[number % 5]]:
        cases.append(case(number, kind, name, bool(number // 2 % 2), bool(number % 3 == 1)))
        number += 1
path = Path(__file__).parent.parent / "fixtures" / "written.json"
path.write_text(json.dumps(cases, indent=0) + "\n")
print(len(cases), path.stat().st_size)
