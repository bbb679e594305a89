//! leon
