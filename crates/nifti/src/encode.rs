//! The bytes of a header, written.

use crate::header::{ByteOrder, Header, Storage, Version};

/// Where the fields are that both versions have, in bytes from the start.
pub(crate) const MAGIC_2_TAIL: [u8; 4] = [0x0d, 0x0a, 0x1a, 0x0a];

struct Writer {
    bytes: Vec<u8>,
    order: ByteOrder,
}

impl Writer {
    fn put<const N: usize>(&mut self, at: usize, little: [u8; N]) {
        let to = &mut self.bytes[at..at + N];
        to.copy_from_slice(&little);
        if self.order == ByteOrder::Big {
            to.reverse();
        }
    }

    fn i16(&mut self, at: usize, value: i64) {
        self.put(at, (value as i16).to_le_bytes());
    }

    fn i32(&mut self, at: usize, value: i32) {
        self.put(at, value.to_le_bytes());
    }

    fn i64(&mut self, at: usize, value: i64) {
        self.put(at, value.to_le_bytes());
    }

    fn f32s(&mut self, at: usize, values: &[f64]) {
        for (index, &value) in values.iter().enumerate() {
            self.put(at + 4 * index, (value as f32).to_le_bytes());
        }
    }

    fn f64s(&mut self, at: usize, values: &[f64]) {
        for (index, &value) in values.iter().enumerate() {
            self.put(at + 8 * index, value.to_le_bytes());
        }
    }

    fn bytes(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl Header {
    /// Returns the bytes of the header, without the four that say whether extensions follow: 348 of NIfTI-1 or 540 of
    /// NIfTI-2. [`parse`](Self::parse) gives the same header back; numbers of NIfTI-1 are rounded to single precision.
    pub fn encode(&self) -> Vec<u8> {
        match self.version {
            Version::One => self.encode_1(),
            Version::Two => self.encode_2(),
        }
    }

    fn dims(&self) -> [i64; 8] {
        let mut dims = [self.rank as i64; 8];
        for (to, &n) in dims[1..].iter_mut().zip(&self.dim) {
            *to = n as i64;
        }
        dims
    }

    fn encode_1(&self) -> Vec<u8> {
        let mut to = Writer { bytes: vec![0; 348], order: self.byte_order };
        let rest = &self.rest;
        to.i32(0, 348);
        to.bytes(38, b"r");
        to.bytes(39, &[rest.dim_info]);
        for (index, n) in self.dims().into_iter().enumerate() {
            to.i16(40 + 2 * index, n);
        }
        to.f32s(56, &rest.intent_p);
        to.i16(68, i64::from(rest.intent_code));
        to.i16(70, i64::from(self.datatype.code()));
        to.i16(72, 8 * self.datatype.size() as i64);
        to.i16(74, rest.slice_start);
        to.f32s(76, &self.pixdim);
        to.f32s(108, &[self.vox_offset as f64, self.slope, self.inter]);
        to.i16(120, rest.slice_end);
        to.bytes(122, &[rest.slice_code as u8, rest.xyzt_units as u8]);
        to.f32s(124, &[rest.cal_max, rest.cal_min, rest.slice_duration, rest.toffset]);
        to.bytes(148, &rest.descrip);
        to.bytes(228, &rest.aux_file);
        to.i16(252, i64::from(self.qform_code));
        to.i16(254, i64::from(self.sform_code));
        to.f32s(256, &self.quatern);
        to.f32s(268, &self.qoffset);
        to.f32s(280, self.srow.as_flattened());
        to.bytes(328, &rest.intent_name);
        to.bytes(
            344,
            match self.storage {
                Storage::Single => b"n+1\0",
                Storage::Pair => b"ni1\0",
            },
        );
        to.bytes
    }

    fn encode_2(&self) -> Vec<u8> {
        let mut to = Writer { bytes: vec![0; 540], order: self.byte_order };
        let rest = &self.rest;
        to.i32(0, 540);
        to.bytes(
            4,
            match self.storage {
                Storage::Single => b"n+2\0",
                Storage::Pair => b"ni2\0",
            },
        );
        to.bytes(8, &MAGIC_2_TAIL);
        to.i16(12, i64::from(self.datatype.code()));
        to.i16(14, 8 * self.datatype.size() as i64);
        for (index, n) in self.dims().into_iter().enumerate() {
            to.i64(16 + 8 * index, n);
        }
        to.f64s(80, &rest.intent_p);
        to.f64s(104, &self.pixdim);
        to.i64(168, self.vox_offset as i64);
        to.f64s(
            176,
            &[self.slope, self.inter, rest.cal_max, rest.cal_min, rest.slice_duration, rest.toffset],
        );
        to.i64(224, rest.slice_start);
        to.i64(232, rest.slice_end);
        to.bytes(240, &rest.descrip);
        to.bytes(320, &rest.aux_file);
        to.i32(344, self.qform_code);
        to.i32(348, self.sform_code);
        to.f64s(352, &self.quatern);
        to.f64s(376, &self.qoffset);
        to.f64s(400, self.srow.as_flattened());
        to.i32(496, rest.slice_code);
        to.i32(500, rest.xyzt_units);
        to.i32(504, rest.intent_code);
        to.bytes(508, &rest.intent_name);
        to.bytes(524, &[rest.dim_info]);
        to.bytes
    }
}
