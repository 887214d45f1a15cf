use super::*;
use crate::orientation::Orientation;
use crate::voxels::VoxelSlice;

/// Draws one view and returns its planes, cut out of the sheet by where the cells put them.
fn planes(view: &View<'_>, convention: Convention, scale: f64) -> [Canvas; 3] {
    let through = view.through(Position::Center);
    Section::ALL.map(|plane| view.draw(0, plane, convention, through, scale, false))
}

/// Where the brightest pixel is: from the left and from the top.
fn brightest(canvas: &Canvas) -> (usize, usize) {
    let all = (0..canvas.height()).flat_map(|y| (0..canvas.width()).map(move |x| (x, y)));
    all.max_by_key(|&(x, y)| canvas.at(x, y).unwrap()[0]).unwrap()
}

#[test]
fn left_front_and_top_are_where_the_convention_says_in_every_orientation() {
    // One bright voxel, left, in front of and above the middle: at RAS voxel (1, 6, 8) of 5 x 8 x 11.
    let (shape, bright) = ([5, 8, 11], [1, 6, 8]);
    for orientation in ["RAS", "LPS", "LAS", "PSR", "AIL", "SRP", "IPR"] {
        let orientation: Orientation = orientation.parse().unwrap();
        let (seen, to_ras) = Orientation::RAS.seen_as(orientation, shape);
        let mut image = vec![0.0; 5 * 8 * 11];
        for (index, value) in image.iter_mut().enumerate() {
            let voxel = [index % seen[0], index / seen[0] % seen[1], index / (seen[0] * seen[1])];
            if to_ras.apply(voxel.map(|x| x as f64)) == bright.map(|x: usize| x as f64) {
                *value = 1.0;
            }
        }
        assert_eq!(image.iter().sum::<f32>(), 1.0);
        let spacing = [1.0; 3];
        let window = Window { low: 0.0, high: 1.0 };
        let view =
            View::new(&image, 1, seen, spacing).unwrap().with_orientation(orientation).with_window(window);
        let at = image.iter().position(|&x| x == 1.0).unwrap();
        let through = [at % seen[0], at / seen[0] % seen[1], at / (seen[0] * seen[1])];
        for (convention, x) in [(Convention::Neurological, 1), (Convention::Radiological, 5 - 1 - 1)] {
            let drawn = Section::ALL.map(|plane| view.draw(0, plane, convention, through, 1.0, false));
            assert_eq!([drawn[0].width(), drawn[0].height()], [5, 8], "{orientation}");
            assert_eq!(brightest(&drawn[0]), (x, 8 - 1 - 6), "axial {orientation} {convention:?}");
            assert_eq!(brightest(&drawn[1]), (x, 11 - 1 - 8), "coronal {orientation} {convention:?}");
            // In front is on the left.
            assert_eq!(
                brightest(&drawn[2]),
                (8 - 1 - 6, 11 - 1 - 8),
                "sagittal {orientation} {convention:?}"
            );
        }
    }
}

#[test]
fn planes_have_the_shape_of_the_body_and_not_of_the_grid() {
    let image = vec![0.0; 20 * 10 * 4];
    let view = View::new(&image, 1, [20, 10, 4], [1.0, 2.0, 5.0]).unwrap();
    let [axial, coronal, sagittal] = planes(&view, Convention::Radiological, 2.0);
    assert_eq!((axial.width(), axial.height()), (40, 40));
    assert_eq!((coronal.width(), coronal.height()), (40, 40));
    assert_eq!((sagittal.width(), sagittal.height()), (40, 40));
}

#[test]
fn labels_are_outlined_and_their_inside_stays_as_it_is() {
    let image = vec![0.5; 9 * 9];
    let mut label = vec![0_u8; 9 * 9];
    for y in 2..7 {
        for x in 2..7 {
            label[y * 9 + x] = if x < 5 { 1 } else { 2 };
        }
    }
    let view = View::new(&image, 1, [9, 9, 1], [1.0; 3]).unwrap().with_label(VoxelSlice::U8(&label)).unwrap();
    assert_eq!(view.planes(), [Section::Axial], "a flat patch has one plane");
    let canvas = view.draw(0, Section::Axial, Convention::Neurological, [4, 4, 0], 1.0, false);
    let coloured = |x: usize, y: usize| {
        let [r, g, b] = canvas.at(x, y).unwrap();
        (r != g || g != b).then_some([r, g, b])
    };
    assert_eq!((coloured(3, 4), coloured(0, 0), coloured(1, 4)), (None, None, None));
    assert_eq!(coloured(2, 4), Some(view::label_color(1)));
    assert_eq!(coloured(4, 4), Some(view::label_color(1)), "where two meet both are drawn");
    assert_eq!(coloured(5, 4), Some(view::label_color(2)));
    assert_ne!(view::label_color(1), view::label_color(2));
    // A class of any number has a colour.
    for label in [-3, 0, 13, i64::from(i32::MAX)] {
        view::label_color(label);
    }
}

#[test]
fn what_is_no_number_is_seen() {
    let mut image = vec![0.25; 27];
    image[13] = f32::NAN;
    let view = View::new(&image, 1, [3; 3], [1.0; 3]).unwrap();
    for plane in planes(&view, Convention::Radiological, 1.0) {
        assert_eq!(plane.at(1, 1), Some([255, 0, 255]));
        assert_eq!(plane.at(0, 0).map(|[r, g, _]| r == g), Some(true));
    }
}

#[test]
fn planes_go_through_most_of_what_is_labelled() {
    let mut label = vec![0_i16; 6 * 7 * 8];
    for x in 0..3 {
        label[(6 * 7 + 1) * 6 + x] = 4;
    }
    let image = vec![0.0; label.len()];
    let view =
        View::new(&image, 1, [6, 7, 8], [1.0; 3]).unwrap().with_label(VoxelSlice::I16(&label)).unwrap();
    assert_eq!(view.through(Position::Label), [2, 1, 6]);
    assert_eq!(view.through(Position::Center), [3, 3, 4]);
    assert_eq!(view.through(Position::At([9, 0, 7])), [5, 0, 7]);
    let none = vec![0_i16; label.len()];
    let view = view.with_label(VoxelSlice::I16(&none)).unwrap();
    assert_eq!(view.through(Position::Label), [3, 3, 4]);
}

#[test]
fn before_and_after_are_shown_in_one_window() {
    let before: Vec<f32> = (0..512).map(|i| i as f32).collect();
    let after: Vec<f32> = before.iter().map(|x| x * 0.5).collect();
    let options = MontageOptions { panel: 16, letters: false, ..MontageOptions::default() };
    let view = |image| View::new(image, 1, [8; 3], [1.0; 3]).unwrap();
    let greatest = |views: &[View<'_>], from: usize| {
        let mut montage = Montage::new(options.clone()).unwrap();
        montage.add("", views);
        let canvas = montage.canvas();
        let all = (0..canvas.height()).flat_map(|y| (from..canvas.width()).map(move |x| (x, y)));
        all.map(|(x, y)| canvas.at(x, y).unwrap()[0]).max().unwrap()
    };
    let second = 6 + 3 * 16 + 4 + 10;
    assert!(greatest(&[view(&before), view(&after)], second) < 150, "half as bright");
    assert!(200 < greatest(&[view(&before), view(&after).with_window(Window::robust(&after))], second));
}

#[test]
fn a_sheet_has_room_for_its_cells_and_captions() {
    let image = vec![0.0; 2 * 8 * 6 * 4];
    let view = View::new(&image, 2, [8, 6, 4], [1.0; 3]).unwrap().with_title("before");
    let options = MontageOptions { panel: 16, columns: 2, ..MontageOptions::default() };
    let mut montage = Montage::new(options).unwrap();
    assert!(montage.is_empty());
    assert_eq!((montage.canvas().width(), montage.canvas().height()), (1, 1));
    for caption in ["flip", "a caption that is much longer than its cell is wide", ""] {
        montage.add(caption, &[view]);
    }
    montage.add_legend(&[(1, "liver"), (2, "spleen")]);
    montage.add("no view at all", &[]);
    let sheet = montage.canvas();
    assert_eq!(montage.len(), 5);
    assert!(
        2 * (16 + 16 + 12) <= sheet.width() && sheet.height() < 400,
        "{} {}",
        sheet.width(),
        sheet.height()
    );
    for options in [
        MontageOptions { panel: 7, ..MontageOptions::default() },
        MontageOptions { panel: 5000, ..MontageOptions::default() },
        MontageOptions { columns: 0, ..MontageOptions::default() },
        MontageOptions { channels: 0, ..MontageOptions::default() },
        MontageOptions { text: 9, ..MontageOptions::default() },
    ] {
        assert!(Montage::new(options).is_err());
    }
}

#[test]
fn voxels_that_do_not_fit_their_shape_are_refused() {
    let image = [0.0; 8];
    assert!(View::new(&image, 1, [2, 2, 3], [1.0; 3]).is_err());
    assert!(View::new(&image, 0, [2, 2, 2], [1.0; 3]).is_err());
    assert!(View::new(&[], 1, [0, 2, 2], [1.0; 3]).is_err());
    assert!(View::new(&image, 2, [usize::MAX, 2, 2], [1.0; 3]).is_err());
    for spacing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(View::new(&image, 1, [2, 2, 2], [1.0, spacing, 1.0]).is_err());
    }
    let view = View::new(&image, 1, [2, 2, 2], [1.0, 1.0, 1e9]).unwrap();
    assert!(view.with_label(VoxelSlice::U8(&[0; 7])).is_err());
    // A spacing that is no spacing of a body still gives pixels.
    assert!(
        planes(&view, Convention::Radiological, 1e-7).iter().all(|plane| 0 < plane.width() * plane.height())
    );
}
