//! Choosing the next token from the model's logits. Pure and reproducible.
//!
//! Invariants: the same logits, parameters and seed give the same tokens on every machine; at temperature 0 the
//! likeliest token is taken, the first of equals; a token outside top_k or top_p is never chosen. The order is the
//! field's: temperature, then top_k, then top_p. Not here: which tokens end the text.

use std::cmp::Ordering;

use super::SamplingParams;

/// One request's choices.
#[derive(Debug, Clone)]
pub struct Sampler {
    temperature: f64,
    top_p: f64,
    top_k: usize,
    random: SplitMix64,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    weight: f64,
}

impl Sampler {
    /// `seed` is the request's own, or drawn for it.
    pub fn new(params: &SamplingParams, seed: u64) -> Self {
        Self {
            temperature: f64::from(params.temperature),
            top_p: f64::from(params.top_p),
            top_k: params.top_k as usize,
            random: SplitMix64(seed),
            candidates: Vec::new(),
        }
    }

    /// The next token's id; none when no logit is a number (a broken model).
    pub fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        let likeliest = argmax(logits)?;
        if self.temperature.is_nan() || self.temperature <= 0.0 || logits[likeliest] == f32::INFINITY {
            return Some(likeliest as u32);
        }
        self.weigh(logits, logits[likeliest]);
        self.keep_top_k();
        self.keep_top_p();
        Some(self.draw().unwrap_or(likeliest as u32))
    }

    fn weigh(&mut self, logits: &[f32], highest: f32) {
        let temperature = self.temperature;
        let weigh = |logit: f32| (f64::from(logit - highest) / temperature).exp();
        let numbers = logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan());
        self.candidates.clear();
        self.candidates.extend(numbers.map(|(id, logit)| Candidate { id: id as u32, weight: weigh(*logit) }));
    }

    fn keep_top_k(&mut self) {
        if self.top_k > 0 && self.top_k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(self.top_k - 1, likelier_first);
            self.candidates.truncate(self.top_k);
        }
    }

    fn keep_top_p(&mut self) {
        if self.top_p >= 1.0 || self.top_p.is_nan() {
            return;
        }
        let total: f64 = self.candidates.iter().map(|candidate| candidate.weight).sum();
        // all candidates below this together weigh less than 1 - top_p: they can't be needed, so don't sort them
        let negligible = total * (1.0 - self.top_p.max(0.0)) / self.candidates.len() as f64;
        let highest = self.candidates.iter().map(|candidate| candidate.weight).fold(0.0, f64::max);
        self.candidates.retain(|candidate| candidate.weight >= negligible.min(highest));
        self.candidates.sort_unstable_by(likelier_first);
        let mut sum = 0.0;
        let enough = self.candidates.iter().position(|candidate| {
            sum += candidate.weight;
            sum >= total * self.top_p
        });
        if let Some(last) = enough {
            self.candidates.truncate(last + 1);
        }
    }

    fn draw(&mut self) -> Option<u32> {
        let total: f64 = self.candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = self.random.fraction() * total;
        let chosen = self.candidates.iter().find(|candidate| {
            left -= candidate.weight;
            left < 0.0
        });
        // rounding may leave a trace after the last one
        chosen.or(self.candidates.last()).map(|candidate| candidate.id)
    }
}

fn likelier_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.weight.total_cmp(&a.weight).then(a.id.cmp(&b.id))
}

fn argmax(logits: &[f32]) -> Option<usize> {
    let numbers = logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan());
    let best = numbers.fold(None, |best: Option<(usize, f32)>, (id, logit)| match best {
        Some((_, highest)) if highest >= *logit => best,
        _ => Some((id, *logit)),
    });
    best.filter(|(_, highest)| *highest > f32::NEG_INFINITY).map(|(id, _)| id)
}

/// Steele, Lea and Flood's SplitMix64: 64 bits of state, passes BigCrush, the same on every machine.
#[derive(Debug, Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in [0, 1), with all the bits that an f64 has.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn params(temperature: f32, top_p: f32, top_k: u32) -> SamplingParams {
        SamplingParams { max_tokens: 1, temperature, top_p, top_k, stop: Vec::new(), seed: None }
    }

    #[test]
    fn the_generator_gives_the_published_sequence() {
        let mut random = SplitMix64(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.next(), random.next(), random.next()], expected);
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_likeliest() {
        let mut sampler = Sampler::new(&params(0.0, 0.1, 3), 7);
        assert_eq!(sampler.choose(&[0.0, 5.0, f32::NAN, 5.0]), Some(1));
    }

    #[test]
    fn logits_without_a_number_choose_nothing() {
        let mut sampler = Sampler::new(&params(1.0, 1.0, 0), 7);
        assert_eq!(sampler.choose(&[f32::NAN, f32::NEG_INFINITY]), None);
        assert_eq!(sampler.choose(&[]), None);
    }

    #[test]
    fn a_top_p_of_zero_is_greedy() {
        let mut sampler = Sampler::new(&params(1.5, 0.0, 0), 3);
        assert!((0..50).all(|_| sampler.choose(&[1.0, 1.1, 0.9]) == Some(1)));
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut sampler = Sampler::new(&params(1.0, 1.0, 0), 42);
        let logits = [0.6f32.ln(), 0.3f32.ln(), 0.1f32.ln()];
        let mut counts = [0u32; 3];
        for _ in 0..20_000 {
            counts[sampler.choose(&logits).unwrap() as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([12_000.0, 6_000.0, 2_000.0]) {
            assert!((f64::from(count) - expected).abs() < 300.0, "{counts:?}");
        }
    }

    /// The nucleus by the book: sort everything, add up.
    fn nucleus(logits: &[f32], temperature: f32, top_k: usize, top_p: f32) -> HashSet<u32> {
        let highest = logits.iter().copied().fold(f32::MIN, f32::max);
        let mut all: Vec<(f64, u32)> = logits
            .iter()
            .zip(0..)
            .map(|(logit, id)| ((f64::from(logit - highest) / f64::from(temperature)).exp(), id))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(if top_k == 0 { all.len() } else { top_k });
        let total: f64 = all.iter().map(|(weight, _)| weight).sum();
        let mut sum = 0.0;
        let mut kept = HashSet::new();
        for (weight, id) in all {
            kept.insert(id);
            sum += weight;
            // a hair of slack: the sums are added in another order
            if sum >= total * f64::from(top_p) * (1.0 + 1e-9) {
                break;
            }
        }
        kept
    }

    proptest! {
        #[test]
        fn a_token_outside_top_k_and_top_p_is_never_chosen(
            logits in prop::collection::vec(-8.0f32..8.0, 1..60),
            temperature in 0.1f32..3.0, top_p in 0.05f32..1.0, top_k in 0u32..12, seed: u64,
        ) {
            let allowed = nucleus(&logits, temperature, top_k as usize, top_p);
            let mut sampler = Sampler::new(&params(temperature, top_p, top_k), seed);
            for _ in 0..20 {
                let id = sampler.choose(&logits).unwrap();
                prop_assert!(allowed.contains(&id));
            }
        }

        #[test]
        fn the_same_seed_gives_the_same_tokens(
            logits in prop::collection::vec(-4.0f32..4.0, 1..40), seed: u64, top_p in 0.1f32..1.0,
        ) {
            let draw = || {
                let mut sampler = Sampler::new(&params(0.9, top_p, 0), seed);
                (0..16).map(|_| sampler.choose(&logits)).collect::<Vec<_>>()
            };
            prop_assert_eq!(draw(), draw());
        }

        #[test]
        fn a_very_low_temperature_is_greedy(logits in prop::collection::vec(-4.0f32..4.0, 1..40), seed: u64) {
            let likeliest = argmax(&logits).unwrap() as u32;
            let mut sampler = Sampler::new(&params(1e-30, 1.0, 0), seed);
            let chosen = sampler.choose(&logits).unwrap();
            prop_assert_eq!(logits[chosen as usize], logits[likeliest as usize]);
        }
    }
}
