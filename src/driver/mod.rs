//! The Linux driver.
