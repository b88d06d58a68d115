//! Values, derivatives and bits of all activations.

use settings::Component;

use super::elu::Elu;
use super::gelu::Gelu;
use super::leaky_relu::LeakyRelu;
use super::mish::Mish;
use super::relu::Relu;
use super::sigmoid::Sigmoid;
use super::silu::Silu;
use super::tanh::Tanh;
use super::wide::{apply_any, backward_any};
use super::{ACTIVATIONS, Activation, Pointwise};

fn everywhere() -> impl Iterator<Item = f32> {
    (-4000..=4000).map(|i| i as f32 * 0.005).chain([-1e4, -87.5, -86.9, -1e-7, 0.0, 1e-20, 88.0, 1e4])
}

fn of(component: Component) -> Activation {
    Activation::of(&component).expect("it is built in").0
}

fn applied(activation: &Activation, x: f32) -> f32 {
    let mut value = [x];
    activation.apply(&mut value);
    value[0]
}

fn slope(activation: &Activation, x: f32) -> f32 {
    let mut gradient = [1.0];
    let kept = if activation.keeps_input() { x } else { applied(activation, x) };
    activation.backward(&[kept], &mut gradient);
    gradient[0]
}

fn check(component: Component, tolerance: f64, expected: impl Fn(f64) -> f64) {
    let activation = of(component);
    for x in everywhere() {
        let (given, expected) = (f64::from(applied(&activation, x)), expected(f64::from(x)));
        let error = (given - expected).abs();
        assert!(error <= tolerance * expected.abs().max(1.0), "{activation:?}: {given} at {x}, not {expected}");
    }
}

#[test]
fn values_are_those_of_f64() {
    let below = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
    let leaky = |slope: f64| move |x: f64| if x > 0.0 { x } else { slope * x };
    let elu = |alpha: f64| move |x: f64| if x > 0.0 { x } else { alpha * x.exp_m1() };
    let softplus = |x: f64| if x > 30.0 { x } else { x.exp().ln_1p() };
    let named = Component::named;
    check(named("tanh"), 3e-7, f64::tanh);
    check(named("relu"), 0.0, |x| x.max(0.0));
    check(named("silu"), 3e-7, |x| x / (1.0 + (-x).exp()));
    check(named("gelu"), 6e-7, |x| x * below(x));
    check(named("sigmoid"), 3e-7, |x| 1.0 / (1.0 + (-x).exp()));
    check(named("leaky_relu"), 3e-7, leaky(0.01));
    check(named("leaky_relu").with("negative_slope", 0.2), 3e-7, leaky(0.2));
    check(named("elu"), 3e-7, elu(1.0));
    check(named("elu").with("alpha", 0.5), 3e-7, elu(0.5));
    check(named("mish"), 6e-7, |x| x * softplus(x).tanh());
}

/// The bits of values and derivatives, through the widest registers or the narrowest.
fn bits(x: &[f32], apply: impl Fn(&mut [f32]), backward: impl Fn(&[f32], &mut [f32])) -> Vec<u32> {
    let (mut values, mut gradient) = (x.to_vec(), vec![0.7; x.len()]);
    apply(&mut values);
    backward(x, &mut gradient);
    values.into_iter().chain(gradient).map(f32::to_bits).collect()
}

fn check_bits<F: Pointwise + Clone>(function: F) {
    let x: Vec<f32> = everywhere().collect();
    let activation = Activation::new(function.clone());
    let wide = bits(&x, |values| activation.apply(values), |kept, gradient| activation.backward(kept, gradient));
    let narrow =
        bits(&x, |values| apply_any(&function, values), |kept, gradient| backward_any(&function, kept, gradient));
    assert!(wide == narrow, "{function:?}");
}

#[test]
fn wide_registers_give_the_bits_of_narrow_ones() {
    check_bits(Relu);
    check_bits(Tanh);
    check_bits(Gelu);
    check_bits(Silu);
    check_bits(Sigmoid);
    check_bits(LeakyRelu { negative_slope: 0.01 });
    check_bits(Elu { alpha: 1.5 });
    check_bits(Mish);
}

#[test]
fn small_values_keep_their_digits() {
    for x in [1e-6_f32, 3e-4, 0.01, 0.1, 0.34, 0.36] {
        let relative = |name: &str, x: f32, expected: f64| {
            let given = f64::from(applied(&of(Component::named(name)), x));
            assert!((given / expected - 1.0).abs() < 3e-7, "{name}({x}) is {given}, not {expected}");
        };
        relative("tanh", x, f64::from(x).tanh());
        relative("elu", -x, f64::from(-x).exp_m1());
    }
}

#[test]
fn slopes_are_differences_of_values() {
    for name in ACTIVATIONS.names() {
        let activation = of(Component::named(name));
        for x in [-6.0_f32, -2.1, -0.7, -0.1, 0.2, 0.9, 3.0, 8.0] {
            let (right, left) = (x + 0.01, x - 0.01);
            let difference = (applied(&activation, right) - applied(&activation, left)) / (right - left);
            let slope = slope(&activation, x);
            assert!((difference - slope).abs() < 2e-4, "{name} at {x}: {difference} and {slope}");
        }
    }
}

#[test]
fn derivatives_far_from_zero_are_bounded() {
    for name in ACTIVATIONS.names() {
        let activation = of(Component::named(name));
        for x in [-1e30, -1e4, -88.0, 88.0, 1e4, 1e30] {
            let slope = slope(&activation, x);
            assert!((-0.2..=1.2).contains(&slope), "{name} at {x}: {slope}");
        }
    }
}
