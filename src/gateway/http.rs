//! HTTPS to the provider. To be filled.
