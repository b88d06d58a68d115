//! The experiment file: types, defaults, validation.
