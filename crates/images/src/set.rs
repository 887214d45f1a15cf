//! Images as a data set.

use batchwright_core::{Context, Dataset, Field, Fingerprint, SampleError, Slot};

use crate::augment::{Drawn, Map};
use crate::convert::{Conversion, Standard};
use crate::error::Error;
use crate::options::{ImageOptions, ImageType, Scale};
use crate::source::{ImageSource, LABEL_LIMIT, PixelType, PixelView, Scratch, check_pixels, size};

/// An [`ImageSource`] as a [`Dataset`].
///
/// Its fields, in order:
///
/// | field | type and shape | |
/// |---|---|---|
/// | `image` | f32 or u8 [C, H, W], axes C, y, x; of volumes [1, D, H, W], axes C, z, y, x | divided, normalised |
/// | `label` | i64 | where the source has labels |
/// | `one_hot` | f32 `[classes]` | where asked for |
///
/// A byte is divided exactly as IEEE division does it, so `x / 255` of every program that divides gives the same bits.
/// With a mean and a standard deviation, the result is `(x / divisor - mean) * (1 / std)`, each step rounded to `f32`.
#[derive(Clone, Debug)]
pub struct ImageSet<S> {
    source: S,
    options: ImageOptions,
    fields: Vec<Field>,
    classes: usize,
    labelled: bool,
    conversion: Conversion,
    in_memory: bool,
}

impl<S: ImageSource> ImageSet<S> {
    /// Makes a data set of `source`.
    ///
    /// # Errors
    /// Refuses a source that is wrong as a whole or whose shape has a zero, and choices that do not fit it: bytes asked of floats or together with a scale or a normalisation, a
    /// divisor that is not positive and finite, another number of means than channels, one-hot labels where there are
    /// no labels or one that is no class.
    pub fn new(source: S, options: ImageOptions) -> Result<Self, Error> {
        source.check()?;
        let shape = source.shape();
        size(shape)?;
        let volume = source.is_volume();
        let channels = if volume { 1 } else { shape[0] };
        let field: Vec<usize> = if volume { [1].into_iter().chain(shape).collect() } else { shape.to_vec() };
        let divisor = match options.scale {
            Scale::FullRange => source.full_scale(),
            Scale::None => 1.0,
            Scale::Divide(divisor) => divisor,
        };
        if !(0.0 < divisor && divisor.is_normal()) {
            return Err(Error::choice("scale", "a positive, finite divisor", divisor));
        }
        let standards = match &options.normalize {
            Some(normalize) => {
                normalize.check(channels)?;
                let pairs = normalize.mean.iter().zip(&normalize.std);
                pairs.map(|(&mean, &std)| Standard { mean, inverse_std: 1.0 / std }).collect()
            }
            None => Vec::new(),
        };
        let image = match options.dtype {
            ImageType::F32 => Field::new::<f32>("image", &field),
            ImageType::U8 => {
                if source.pixel_type() != PixelType::U8 {
                    return Err(Error::choice("dtype", "f32, as the source holds floats", "u8"));
                }
                if options.normalize.is_some() || matches!(options.scale, Scale::Divide(_)) {
                    return Err(Error::choice("dtype", "f32, as pixels are scaled or normalised", "u8"));
                }
                Field::new::<u8>("image", &field)
            }
        };
        if let Some(augment) = &options.augment {
            if volume {
                let expected = "left out, as the source holds volumes and these changes are of pictures";
                return Err(Error::choice("augment", expected, "it given"));
            }
            augment.check()?;
        }
        // Bytes are scaled only while they are augmented.
        let divisor = if options.dtype == ImageType::U8 { source.full_scale() } else { divisor };
        let classes = options.classes.unwrap_or_else(|| source.classes());
        let labelled = !source.is_empty() && source.label(0).is_some();
        let mut fields = vec![image];
        if labelled {
            fields.push(Field::new::<i64>("label", &[]));
        }
        if options.one_hot {
            if !labelled || classes == 0 {
                return Err(Error::choice("one_hot", "a source with labels", "none"));
            }
            if (LABEL_LIMIT as usize) < classes {
                return Err(Error::choice("classes", "at most 2^24", classes));
            }
            fields.push(Field::new::<f32>("one_hot", &[classes]));
        }
        if options.one_hot || options.classes.is_some() {
            check_labels(&source, classes)?;
        }
        let conversion = Conversion::new(divisor, standards);
        let in_memory = source.in_memory();
        Ok(Self { source, options, fields, classes, labelled, conversion, in_memory })
    }

    /// Returns the source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns what was chosen.
    pub fn options(&self) -> &ImageOptions {
        &self.options
    }

    /// Returns the data set of the same images without random changes.
    #[must_use]
    pub fn unchanged(&self) -> Self
    where
        S: Clone,
    {
        let options = ImageOptions { augment: None, ..self.options.clone() };
        Self { options, ..self.clone() }
    }

    /// Returns what is drawn to augment the sample of this context, if samples are augmented.
    pub fn drawn(&self, context: &Context<'_>) -> Option<Drawn> {
        self.options.augment.as_ref().map(|augment| augment.draw(context))
    }

    /// Writes the field `image` of a sample that is augmented: warped as stored, divided, made noisy, normalised.
    fn augmented(&self, pixels: PixelView<'_>, slot: &mut Slot<'_>, context: &Context<'_>) {
        let Some(augment) = &self.options.augment else { return };
        let drawn = augment.draw(context);
        let [_, height, width] = self.source.shape();
        let displaced = augment.displacements(&drawn, context, height, width);
        let map = drawn.map(height, width).or(displaced.is_some().then_some(Map::STILL));
        let displaced = displaced.as_ref();
        let draw = |to: &mut [f32]| {
            match map {
                Some(map) => {
                    let (plane, fill) = (height * width, augment.fill * self.conversion.divisor());
                    let planes = to.chunks_exact_mut(plane);
                    match pixels {
                        PixelView::U8(from) => {
                            let from = from.chunks_exact(plane);
                            planes
                                .zip(from)
                                .for_each(|(to, from)| map.warp(from, width, displaced, fill, to));
                        }
                        PixelView::F32(from) => {
                            let from = from.chunks_exact(plane);
                            planes
                                .zip(from)
                                .for_each(|(to, from)| map.warp(from, width, displaced, fill, to));
                        }
                    }
                    self.conversion.divide(to);
                }
                None => match pixels {
                    PixelView::U8(from) => self.conversion.scale(from, to),
                    PixelView::F32(from) => {
                        to.copy_from_slice(from);
                        self.conversion.divide(to);
                    }
                },
            }
            augment.add_noise(&drawn, context, to);
        };
        match self.options.dtype {
            ImageType::F32 => {
                let to = slot.get::<f32>(0);
                draw(to);
                self.conversion.standardize(to);
            }
            ImageType::U8 => {
                let to = slot.get::<u8>(0);
                let mut floats = vec![0.0; to.len()];
                draw(&mut floats);
                for (to, value) in to.iter_mut().zip(floats) {
                    *to = (value * self.conversion.divisor() + 0.5) as u8;
                }
            }
        }
    }

    /// Returns the number of classes; 0 without labels.
    pub fn classes(&self) -> usize {
        self.classes
    }
}

fn check_labels(source: &impl ImageSource, classes: usize) -> Result<(), Error> {
    let wrong = |label: i64| usize::try_from(label).map_or(true, |label| classes <= label);
    let labels = (0..source.len()).filter_map(|index| Some((index, source.label(index)?)));
    match labels.into_iter().find(|(_, label)| wrong(*label)) {
        Some((index, label)) => Err(Error::Label { index, id: source.id(index), label, classes }),
        None => Ok(()),
    }
}

impl<S: ImageSource> Dataset for ImageSet<S> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn fields(&self) -> &[Field] {
        &self.fields
    }

    #[inline]
    fn write(&self, index: usize, slot: &mut Slot<'_>, context: &Context<'_>) -> Result<(), SampleError> {
        let mut scratch = Scratch::default();
        let pixels = if self.in_memory {
            self.source.fetch(index, &mut scratch)?
        } else {
            context.stage("read and decode", || self.source.fetch(index, &mut scratch))?
        };
        check_pixels(&self.source, index, pixels)?;
        match (pixels, self.options.dtype) {
            (pixels, _) if self.options.augment.is_some() => {
                context.stage("augment", || self.augmented(pixels, slot, context));
            }
            (PixelView::U8(pixels), ImageType::F32) => self.conversion.bytes(pixels, slot.get(0)),
            (PixelView::F32(pixels), ImageType::F32) => self.conversion.floats(pixels, slot.get(0)),
            (PixelView::U8(pixels), ImageType::U8) => slot.get::<u8>(0).copy_from_slice(pixels),
            (PixelView::F32(_), ImageType::U8) => {
                return Err(SampleError::environment("a source of bytes gave floats"));
            }
        }
        if self.labelled {
            let label = self.source.label(index).unwrap_or(-1);
            slot.get::<i64>(1)[0] = label;
            if self.options.one_hot {
                let one_hot = slot.get::<f32>(2);
                one_hot.fill(0.0);
                // Checked when the set was made.
                if let Some(one) = usize::try_from(label).ok().and_then(|label| one_hot.get_mut(label)) {
                    *one = 1.0;
                }
            }
        }
        Ok(())
    }

    fn id(&self, index: usize) -> String {
        self.source.id(index)
    }

    fn class(&self, index: usize) -> Option<u32> {
        self.source.label(index).and_then(|label| u32::try_from(label).ok())
    }

    fn fact(&self, index: usize, name: &str) -> Option<String> {
        self.source.fact(index, name)
    }

    fn facts(&self) -> Vec<String> {
        self.source.facts()
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut facts = Fingerprint::default()
            .with_part("source", &self.source.fingerprint())
            .with("divisor", self.conversion.divisor());
        if let Some(normalize) = &self.options.normalize {
            facts = facts
                .with("mean", format!("{:?}", normalize.mean))
                .with("std", format!("{:?}", normalize.std));
        }
        if let Some(augment) = &self.options.augment {
            facts = facts.with("augment", augment.text());
        }
        facts
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        self.source.prefetch(index);
    }
}
