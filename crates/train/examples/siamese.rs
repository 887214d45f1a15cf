//! Your own pairs: two images are the same where their bars run the same way. A network of your own and a `siamese`.
//!
//! `cargo run --release -p batchwright-train --example siamese`
#![expect(clippy::print_stdout, reason = "an example that prints what it learned")]

use std::sync::Arc;

use batchwright_config as config;
use batchwright_core::{Batch, BoxError, Field, Sequence, Stream};
use batchwright_train::metric::{contrastive, pairwise};
use batchwright_train::{Losses, Siamese, Step, Task, TensorBatch, Trainer, TrainerOptions};
use tch::{Kind, Tensor, nn, nn::Module};

const SIDE: usize = 16;

/// Images of a bar, upright or lying, in pairs; or alone with a label.
#[derive(Clone, Copy)]
struct Bars {
    pairs: bool,
}

impl Sequence for Bars {
    fn len(&self) -> usize {
        40
    }

    fn get(&self, epoch: u64, index: usize) -> Result<Batch, BoxError> {
        let image = |name: &str| Field::new::<f32>(name, &[1, SIDE, SIDE]);
        let fields = if self.pairs {
            vec![image("a"), image("b"), Field::new::<f32>("same", &[])]
        } else {
            vec![image("image"), Field::new::<i64>("label", &[])]
        };
        let mut batch = Batch::zeroed(fields, 32)?;
        let mut draws = Stream::new(7, epoch, index as u64, "bars");
        for row in 0..32 {
            let mut draw = |batch: &mut Batch, name: &str| -> Result<bool, BoxError> {
                let (upright, place) = (draws.chance(0.5), draws.below(SIDE as u64) as usize);
                let image = &mut batch.get_mut::<f32>(name)?[row * SIDE * SIDE..][..SIDE * SIDE];
                for i in 0..SIDE {
                    image[if upright { i * SIDE + place } else { place * SIDE + i }] = 1.0;
                }
                Ok(upright)
            };
            if self.pairs {
                let same = draw(&mut batch, "a")? == draw(&mut batch, "b")?;
                batch.get_mut::<f32>("same")?[row] = f32::from(u8::from(same));
            } else {
                let upright = draw(&mut batch, "image")?;
                batch.get_mut::<i64>("label")?[row] = i64::from(upright);
            }
        }
        Ok(batch)
    }
}

/// A network of your own with a loss of this crate.
struct Own(nn::Sequential);

impl Task for Own {
    fn loss(&self, batch: &TensorBatch, _: Step) -> Result<Losses, BoxError> {
        let code =
            |name| -> Result<Tensor, BoxError> { Ok(self.0.forward(&batch.get(name)?.flatten(1, -1))) };
        let (a, b, same) = (code("a")?, code("b")?, batch.get("same")?);
        let near = pairwise(&a, &b, config::Distance::Euclidean)?.f_lt(0.5)?;
        let right = near.f_eq_tensor(&same.f_to_kind(Kind::Bool)?)?.f_to_kind(Kind::Float)?.f_mean(None)?;
        Ok(Losses::new(contrastive(&a, &b, same, 1.0)?.f_mean(None)?).with("accuracy", right))
    }
}

fn main() -> Result<(), BoxError> {
    let mut trainer = Trainer::new(TrainerOptions::new(1, 5).silent())?;
    let (root, linear) = (trainer.root(), nn::LinearConfig::default());
    let first = nn::linear(&root / "first", (SIDE * SIDE) as i64, 64, linear);
    let task = Own(nn::seq().add(first).add_fn(Tensor::relu).add(nn::linear(&root / "last", 64, 2, linear)));
    let summary = trainer.fit(&task, Bars { pairs: true }, None)?;
    println!("a network of your own: accuracy {:.3}", summary.metrics["train_accuracy"]);

    let settings: config::Siamese = serde_json::from_value(serde_json::json!({
        "encoder": { "channels": [16, 32, 32] }, "embedding": 16, "loss": { "contrastive": { "margin": 1.0 } }
    }))?;
    let mut trainer = Trainer::new(TrainerOptions::new(1, 5).silent())?;
    let task = Siamese::new(&trainer.root(), &settings, [1, SIDE, SIDE])?;
    let validation: Box<dyn Sequence> = Box::new(Bars { pairs: true });
    let summary = trainer.fit(&task, Bars { pairs: true }, Some(validation))?;
    let embedded = trainer.embed(&task, Arc::new(Bars { pairs: false }))?;
    let n = embedded.len();
    println!("siamese: ROC-AUC {:.3}, {n} embeddings", summary.metrics["val_auc"]);
    Ok(())
}
