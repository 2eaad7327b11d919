//! Plans and Images side by side with what they should be.
