//! SecLang transformations: bytes in, bytes out, never an error.
//!
//! This crate owns what `t:NAME` means: the names ([`Transformation::from_name`]),
//! the meaning of each ([`Transformation::apply`]), what can be told of a
//! result before it is computed ([`Transformation::triggers`] and its
//! neighbours), the best-fit table of `SecUnicodeMapFile` ([`UnicodeMap`]) and
//! sets of bytes ([`ByteSet`], [`ByteClasses`]). It leaves to the engine the order of
//! transformations, `t:none`, `multiMatch` and every cache.
//!
//! The meaning is ModSecurity v3's (Reference Manual, "Transformation
//! functions"); each module says where v2 or Coraza differ. Every
//! transformation takes time linear in its input.
#![forbid(unsafe_code)]

mod base64;
mod byte_classes;
mod byte_set;
mod command_line;
mod comments;
mod css;
mod escape_sequence;
mod hash;
mod hex;
mod html_entity;
mod js;
mod length;
mod letter_case;
mod nulls;
mod parity;
mod path;
mod php_argument_name;
mod prediction;
mod scan;
mod transformation;
mod unicode_map;
mod url_decode;
mod url_encode;
mod utf8;
mod white_space;
mod word;

pub use byte_classes::ByteClasses;
pub use byte_set::ByteSet;
pub use transformation::{Context, Transformation};
pub use unicode_map::{UnicodeMap, UnicodeMapError};
