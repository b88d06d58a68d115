//! Refusals of the model: an experiment, the shapes of its data or a batch of rows do not fit.

use settings::Invalid;

/// A refusal of the model. Messages name the feed, task or block and the sizes that do not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no device of this name.
    #[error("there is no device `{name}`; devices are flex (or cpu), libtorch, libtorch:cuda:N, cuda:N and wgpu{hint}")]
    UnknownDevice {
        /// What was asked for.
        name: String,
        /// The device that was probably meant, in words.
        hint: &'static str,
    },
    /// This binary was built without the device.
    #[error("device `{name}` is not in this build; build with `cargo build --features {feature}`{note}")]
    DeviceNotBuilt {
        /// What was asked for.
        name: String,
        /// The cargo feature that adds the device.
        feature: &'static str,
        /// What else the build needs.
        note: &'static str,
    },
    /// This machine refuses the device.
    #[error("device `{name}` cannot be used: {reason}")]
    DeviceFailed {
        /// What was asked for.
        name: String,
        /// The message of the device's library.
        reason: String,
    },
    /// The thread pool could not be set up.
    #[error("cannot use {threads} threads: {reason}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// The reason.
        reason: String,
    },
    /// Feeds reach the trunk with rows of unequal shapes.
    #[error(
        "feed `{feed}` reaches the trunk with {shape} a row, and feed `{other}` with {other_shape}; \
         give them an encoder of one width (model.encoder, or dataset.NAME.encoder)"
    )]
    UnequalShapes {
        /// A feed.
        feed: String,
        /// A row of it at the trunk's input, in words.
        shape: String,
        /// An earlier feed.
        other: String,
        /// A row of that feed, in words.
        other_shape: String,
    },
    /// The network has more parameters than any machine could train with this program.
    #[error(
        "the model has {parameters} parameters, and at most {max} are allowed; the largest part is `{largest}`: make it narrower",
        max = crate::PARAMETERS_MAX
    )]
    TooLarge {
        /// Number of parameters.
        parameters: usize,
        /// The name of the block that has most of them.
        largest: String,
    },
    /// An encoder does not know the width of its output.
    #[error("`{encoder}` needs a width: give it in the encoder's table ([model.encoder] or [dataset.NAME.encoder])")]
    NoEncoderWidth {
        /// The encoder.
        encoder: String,
    },
    /// The experiment has a part that this binary does not know, or refuses.
    #[error("{part}: {invalid}")]
    Setting {
        /// The keys of the part.
        part: String,
        /// What is refused.
        invalid: Invalid,
    },
    /// A convolution's input is not images.
    #[error(
        "`{place}` is a convolution and takes images, and its input is {input}; give the dataset an input of kind \
         `image` ([dataset.NAME.input.NAME]), or choose the kind `mlp`"
    )]
    NotAnImage {
        /// The layer.
        place: String,
        /// A row of its input, in words.
        input: String,
    },
    /// Pooling would leave nothing of an image.
    #[error(
        "`{place}` pools squares of {size} x {size} pixels, and has {image}; give fewer channels or `pool = \"none\"`"
    )]
    ImageTooSmall {
        /// The layer.
        place: String,
        /// The image, in words.
        image: String,
        /// The side of the squares.
        size: usize,
    },
    /// A researcher's module can't be trained as it is.
    #[error("module `{module}`: {reason}")]
    Module {
        /// The module's name.
        module: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The experiment asks for something that the shapes of the data do not have.
    #[error("{0}")]
    Shapes(String),
    /// A task's loss can't be built.
    #[error("task `{task}`: loss: {reason}")]
    Loss {
        /// The task.
        task: String,
        /// The key that is refused, and why.
        reason: String,
    },
    /// A batch does not fit the shapes that the network was made for.
    #[error("feed `{feed}`: {reason}")]
    Input {
        /// The feed.
        feed: String,
        /// What does not fit.
        reason: String,
    },
    /// A vector has another length than the layout, or than the list of tasks.
    #[error("{what} has {given} values, not {expected}")]
    Length {
        /// The vector, in words.
        what: &'static str,
        /// Its length.
        given: usize,
        /// The expected length.
        expected: usize,
    },
}
