//! Plans and Images side by side with what they should be.

mod fake_kernel;
mod goldens;
mod models;
mod properties;
mod sizes;
