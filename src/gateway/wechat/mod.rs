//! WeChat Pay APIv2. To be filled.
